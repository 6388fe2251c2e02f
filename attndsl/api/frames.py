"""Arrays of one length as a table of pandas, where that is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from attndsl.diagnostics import error
from attndsl.lazy import Array


class Columns(Mapping[str, Array]):
    """Arrays of one length by name, made when one is asked for."""

    def _made(self) -> dict[str, Array]:
        raise NotImplementedError

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        return self._made()

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


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
