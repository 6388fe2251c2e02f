"""Random numbers without state: every number is a function of the keys that it is asked for with.

A stream is named by a few integers (a seed, a purpose, a step) and its numbers are counted, so the batch of step 1,000
is the same whether or not the 999 before it were drawn: nothing but the step has to be kept to resume. The mixing
function is the finaliser of splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
"""

from __future__ import annotations

from attndsl.lazy import Array, np

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


def _mix(word: int) -> int:
    word = ((word ^ (word >> 30)) * _FIRST) & _MASK
    word = ((word ^ (word >> 27)) * _SECOND) & _MASK
    return word ^ (word >> 31)


def _stream(keys: tuple[int, ...]) -> int:
    state = 0
    for key in keys:
        state = _mix(((state ^ (key & _MASK)) + _GOLDEN) & _MASK)
    return state


def words(*keys: int, count: int) -> Array:
    """The first `count` 64-bit words of the stream that `keys` name, as uint64."""
    counters = np.arange(1, count + 1, dtype=np.uint64)
    mixed = np.uint64(_stream(keys)) + counters * np.uint64(_GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_FIRST)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_SECOND)
    return mixed ^ (mixed >> np.uint64(31))


def integers(*keys: int, below: int, count: int) -> Array:
    """`count` integers in `[0, below)` as int64 (the bias of the remainder is under `below / 2^64`)."""
    return (words(*keys, count=count) % np.uint64(below)).astype(np.int64)
