"""How a run is cut into shards."""

import pytest
from sqlalchemy import text

from app.reconciliation import start_run
from tests import factories as make
from tests.factories import NOW


@pytest.mark.parametrize(
    ("accounts", "largest", "sizes"),
    [
        (999, 10_000, [999]),
        (2_001, 10_000, [1_000, 1_000, 1]),
        (5_001, 10_000, [1_251, 1_251, 1_251, 1_248]),
        (5_000, 1_100, [1_100, 1_100, 1_100, 1_100, 600]),
        (25, 10, [10, 10, 5]),
    ],
)
def test_accounts_are_cut_for_several_workers_but_not_too_small(session, accounts, largest, sizes):
    owner = make.user(session)
    session.execute(
        text(
            "INSERT INTO accounts (code, user_id, name, currency)"
            " SELECT 'A' || i, :owner, 'of many', 'USD' FROM generate_series(1, :accounts) AS i ORDER BY i"
        ),
        {"owner": owner, "accounts": accounts},
    )
    run_id = start_run(session, "cut", now=NOW, shard_size=largest)
    shards = make.rows(
        session,
        "SELECT count(*) FROM run_shards JOIN accounts AS a ON a.id BETWEEN first_account_id AND last_account_id"
        " WHERE run_id = :run GROUP BY number ORDER BY number",
        run=run_id,
    )
    assert [count for (count,) in shards] == sizes
