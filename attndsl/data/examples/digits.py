"""Handwritten digits (Alpaydin and Kaynak, "Optical recognition of handwritten digits", 1998), from scikit-learn."""

from __future__ import annotations

from functools import lru_cache

from attndsl.data.columns import Table
from attndsl.diagnostics import error
from attndsl.lazy import np

BRIGHTEST = 16  # of the values that the pictures are kept in


@lru_cache(maxsize=1)
def digits_table() -> Table:
    """1,797 rows: `image`, float32 `[1, 8, 8]` with values from 0 to 1, and `label`, the digit. Raises E0708 where
    scikit-learn is not installed."""
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise error(
            "E0708",
            "`example:digits` comes with the package scikit-learn, which is not installed",
            help=(
                "install it with `pip install scikit-learn`",
                "or give pictures of your own: a folder of them by class, or an `.npz` with `image` and `label`",
            ),
        ) from None
    found = load_digits()
    images = (found.images[:, None] / BRIGHTEST).astype(np.float32)
    return Table({"image": images, "label": np.asarray(found.target, dtype=np.int64)}, "`example:digits`")
