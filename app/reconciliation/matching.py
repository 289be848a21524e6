"""Matching a shard's transactions; the statements are in `match.sql` and `leftovers.sql` beside this file."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.reconciliation.business_days import LOOK_BACK_DAYS, write_business_days
from app.reconciliation.queries import sql

#: Business days that two dates of one transaction may be apart.
MATCH_DAYS = 3
#: Days before it in which dates may be some business days apart; what is older matches on its very day.
_MOST_DAYS = 3660

#: What was matched is looked up row by row. A plan that is made while there is nothing would read these tables from end
#: to end each time, and other shards fill them meanwhile: 50,000 rows took seven minutes.
_ONLY_BY_INDEX = text("SET LOCAL enable_seqscan = off")
_IN_ANY_WAY = text("SET LOCAL enable_seqscan = on")


def match_transactions(session: Session, shard: Mapping[str, Any]) -> None:
    """Match what is new or still a break, keep the matches, and add what is left over to the differences.

    Args:
        session: the transaction of the shard, in which its groups are chosen already.
        shard: the parameters of its statements.
    """
    session.execute(sql("take_up"))
    if not session.execute(sql("has_work"), shard).scalar_one():
        return
    session.execute(_ONLY_BY_INDEX)
    session.execute(sql("withdraw"))
    session.execute(sql("theirs"), shard)
    session.execute(sql("forget_repeated"))
    session.execute(sql("unmatch"))
    session.execute(sql("forget_matched"))
    if older := session.execute(sql("older_days"), {"most_days": _MOST_DAYS}).all():
        write_business_days(session, [*session.execute(sql("dates")), *older])
    session.execute(sql("ours"), {**shard, "look_back_days": LOOK_BACK_DAYS})
    session.execute(_IN_ANY_WAY)
    session.execute(text("ANALYZE their_transactions, our_transactions"))
    session.execute(sql("match_by_id"))
    session.execute(sql("keep_their_rest"))
    session.execute(sql("keep_our_rest"))
    session.execute(sql("match_by_figures"))
    session.execute(text("ANALYZE their_rest, our_rest, newly_matched"))
    session.execute(sql("find_candidates"), {"match_days": MATCH_DAYS})
    while session.execute(sql("match_best")).rowcount:  # type: ignore[attr-defined]
        pass
    for by_group in (False, True):
        session.execute(sql("match_groups"), {"by_group": by_group})
    session.execute(sql("keep_theirs"), shard)
    session.execute(sql("keep_ours"), shard)
    session.execute(sql("done"), shard)
    session.execute(sql("their_leftovers"))
    session.execute(sql("our_leftovers"))
    session.execute(sql("disagreements"), shard)
