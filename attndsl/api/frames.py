"""Arrays of one length as a table of pandas, where that is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attndsl.diagnostics import error
from attndsl.lazy import Array


def as_frame(arrays: Mapping[str, Array], index: Sequence[str], what: str, instead: str) -> Any:
    """A `pandas.DataFrame` of the arrays, with these columns as its index. Raises E0708 where pandas is not installed,
    which `what` needs; `instead` shows the way without."""
    try:
        import pandas
    except ImportError:
        raise error(
            "E0708", f"{what} needs the package `pandas`, which is not installed",
            help=("install it with `pip install pandas`", f"or use the arrays: `{instead}`"),
        ) from None  # fmt: skip
    frame = pandas.DataFrame(dict(arrays))
    return frame.set_index(list(index)) if index else frame
