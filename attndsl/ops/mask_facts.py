"""What is known of the mask of an attention."""

from __future__ import annotations

from attndsl.records import dataclass
from attndsl.sizes import Size
from attndsl.types import Axis


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """What follows from what a mask computes, for the queries along `queries` (None: there is one) and the keys along
    the axis that the softmax is over. `q` and `k` are positions: they count from each axis's origin. What is not known
    is not said; the default is to know nothing.

    `aligned`: queries and keys have one length and one origin. `banded`: the mask is exactly `q - before <= k <= q +
    after` (None: no bound on that side). `prefix`: it is exactly `k < prefix or k <= q`. `block`: it is exactly
    `q // block == k // block`. `keys_only`: no query takes part. `data`: it depends on more than positions.
    `may_be_empty`: a query may have nothing to attend to.
    """

    queries: Axis | None = None
    aligned: bool = False
    banded: bool = False
    before: Size | None = None
    after: Size | None = None
    prefix: Size | None = None
    block: Size | None = None
    keys_only: bool = False
    data: bool = True
    may_be_empty: bool = True

    @property
    def causal(self) -> bool:
        """Exactly `k <= q`, between axes of one length and origin."""
        return self.aligned and self.banded and self.before is None and self.after == Size.of(0)

    @property
    def window(self) -> Size | None:
        """n, where the mask is exactly `k <= q and q - k < n`, between axes of one length and origin."""
        if not (self.aligned and self.banded and self.after == Size.of(0)) or self.before is None:
            return None
        return self.before + 1

    def words(self) -> tuple[str, ...]:
        """The facts in words, what matters most first."""
        said: list[str] = []
        if self.causal:
            said.append("causal")
        elif self.window is not None:
            said.append(f"a causal window of {self.window}")
        elif self.banded:
            sides = ((self.before, "before"), (self.after, "after"))
            ends = [f"at most {size} {side}" for size, side in sides if size is not None]
            said.append(f"a band, {' and '.join(ends)}")
        if self.prefix is not None:
            said.append(f"causal behind a prefix of {self.prefix}")
        if self.block is not None:
            said.append(f"blocks of {self.block}")
        if self.keys_only:
            said.append("the same for every query")
        said.append("from data" if self.data else "from positions")
        said.append("a row may be empty" if self.may_be_empty else "no row is empty")
        return tuple(said)
