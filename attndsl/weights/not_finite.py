"""Weights that hold NaN or infinities: they are used, and told."""

from __future__ import annotations

import os
from collections.abc import Mapping

from attndsl.diagnostics import is_heard, warn, warning
from attndsl.lazy import Array, np
from attndsl.storage.deferred import Deferred, stated
from attndsl.weights.wording import MOST_SHOWN


def told_if_not_finite(arrays: Mapping[str, Array], origin: str | os.PathLike[str]) -> Deferred:
    """The same parameters, by address; it warns (W0602) of the first that is read and holds NaN or infinities, and when
    each of them has been read of all others. `origin` is where they are read."""
    known, found = stated(arrays), dict[str, int]()
    left = set(known)

    def looked_at(address: str, array: Array) -> Array:
        if address in left and is_heard():
            left.remove(address)
            if bad := array.size - int(np.isfinite(array).sum()):
                found[address] = bad
                if len(found) == 1:
                    _warn_not_finite(found, known, origin)
            if len(found) > 1 and not left:
                _warn_not_finite(dict(list(found.items())[1:]), known, origin)
        return array

    return Deferred(
        known,
        lambda address: looked_at(address, arrays[address]),
        lambda: ((address, looked_at(address, array)) for address, array in arrays.items()),
    )


def _warn_not_finite(found: Mapping[str, int], arrays: Mapping[str, Array], origin: str | os.PathLike[str]) -> None:
    address, bad = next(iter(found.items()))
    others = [f"`{other}`" for other in list(found)[1 : MOST_SHOWN + 1]]
    more = f" and {len(found) - 1 - len(others)} more" if len(found) - 1 > len(others) else ""
    warn(
        warning(
            "W0602",
            f"`{address}` in {origin} has {bad:,} of {arrays[address].size:,} values that are NaN or infinite",
            note=f"so have {', '.join(others)}{more}" if others else (),
            help="what is computed from it will be NaN: look for where the weights come from, such as a training that "
            "diverged, or a float16 that overflowed",
        )
    )
