"""Writes rows by COPY: one by one, or as the text that it takes, a whole batch at a time."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy.orm import Session


@contextmanager
def copy_into(session: Session, target: str) -> Iterator[psycopg.Copy]:
    """Write into a table, in the session's transaction, while the block runs.

    Args:
        session: the transaction.
        target: the table and its columns, as the program has them: `prices (security_id, price_date)`.
    """
    connection = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101 (the session is in a transaction)
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
        yield copy


def copy_rows(session: Session, target: str, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows, each with a value for each column of the target; see `copy_into`."""
    with copy_into(session, target) as copy:
        for row in rows:
            copy.write_row(row)


def copy_lines(columns: Sequence[Any]) -> memoryview:
    """Return rows as COPY's text.

    Args:
        columns: Arrow's; the first is an array, others may be scalars, which are the same for all rows. In texts, tabs,
            line breaks and backslashes must be escaped.
    """
    import numpy as np  # noqa: PLC0415 (Arrow takes a while to import, and few need it)
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    texts = [column if isinstance(column, pa.Scalar) else column.cast(pa.string()) for column in columns]
    texts[-1] = pc.binary_join_element_wise(pc.fill_null(texts[-1], "\\N"), "", "\n")
    rows = pc.binary_join_element_wise(*texts, "\t", null_handling="replace", null_replacement="\\N")
    # The texts of an array stand one after the other in its buffer, which so is what COPY reads.
    _, offsets, data = rows.buffers()
    if data is None:
        return memoryview(b"")
    end = np.frombuffer(offsets, dtype=np.int32)[len(rows)]
    return memoryview(data)[:end]
