"""The classes of changes."""

from __future__ import annotations

CLASSES = ("weights", "numerics", "state", "shape", "layout", "cosmetic")
"""From the worst to the mildest."""

MEANINGS = {
    "weights": "files of weights no longer fit",
    "numerics": "other numbers come out",
    "state": "other states are kept from call to call",
    "shape": "other inputs are taken, or outputs given",
    "layout": "the same in another order",
    "cosmetic": "other names, or what has no effect",
}
