"""The table of machines (machines.toml), and the times of what they do: products, memory, collectives.

Nothing here knows a model. A product takes as long as its tiles need on the device's processors, or as its operands
need to come from memory; a collective is a ring, over links inside a node or over the network, whichever is the slower.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from attndsl.diagnostics import did_you_mean, error, listed
from attndsl.records import Frozen, field
from attndsl.shipped import SHIPPED

TABLE = SHIPPED / "planning" / "machines.toml"
TILES = ((256, 128, 1.0), (128, 128, 0.92), (128, 64, 0.75), (64, 64, 0.55))
"""What part of a result one processor makes at a time, and how fast, compared with the largest (Osama et al., 2023,
arXiv 2301.03598, show how few tiles leave processors idle)."""
LARGEST = sys.float_info.max
DEPTH = 256
"""How many summed elements a tile needs to start and to end, in which it multiplies nothing."""


class MachineModel(Frozen):
    """A node of devices, and how nodes are joined; see machines.toml for what each figure means."""

    name: str
    about: str
    source: str
    devices: int
    memory: float
    flops: Mapping[str, float]
    processors: int
    bandwidth: float
    link: float
    network: float
    latency: Mapping[str, float]
    reached: Mapping[str, float]
    attention: Mapping[str, float] = field(default_factory=dict)

    def product(self, batch: float, rows: float, columns: float, summed: float, precision: str, moved: float) -> float:
        """Seconds of `batch` products of [rows, summed] and [summed, columns], which move so many bytes."""
        if min(batch, rows, columns, summed) <= 0:
            return 0.0
        flops = 2 * batch * rows * columns * summed
        rate = self.flops[precision] * self.reached["products"] * self._busy(batch, rows, columns, summed)
        return max(flops / rate, self.passing(moved))

    def _busy(self, batch: float, rows: float, columns: float, summed: float) -> float:
        """The share of its best rate that a product reaches for its shape: tiles at the edges, the last round of tiles,
        the ends of the sums."""
        best = 0.0
        for height, width, rate in TILES:
            for tall, wide in ((height, width), (width, height)):
                tiles = batch * math.ceil(rows / tall) * math.ceil(columns / wide)
                split = max(1, min(8, int(self.processors // tiles), int(summed // 1024))) if tiles else 1
                tiles *= split
                rounds = math.ceil(tiles / self.processors)
                filled = batch * rows * columns * split / (rounds * self.processors * tall * wide)
                best = max(best, rate * filled * (summed / split) / (summed / split + DEPTH))
        return best

    def passing(self, moved: float) -> float:
        """Seconds in which so many bytes are read from memory or written to it."""
        return moved / (self.bandwidth * self.reached["memory"])

    def attending(self, flops: float, kernel: str, precision: str) -> float:
        rate: float = self.flops[precision] * self.attention[kernel]
        return flops / rate

    # ------------------------------------------------------------ collectives

    def gather(self, size: float, group: DeviceGroup) -> float:
        """Seconds until each device of a group has the `size` bytes of which it has a part; a reduce-scatter of as many
        takes as long."""
        if group.size <= 1 or size <= 0:
            return 0.0
        inside, nodes = group.in_node(self.devices), group.nodes(self.devices)
        rate = self.link * self.reached["link"]
        steps = (inside - 1) * self.latency["inside"] + (nodes - 1) * self.latency["between"]
        if nodes > 1:
            rate = min(rate, inside * self.network * self.reached["network"])
            steps = min(steps, 2 * math.log2(group.size) * self.latency["between"])  # rings become trees
        return size * (group.size - 1) / group.size / rate + steps

    def all_reduce(self, size: float, group: DeviceGroup) -> float:
        return 2 * self.gather(size, group)

    def exchange(self, size: float, group: DeviceGroup, copies: float = 1.0) -> float:
        """Seconds of an all-to-all in which each device sends `size` bytes, in equal parts to all. Of `copies` of the
        same row that go to devices of one node, one is sent, and copied there (DeepSeek-AI, 2024, section 3.2.2)."""
        if group.size <= 1 or size <= 0:
            return 0.0
        inside, nodes = group.in_node(self.devices), group.nodes(self.devices)
        sent = nodes * (1 - (1 - 1 / nodes) ** copies) / copies  # nodes that a row goes to, of evenly drawn devices
        away = size * sent * (nodes - 1) / nodes / (self.network * self.reached["network"])
        near = size * (inside - 1) / inside / (self.link * self.reached["link"])
        slower: float = max(away, near)
        return slower + 2 * self.latency["between" if nodes > 1 else "inside"]

    def send(self, size: float, group: DeviceGroup) -> float:
        """Seconds until each device of a group has sent the next one `size` bytes: those that have to do so over the
        network are waited for."""
        if size <= 0:
            return 0.0
        if group.nodes(self.devices) == 1:
            return size / (self.link * self.reached["link"]) + self.latency["inside"]
        return size / (self.network * self.reached["network"]) + self.latency["between"]


class DeviceGroup(Frozen):
    """Devices that take part in a collective, as a grid: along each dimension so many, each so many places after the
    one before. There are others like it, of so many devices in all, and a collective is as fast as the worst placed of
    them."""

    dimensions: tuple[tuple[int, int], ...] = ()
    among: int = 0

    @property
    def size(self) -> int:
        return math.prod(size for size, _ in self.dimensions)

    def in_node(self, devices: int) -> int:
        """How many of them a node has, where all are on as many."""
        return max(1, self.size // self.nodes(devices))

    def nodes(self, devices: int) -> int:
        """On how many nodes they are, or at most, if they are a grid of several dimensions: none has to begin where a
        node does."""
        found = 1
        for size, stride in self.dimensions:
            blocks = range(min(self.among // (size * stride) or 1, devices))  # of ranks; in a node, more begin alike
            begins = ((at * size * stride + inner) % devices for at in blocks for inner in range(min(stride, devices)))
            found *= min(size, (max(begins) + (size - 1) * stride) // devices + 1)
        return found


def machine(name: str) -> MachineModel:
    """The machine of that name, or that of a file of the same form: `my.toml:ours` (the file's only one: `my.toml`).

    Raises E0951 for a name that the table lacks, E0952 for a file that is not of this form.
    """
    file, colon, entry = name.rpartition(":") if ".toml" in name else ("", "", name)
    if not colon and name.endswith(".toml"):
        file, entry = name, ""
    found = _read(Path(file) if file else TABLE)
    if not entry and len(found) == 1:
        return next(iter(found.values()))
    if entry not in found:
        raise error(
            "E0951", f"there is no machine `{entry}`", note=f"these are: {listed(tuple(found))}",
            help=next(iter(did_you_mean(entry, found)), f"describe yours in a file, in the form of {TABLE.name}"),
        )  # fmt: skip
    return found[entry]


@lru_cache(maxsize=8)
def _read(path: Path) -> dict[str, MachineModel]:
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error("E0952", f"{path} cannot be read: {problem.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise error("E0952", f"{path} is not TOML: {problem}") from None
    if not table:
        raise error("E0952", f"{path} describes no machine")
    return {name: _machine(path, name, entry) for name, entry in table.items()}


_WHOLE = ("devices", "processors")
_RATES = ("memory", "bandwidth", "link", "network")
_TABLES = {"flops": ("bf16",), "latency": ("inside", "between"),
           "reached": ("products", "memory", "link", "network", "beside"), "attention": ()}  # fmt: skip
_SHARES = ("reached", "attention")  # of other figures
_WORDS = ("about", "source")


def _machine(path: Path, name: str, entry: Any) -> MachineModel:
    def wrong(what: str) -> Exception:
        return error("E0952", f"{path}: the machine `{name}` {what}", help=f"{TABLE.name} shows the form")

    if not isinstance(entry, dict):
        raise wrong("is not a table")
    known = (*_WORDS, *_WHOLE, *_RATES, *_TABLES)
    missing = [key for key in known if key not in entry and key not in _WORDS]
    if missing:
        raise wrong(f"lacks {listed(tuple(f'`{key}`' for key in missing))}")
    for key, value in entry.items():
        if key not in known:
            raise wrong(f"has no `{key}`: its figures are {listed(known)}")
        numbers = value if key in _TABLES and isinstance(value, dict) else {key: value} if key not in _WORDS else {}
        if key in _TABLES and (not isinstance(value, dict) or any(part not in value for part in _TABLES[key])):
            raise wrong(f"needs {listed(_TABLES[key])} in `{key}`")
        for part, number in numbers.items():
            least = "positive" if (key, part) != ("reached", "beside") else "non-negative"
            most, limit = (1, " of at most 1") if key in _SHARES and part != "beside" else (LARGEST, "")
            known_size = isinstance(number, (int, float)) and not isinstance(number, bool) and 0 <= number <= most
            if not known_size or (number == 0 and least == "positive") or (key in _WHOLE and number % 1):
                where = f"{key}.{part}" if key in _TABLES else part
                raise wrong(f"needs a {least} number{limit} for `{where}`, not {number!r}")
    figures = {key: entry.get(key, "") for key in known} | {key: int(entry[key]) for key in _WHOLE}
    return MachineModel(name, **figures)
