"""Arrays of numpy to PostgreSQL and back, in its binary formats: a list takes a hundred times as long."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.abc import Buffer, PyFormat
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from sqlalchemy.orm import Session

#: By type of numpy: PostgreSQL's type of the array, its type of an element, and how an element is sent (pg_type.dat).
_TYPES: Final[dict[Any, tuple[int, int, np.dtype[Any]]]] = {
    np.dtype("int32"): (1007, 23, np.dtype(">i4")),
    np.dtype("int64"): (1016, 20, np.dtype(">i8")),
    np.dtype("float64"): (1022, 701, np.dtype(">f8")),
    np.dtype("datetime64[D]"): (1182, 1082, np.dtype(">i4")),
}
#: PostgreSQL counts days from here.
_FIRST_DAY: Final = np.datetime64("2000-01-01", "D")


def send_arrays(connection: Connection[Any]) -> None:
    """Let a connection take one-dimensional arrays of int32, int64, float64 and datetime64[D] as parameters."""
    connection.adapters.register_dumper(np.ndarray, _ArrayDumper)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def get_key(self, obj: NDArray[Any], _format: PyFormat) -> Any:
        return type(self), obj.dtype

    def upgrade(self, obj: NDArray[Any], _format: PyFormat) -> Dumper:
        dumper = type(self)(type(obj))
        try:
            dumper.oid = _TYPES[obj.dtype][0]
        except KeyError:
            raise TypeError(f"arrays of {obj.dtype} can't be sent; send {', '.join(map(str, _TYPES))}") from None
        return dumper

    def dump(self, obj: NDArray[Any]) -> bytes:
        """Return what array_recv() of PostgreSQL's arrayfuncs.c reads: a header, and each element with its length.

        Raises:
            ValueError: it has another number of dimensions than one, or holds NaT.
        """
        _, element, sent = _TYPES[obj.dtype]
        if obj.ndim != 1:
            raise ValueError(f"an array of {obj.ndim} dimensions can't be sent")
        if obj.dtype.kind == "M":
            if np.isnat(obj).any():
                raise ValueError("an array with NaT can't be sent")
            obj = (obj - _FIRST_DAY).astype(np.int64)
        # Dimensions, that none is NULL, type, length, number of the first.
        header = [1, 0, element, len(obj), 1] if len(obj) else [0, 0, element]
        elements = np.empty(len(obj), [("length", ">i4"), ("value", sent)])
        elements["length"] = sent.itemsize
        elements["value"] = obj
        return np.array(header, ">i4").tobytes() + elements.tobytes()


class _ArrayLoader(Loader):
    """Reads what array_send() of PostgreSQL's arrayfuncs.c writes."""

    format = Format.BINARY
    kind: np.dtype[Any]

    def load(self, data: Buffer) -> NDArray[Any]:
        dimensions, has_null, _ = np.frombuffer(data, ">i4", 3)
        if not dimensions:
            return np.empty(0, self.kind)
        if dimensions != 1 or has_null:
            raise ValueError(f"an array of {self.kind} has NULL, or {dimensions} dimensions")
        elements = np.frombuffer(data, [("length", ">i4"), ("value", _TYPES[self.kind][2])], offset=20)["value"]
        if self.kind.kind == "M":
            return _FIRST_DAY + elements.astype("timedelta64[D]")
        return elements.astype(self.kind)


_LOADERS: Final = {array: type("_Loader", (_ArrayLoader,), {"kind": kind}) for kind, (array, _, _) in _TYPES.items()}


def read_rows(session: Session, query: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of a query, in which arrays of one dimension are numpy's.

    Args:
        session: a transaction.
        query: with `%(name)s` for parameters and `%%` for a per cent sign.
        parameters: as psycopg takes them.

    Raises:
        ValueError: an array has NULL, or more dimensions.
    """
    with closing(session.connection().connection.cursor(binary=True)) as cursor:
        for array, loader in _LOADERS.items():
            cursor.adapters.register_loader(array, loader)
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def read_columns(
    session: Session, query: str, parameters: Mapping[str, Any], columns: Mapping[str, str]
) -> dict[str, NDArray[Any]]:
    """Return the columns of a query, each an array: rows of Python take fifty times as long.

    Args:
        session: a transaction.
        query: as `read_rows`; its columns are never NULL.
        parameters: as `read_rows`.
        columns: the query's columns in their order, each int32, int64, float64 or datetime64[D].

    Raises:
        ValueError: a column is NULL somewhere.
    """
    arrays = ", ".join(f"array_agg(column_{place})" for place in range(len(columns)))
    names = ", ".join(f"column_{place}" for place in range(len(columns)))
    (found,) = read_rows(session, f"SELECT {arrays} FROM ({query}) AS q ({names})", parameters)  # noqa: S608
    return {
        name: np.empty(0, kind) if array is None else array.astype(kind, copy=False)
        for (name, kind), array in zip(columns.items(), found, strict=True)
    }
