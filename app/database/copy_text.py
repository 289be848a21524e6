"""Puts rows together as the text that COPY takes, a whole batch at a time."""

from collections.abc import Sequence
from typing import Any


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
