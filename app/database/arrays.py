"""Arrays of numpy as PostgreSQL's, in its binary format: a list takes a hundred times as long."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.abc import PyFormat
from psycopg.adapt import Dumper
from psycopg.pq import Format

#: By type of numpy: PostgreSQL's type of the array, its type of an element, and how an element is sent (pg_type.dat).
_TYPES: Final[dict[Any, tuple[int, int, np.dtype[Any]]]] = {
    np.dtype("int32"): (1007, 23, np.dtype(">i4")),
    np.dtype("int64"): (1016, 20, np.dtype(">i8")),
    np.dtype("datetime64[D]"): (1182, 1082, np.dtype(">i4")),
}
#: PostgreSQL counts days from here.
_FIRST_DAY: Final = np.datetime64("2000-01-01", "D")


def send_arrays(connection: Connection[Any]) -> None:
    """Let a connection take one-dimensional arrays of int32, int64 and datetime64[D] as parameters."""
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
