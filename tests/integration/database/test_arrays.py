"""Arrays of numpy as parameters."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from sqlalchemy.exc import StatementError

DAYS = some.dates().map(np.datetime64)


def sent(session, array):
    """Give type and elements as PostgreSQL has them."""
    query = "SELECT pg_typeof(a)::text, a, coalesce(array_length(a, 1), 0) FROM (SELECT %(array)s AS a) AS _"
    kind, elements, length = session.connection().exec_driver_sql(query, {"array": array}).one()
    assert length == len(array)
    return kind, elements


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays.arrays(np.int64, some.integers(0, 20))
    | arrays.arrays(np.int32, some.integers(0, 20))
    | arrays.arrays("datetime64[D]", some.integers(0, 20), elements=DAYS)
)
def test_postgresql_gets_each_element(session, array):
    kind, elements = sent(session, array)
    assert kind == {"int64": "bigint[]", "int32": "integer[]", "datetime64[D]": "date[]"}[str(array.dtype)]
    assert elements == array.tolist()


def test_every_second_element_of_an_array_is_sent_as_its_own(session):
    assert sent(session, np.arange(10)[::2]) == ("bigint[]", [0, 2, 4, 6, 8])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([0.5]), "arrays of float64 can't be sent"),
        (np.array(["NaT"], "datetime64[D]"), "NaT can't be sent"),
        (np.zeros((2, 2), np.int64), "of 2 dimensions can't be sent"),
    ],
)
def test_what_has_no_array_of_postgresqls_is_refused(session, array, reason):
    with pytest.raises((TypeError, ValueError, StatementError), match=reason):
        sent(session, array)
