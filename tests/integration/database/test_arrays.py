"""Arrays of numpy as parameters, and as what comes back."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from sqlalchemy import text
from sqlalchemy.exc import StatementError

from app.database.arrays import read_columns, read_rows

DAYS = some.dates().map(np.datetime64)


def sent(session, array):
    """Give type and elements as PostgreSQL has them."""
    query = "SELECT pg_typeof(a)::text, a, coalesce(array_length(a, 1), 0) FROM (SELECT %(array)s AS a) AS _"
    kind, elements, length = session.connection().exec_driver_sql(query, {"array": array}).one()
    assert length == len(array)
    return kind, elements


KINDS = {"int64": "bigint[]", "int32": "integer[]", "float64": "double precision[]", "datetime64[D]": "date[]"}
ARRAYS = (
    arrays.arrays(np.int64, some.integers(0, 20))
    | arrays.arrays(np.int32, some.integers(0, 20))
    | arrays.arrays(np.float64, some.integers(0, 20), elements=some.floats(allow_nan=False))
    | arrays.arrays("datetime64[D]", some.integers(0, 20), elements=DAYS)
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ARRAYS)
def test_postgresql_gets_each_element(session, array):
    kind, elements = sent(session, array)
    assert kind == KINDS[str(array.dtype)]
    assert elements == array.tolist()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ARRAYS)
def test_what_comes_back_is_what_was_sent(session, array):
    ((one, number),) = read_rows(session, "SELECT %(array)s, 7", {"array": array})
    assert one.dtype == array.dtype
    assert (one.tolist(), number) == (array.tolist(), 7)
    columns = {"column": str(array.dtype)}
    (column,) = read_columns(session, "SELECT * FROM unnest(%(array)s)", {"array": array}, columns).values()
    assert (column.dtype, column.tolist()) == (array.dtype, array.tolist())


def test_other_queries_of_the_session_get_lists(session):
    read_rows(session, "SELECT ARRAY[1, 2]", {})
    assert session.scalar(text("SELECT ARRAY[1, 2]")) == [1, 2]


def test_a_column_with_null_is_refused(session):
    with pytest.raises(ValueError, match="has NULL"):
        read_columns(session, "VALUES (1), (NULL)", {}, {"column": "int32"})


def test_every_second_element_of_an_array_is_sent_as_its_own(session):
    assert sent(session, np.arange(10)[::2]) == ("bigint[]", [0, 2, 4, 6, 8])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array(["a"]), "arrays of <U1 can't be sent"),
        (np.array(["NaT"], "datetime64[D]"), "NaT can't be sent"),
        (np.zeros((2, 2), np.int64), "of 2 dimensions can't be sent"),
    ],
)
def test_what_has_no_array_of_postgresqls_is_refused(session, array, reason):
    with pytest.raises((TypeError, ValueError, StatementError), match=reason):
        sent(session, array)
