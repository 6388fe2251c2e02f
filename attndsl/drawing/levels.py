"""Which layers are drawn open: the levels that `--depth` and `--expand` ask for.

Depth opens layers that have layers in them; one that consists of operations alone (a norm, an embedding) stays a box
unless `--expand` names it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attndsl.diagnostics import did_you_mean, error
from attndsl.drawing.kinds import Recognised
from attndsl.graph import Graph, Node
from attndsl.ops import Cos, Repeat, Scan, Sin

FRAMES = ("repeat", "scan", "scope")  # always drawn open


def plain(path: str) -> str:
    """An address without indices: `h.attn` for `h.*.attn`, `h.3.attn` and `h[3].attn`."""
    parts = re.sub(r"\[([^\]]*)\]", r".\1", path).split(".")
    return ".".join(part for part in parts if part != "*" and not part.isdigit())


class Levels:
    """Looks at the scopes of a graph with so many levels of layers open, and those on the way to `expand`."""

    def __init__(
        self,
        graph: Graph,
        depth: int | None = None,
        expand: str | Sequence[str] | None = None,
        *,
        unrolled: bool = False,
    ) -> None:
        if depth is not None and depth < 0:
            raise error("E0904", f"the depth of a diagram cannot be negative: {depth}", help="0 opens no layer")
        self.graph = graph
        self.recognised = Recognised(graph)
        self.depth = depth or 0
        wanted = (expand,) if isinstance(expand, str) else expand or ()
        self.opened = frozenset[str]().union(*(_opened(graph, path) for path in wanted))
        self._nodes: dict[str, list[Node]] = {}
        for node in graph.body.walk():
            for path in self.chain(node.scope):
                self._nodes.setdefault(path, []).append(node)
        self._learned = {path for info in graph.parameters for path in self.chain(info.address.rpartition(".")[0])}
        self._stacks = {node.op.path for node in graph.body.walk() if isinstance(node.op, Repeat)}
        self._unrolled = {
            path
            for node in graph.body.walk()
            if unrolled and isinstance(node.op, Scan)
            for path in self.chain(node.op.path)
        }
        self._kinds: dict[str, str] = {}
        self._moving: dict[str, bool] = {}
        self._inside: dict[str, list[str]] = {}
        for path in self._nodes:
            chain = self.chain(path)
            if len(chain) > 1:
                self._inside.setdefault(chain[-2], []).append(path)

    def chain(self, scope: str) -> list[str]:
        """The scopes that `scope` lies in, itself included, outermost first."""
        found, path = [], ""
        for part in scope.split("."):
            path = f"{path}.{part}" if path else part
            if path in self.graph.scopes:
                found.append(path)
        return found

    def is_inside_another(self, scope: str, body: str) -> bool:
        """Whether `scope` lies in a repeat or scan that `body` (the path of one, or nothing) does not lie in."""
        loops = (path for path in self.chain(scope) if self.graph.scopes[path].kind in ("repeat", "scan"))
        return any(not f"{body}.".startswith(f"{path}.") for path in loops)

    def is_open(self, path: str) -> bool:
        if self.graph.scopes[path].kind in FRAMES or plain(path) in self.opened or path in self._unrolled:
            return True
        inside = self._inside.get(path, ())
        if not inside:
            return False
        if not self._stacks.isdisjoint(inside):
            return True
        layers = [p for p in self.chain(path) if self.graph.scopes[p].kind not in FRAMES]
        return len(layers) <= self.depth

    def is_transparent(self, path: str) -> bool:
        """Whether a layer only moves numbers about and has no label: not worth a box."""
        return not self.graph.scopes[path].labelled and self.only_moves(path)

    def only_moves(self, path: str) -> bool:
        if path not in self._moving:
            self._moving[path] = all(map(_only_moves, self._nodes.get(path, ())))
        return self._moving[path]

    def is_dropout(self, path: str) -> bool:
        drops = [node.op.role == "dropout" for node in self._nodes.get(path, ()) if not _only_moves(node)]
        return bool(drops) and all(drops)

    def kind(self, path: str) -> str:
        if path not in self._kinds:
            found = self.recognised.kind(self._nodes.get(path, ()), self.kinds_in(path))
            self._kinds[path] = "experts" if path in self.recognised.mixtures else found
        return self._kinds[path]

    def kinds_in(self, path: str) -> list[str]:
        """The kinds of the layers directly inside the one at `path`. Attention without parameters is its `attend`: no
        layer of its own, but what the layer around it does with the queries, keys and values that it makes."""
        found = []
        for inner in self._inside.get(path, ()):
            kind = self.kind(inner)
            found.append("attend" if kind == "attention" and inner not in self._learned else kind)
        return found

    def layers_in(self, path: str, kind: str) -> list[str]:
        """The paths of the layers of a kind that stand in the one at `path`, however deep."""
        found = []
        for inner in self._inside.get(path, ()):
            found += [inner] if self.kind(inner) == kind else self.layers_in(inner, kind)
        return found

    def positions_in(self, path: str) -> list[str]:
        """The blocks for positions directly inside the layer at `path`: rotations, say, or scores with sinusoids."""
        inside = [
            inner
            for inner in self._inside.get(path, ())
            if self.kind(inner) == "position" or any(isinstance(node.op, (Sin, Cos)) for node in self._nodes[inner])
        ]
        return list(dict.fromkeys(self.graph.scopes[inner].kind.replace("_", " ") for inner in inside))

    def frame_text(self, path: str) -> tuple[str, str]:
        """The kind and title of the frame round an open scope or layer."""
        info = self.graph.scopes[path]
        outer, _, label = path.rpartition(".")
        if label.isdigit():
            label = f"{outer.rpartition('.')[2]} {label}"  # of a repeat that is written out
        if info.kind in FRAMES:
            return info.kind, label
        kind = info.kind.replace("_", " ")
        return "layer", f"{label} · {kind}" if info.labelled and label != info.kind else kind

    def path_of_body(self, node: Node) -> str:
        """The scope that a repeat or scan makes."""
        assert isinstance(node.op, (Repeat, Scan))
        return node.op.path


def _only_moves(node: Node) -> bool:
    return node.op.view or node.op.role == "none"


def _opened(graph: Graph, expand: str) -> frozenset[str]:
    """The layers to open (without indices): the one asked for and all around it; of a repeat or scope, those in it."""
    known = {plain(path): info for path, info in graph.scopes.items()}
    wanted = plain(expand)
    if wanted not in known:
        raise error(
            "E0903", f"{graph.name} has no layer `{expand}` to open",
            note="layers are named as in addresses, with or without an index: `h.attn`, `h.*.attn`, `h.3.attn`",
            help=did_you_mean(wanted, known),
        )  # fmt: skip
    parts = wanted.split(".")
    opened = {".".join(parts[:end]) for end in range(1, len(parts) + 1)}
    if known[wanted].kind in FRAMES:
        opened |= {path for path in known if path.rpartition(".")[0] == wanted}
    return frozenset(opened)
