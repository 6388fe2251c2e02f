"""NumPy's arrays as torch's tensors, and back: the one place where either becomes the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from attndsl.backends.pytorch.timed import TIMED
from attndsl.lazy import Array


def to_tensor(array: Array, dtype: Any = None, device: Any = None, *, shared: bool = False) -> Any:
    """The array's elements, in its shape (a scalar's is `[]`), as `dtype` (None: the array's own) on `device`.

    Any layout, byte order and width will do: torch takes neither long doubles (they come by way of float64) nor
    unsigned numbers of 64 bits (by way of int64). The tensor owns its memory, unless `shared` says that it need not.
    """
    kind, size = array.dtype.kind, array.dtype.itemsize
    held = f"float{8 * min(size, 8)}" if kind == "f" else "bool" if kind == "b" else "int64"
    with np.errstate(over="ignore"):  # what is too large is infinite
        ours = np.require(array, held, ["C", "W"]) if shared else np.array(array, held, order="C")
    return torch.from_numpy(ours).to(device=device, dtype=dtype)


def to_array(tensor: Any) -> Array:
    """A copy as NumPy's, in the tensor's shape; bfloat16, which NumPy lacks, as float32. A tensor on a GPU may be made
    of what other processes have yet to send."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    with TIMED.waiting():
        array: Array = np.array(tensor.cpu().numpy())
    return array
