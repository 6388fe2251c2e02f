"""From logits to a token: temperature, the k most likely, the nucleus, and a race that chooses.

Computed in float64 with NumPy whatever the backend, and the numbers come from a counter, so equal logits give equal
tokens everywhere. Each token of the vocabulary has a number of its own at each place, so two models that say nearly the
same choose the same nearly always.
"""

from __future__ import annotations

import math

from attndsl.data.counter import words
from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.records import Frozen

_PURPOSE = 0x73616D70  # sets the draws apart from other uses of the same seed
_DEEP = 32  # numbers of a column of which only the largest is compared with others


class Sampling(Frozen):
    """How to choose. A `temperature` of 0 takes the most likely token (the lowest number among equals); `top_k` keeps
    that many, `top_p` the smallest set of the likeliest whose probability reaches it (Holtzman et al., "The curious
    case of neural text degeneration", 2020). Raises E0740 for values that mean nothing."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.temperature) or self.temperature < 0:
            raise error(
                "E0740", f"the temperature cannot be {self.temperature:g}",
                help="0 always takes the likeliest token, 1 samples as the model says, 0.8 is a usual value",
            )  # fmt: skip
        if self.top_k is not None and self.top_k < 1:
            raise error(
                "E0740", f"`top_k` cannot be {self.top_k}", help="keep at least one token, or leave it out to keep all"
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise error(
                "E0740", f"`top_p` cannot be {self.top_p:g}", help="it is a probability: more than 0, at most 1"
            )

    def probabilities(self, logits: Array) -> Array:
        """What each token is drawn with, `[vocab]` in float64, from `[vocab]` logits; the temperature is not 0."""
        shifted = logits.astype(np.float64)
        shifted -= shifted.max()
        with np.errstate(over="ignore"):  # a share may be too small for any number
            scaled = shifted / self.temperature
        weights = np.exp(scaled)
        if self.top_k is not None or self.top_p is not None:
            order = largest(scaled, len(scaled) if self.top_k is None else self.top_k)
            if self.top_p is not None:
                reached = np.cumsum(weights[order])
                # A token stays if those before it have not reached the share yet: the first always does.
                before = np.concatenate(([0.0], reached[:-1]))
                order = order[before < self.top_p * reached[-1]]
            kept, weights = weights[order], np.zeros_like(weights)
            weights[order] = kept
        found: Array = weights / weights.sum()
        return found

    def choose(self, logits: Array, index: int, row: int = 0) -> int:
        """The token for the `index`-th place of the `row`-th text: the one that comes first where each arrives after an
        exponential time of the rate that is its probability, which is to draw by these (the Gumbel-max trick). Raises
        E0741 where a logit is not a number."""
        require_numbers(logits)
        if self.temperature == 0:
            return int(np.argmax(logits))
        keys = (_PURPOSE, self.seed, index, row) if row else (_PURPOSE, self.seed, index)
        drawn = ((words(*keys, count=len(logits)) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        return int(np.argmax(self.probabilities(logits) / -np.log(drawn)))


def require_numbers(logits: Array) -> None:
    """That there is a likeliest among the logits: none is NaN or positive infinity, and not all are negative infinity
    (E0741)."""
    if not np.isfinite(logits.max()) or np.isnan(logits).any():
        raise error(
            "E0741",
            "the model's logits are not numbers",
            help="its weights have diverged: train it again with a lower learning rate (`--set lr=…`)",
        )


def largest(values: Array, count: int) -> Array:
    """The places of the `count` largest, largest first; the lowest place among equals."""
    columns = len(values) // _DEEP
    if count < len(values):
        # As many as `count` values are no less than the `count`-th of what is largest in each of some columns.
        tops = values[: _DEEP * columns].reshape(_DEEP, columns).max(0) if count <= columns else values
        edge = np.partition(tops, len(tops) - count)[len(tops) - count]
        places = np.flatnonzero(values >= edge)
    else:
        places = np.arange(len(values))
    order: Array = places[np.argsort(-values[places], kind="stable")][:count]
    return order


def log_totals(logits: Array) -> Array:
    """What logits `[rows, vocab]` are above the logarithms of their probabilities: `[rows]` in float64. Raises E0741
    where a logit is not a number, or none of a row is finite."""
    most = logits.max(1, keepdims=True)  # NaN where there is one
    if not np.isfinite(most).all():
        require_numbers(logits[int(np.argmin(np.isfinite(most)))])
    shares = logits - most
    found: Array = most[:, 0].astype(np.float64) + np.log(np.exp(shares, out=shares).sum(1, dtype=np.float64))
    return found


def log_probabilities(logits: Array) -> Array:
    """`[vocab]` in float64. Raises E0741 where a logit is not a number, or none is finite."""
    require_numbers(logits)
    values = logits.astype(np.float64)
    values -= values.max()
    shares: Array = values - np.log(np.exp(values).sum())
    return shares
