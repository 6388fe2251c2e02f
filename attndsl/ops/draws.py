"""Random numbers by key: what is drawn depends on the key alone, never on what was drawn before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attndsl.lazy import np

if TYPE_CHECKING:
    import numpy


def generator(*key: object) -> numpy.random.Generator:
    """A counter-based generator (Philox; Salmon et al., 2011) for a key of ints and texts; the same everywhere."""
    import hashlib  # checking draws nothing

    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
