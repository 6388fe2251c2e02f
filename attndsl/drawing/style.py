"""How a diagram is to look: which way it runs, what is left out, what page it has to fit, how scans are drawn."""

from __future__ import annotations

import re

from attndsl.diagnostics import did_you_mean, error, listed
from attndsl.records import Frozen, field

PARTS = ("loss", "legend", "title", "shapes")
"""What can be left out of a diagram."""

SLIDE = 960.0, 540.0
PAGES: dict[str, tuple[float, float | None]] = {"slide": SLIDE, "column": (240.0, None)}
"""Pages to fit, in points: a slide of 16:9; a column of a paper, as tall as it has to be."""


class Style(Frozen):
    """`landscape`: from left to right. `without`: some of `PARTS`. `fit`: one of `PAGES`; a slide runs from left to
    right. `unrolled`: a scan is drawn as its first two steps and its last one. Raises E0907 for a part or a page that
    there is not."""

    landscape: bool = False
    without: frozenset[str] = field(default_factory=frozenset)
    fit: str = ""
    unrolled: bool = False

    def __post_init__(self) -> None:
        for part in sorted(self.without):
            _known(part, PARTS, "a diagram has no `{}` to leave out")
        if self.fit:
            _known(self.fit, tuple(PAGES), "there is no page `{}` to fit a diagram on")

    @property
    def is_sideways(self) -> bool:
        return self.landscape or self.fit == "slide"

    @property
    def is_narrow(self) -> bool:
        return self.fit == "column"

    def shows(self, part: str) -> bool:
        return part not in self.without

    def fitted(self, laid_out: str) -> str:
        """A diagram that Graphviz has laid out, with the page that it is to be drawn on."""
        found = re.search(r'\bbb="([-\d.]+),([-\d.]+),([-\d.]+),([-\d.]+)"', laid_out)
        if not self.fit or found is None:
            return laid_out
        left, bottom, right, top = map(float, found.groups())
        wide, high = right - left + 2 * PAD, top - bottom + 2 * PAD
        page_wide, page_high = PAGES[self.fit]
        zoom = min(page_wide / wide, (page_high or float("inf")) / high)
        page = f'viewport="{page_wide:.2f},{page_high or zoom * high:.2f},{zoom:.5f}"'
        return laid_out.replace("bb=", f"{page}, bb=", 1)


PAD = 21.6  # around everything, in points
PLAIN = Style()


def _known(name: str, names: tuple[str, ...], message: str) -> None:
    if name not in names:
        raise error("E0907", message.format(name), help=did_you_mean(name, names) or f"there are {listed(names)}")
