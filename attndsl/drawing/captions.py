"""The words in a diagram: types, titles, operations, the names of masks."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from math import prod
from textwrap import wrap

from attndsl.diagnostics import Source
from attndsl.graph import Axis, Graph, InputInfo, Node, Type, Value
from attndsl.ops import Attention, Dot, Repeat, Scan, Softmax
from attndsl.records import Frozen
from attndsl.values import shown_setting

_DECLARATION = re.compile(r"\s*(mask|bias|block|model)\s+(\w+)")


def shape(type: Type, sizes: Mapping[str, int] | None = None) -> str:
    """`[B, T, width]`, or numbers where `sizes` are given; the dtype stands before it unless it is the float that most
    values are."""
    if not type.axes:
        return "scalar" if type.dtype == "float" else f"{type.dtype} scalar"
    names = [axis.name if sizes is None else str(axis.size.value(sizes)) for axis in type.axes]
    return ("" if type.dtype == "float" else type.dtype) + f"[{', '.join(names)}]"


def optional(info: InputInfo) -> tuple[str, ...]:
    """What is said below the shape of an input that may be left out: `optional`, `optional = true`."""
    if not info.optional:
        return ()
    default = "" if info.default is None else f" = {info.default}"
    return (f"optional{default if len(default) <= 24 else ' = …'}",)


def count(value: int) -> str:
    """A number of parameters as papers give it: `124.4 M`."""
    for factor, prefix in ((10**15, "P"), (10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if value >= factor:
            return f"{value / factor:.1f} {prefix}"
    return str(value)


def title(graph: Graph) -> str:
    name = f"{graph.name} {graph.variant}" if graph.variant else graph.name
    return f"{name} · {count(graph.parameter_count)} parameters"


def subtitle(graph: Graph, width: int) -> str:
    """The hyperparameters that are numbers or lists of numbers, in the order of the spec, in lines of about `width`."""
    settings = []
    for name, value in graph.hyperparameters.items():
        parts = value if isinstance(value, tuple) else (value,)
        if all(isinstance(part, (int, float)) and not isinstance(part, bool) for part in parts):
            settings.append(f"{name} {shown_setting(value)}")
    lines = _fill(settings, width)
    while len(_fill(settings, width - 1)) == len(lines) and width > 10:  # lines of about the same length
        width -= 1
    return "\n".join(_fill(settings, width))


def _fill(settings: list[str], width: int) -> list[str]:
    lines: list[str] = []
    for setting in settings:
        if lines and len(lines[-1]) + len(setting) + 3 <= width:
            lines[-1] += f" · {setting}"
        else:
            lines.append(setting)
    return lines


def operation(node: Node, parameters: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What a single operation's box says: its name and the axes that it goes over, and the parameters it reads."""
    return (node.op.caption, f"with {', '.join(parameters)}") if parameters else (node.op.caption,)


def last(path: str) -> str:
    return path.rpartition(".")[2]


def short(address: str, scope: str) -> str:
    """An address as one says it inside `scope`."""
    return address[len(scope) + 1 :] if scope and address.startswith(scope + ".") else address


def several(axis: Axis, sizes: Mapping[str, int], chosen: Axis | None = None) -> str:
    """How many layers an axis counts: `8 experts`; `2 of 8 experts`, where so many are chosen for each element."""
    name = axis.name if axis.name != str(axis.size) else "layer"
    many = axis.size.value(sizes)
    few = chosen.size.value(sizes) if chosen is not None and chosen.size.symbols <= sizes.keys() else many
    return f"{f'{few:,} of ' * (few < many)}{many:,} {name}{'s' * (many != 1)}"


def shared_title(times: int, label: str = "") -> str:
    """`× 12 · shared`: the same layers, with the same parameters, several times in a row."""
    return f"{label} × {times:,} · shared".strip()


def body_title(node: Node, path: str, sizes: Mapping[str, int], *, is_shared: bool) -> str:
    """`h × 12`, `t over T`; `× 6` where the label is no more than an index; `h × 12 · shared` where all rounds have the
    same parameters."""
    if isinstance(node.op, Scan):
        return f"{last(path)} over {node.op.axis.name}"
    assert isinstance(node.op, Repeat)
    label, times = "" if last(path) in ("i", "j", "k", "l", "n") else last(path), node.op.count.value(sizes)
    return shared_title(times, label) if is_shared else f"{label} × {times:,}".strip()


class DrawnRound(Frozen):
    """A time that a body is drawn: which one, what its frame says (nothing: it has no frame of its own), and the kind
    of the arrows by which the rounds before hand on to it."""

    body: int = 0
    title: str = ""
    kind: str = "case"
    enters: str = "flow"


def cases(node: Node) -> list[DrawnRound]:
    """The bodies of a repeat or scan in the order in which they first run, with the iterations that each is for (no
    title where there is one body)."""
    op = node.op
    if not isinstance(op, Repeat) or op.cases is None or len(node.regions) == 1:
        return [DrawnRound()]
    indices: dict[int, list[int]] = {}
    for index, case in enumerate(op.cases):
        indices.setdefault(case, []).append(index)
    return [
        DrawnRound(case, "\n".join(wrap(f"{op.label} = {indices_said(those)}", 24))) for case, those in indices.items()
    ]


def steps(op: Scan, sizes: Mapping[str, int]) -> list[DrawnRound]:
    """The first two steps of a scan and its last one, in the order in which they run; all where there are not more than
    three."""
    size = op.axis.size
    count = size.value(sizes) if size.symbols <= sizes.keys() else None
    order = (-1, -2, 0) if op.reverse else (0, 1, -1)  # from the end where they are negative
    if count is None:
        places = [str(size + at) if at < 0 else str(at) for at in order]
    else:
        places = list(dict.fromkeys(str(at % count) for at in order)) if count else []
    leaps = count is None or count > 3
    enters = "flow", "next", "later" if leaps else "next"
    return [DrawnRound(0, f"{op.label} = {at}", "step", how) for at, how in zip(places, enters, strict=False)]


def indices_said(indices: Sequence[int]) -> str:
    """`0, 2, 4, … 10`, `3 to 11`, `1, 5, 6`."""
    steps = {b - a for a, b in pairwise(indices)}
    if len(indices) > 2 and steps == {1}:
        return f"{indices[0]} to {indices[-1]}"
    if len(indices) > 4 and len(steps) == 1:
        return f"{indices[0]}, {indices[1]}, {indices[2]}, … {indices[-1]}"
    if len(indices) > 8:
        return f"{', '.join(map(str, indices[:6]))}, … {indices[-1]} ({len(indices)} of them)"
    return ", ".join(map(str, indices))


_EVOKES = {
    "embedding": ("embed",), "position": ("position", "rotary", "sinus", "alibi", "bucket"),
    "attention": ("attention",), "norm": ("norm",), "feed-forward": ("mlp", "feed"), "linear": ("linear", "router"),
    "experts": ("expert", "routed"),
    "convolution": ("conv",),
    "recurrent": ("lstm", "gru", "rnn", "recurrent"), "activation": ("lu", "tanh", "sigmoid", "softmax", "swish"),
    "dropout": ("dropout",), "loss": ("loss", "entropy"),
}  # fmt: skip


def evokes(name: str, kind: str) -> bool:
    """Whether a block's name says by itself what kind it is."""
    return any(word in name.lower() for word in _EVOKES.get(kind, ()))


def number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def masks(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The names of the masks that `nodes` were written in, in the order in which they come (`full` masks nothing)."""
    return tuple(name for name, kind in _index_functions(nodes).items() if kind == "mask" and name != "full")


def biases(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The names of the biases that `nodes` were written in: positions, mostly."""
    return tuple(name for name, kind in _index_functions(nodes).items() if kind == "bias")


def _index_functions(nodes: Iterable[Node]) -> dict[str, str]:
    """A node made for an index function has its span inside the function's declaration; the nearest declaration above
    it says which. A name that starts with `_` is a helper's."""
    found: dict[str, str] = {}
    for node in nodes:
        if node.span is not None:
            declared = _declarations(node.span.source)
            at = bisect_right(declared, node.span.line, key=lambda each: each[0])
            if at and declared[at - 1][1] in ("mask", "bias") and not declared[at - 1][2].startswith("_"):
                found.setdefault(declared[at - 1][2], declared[at - 1][1])
    return found


@lru_cache(maxsize=32)
def _declarations(source: Source) -> list[tuple[int, str, str]]:
    """Every declaration in a file: its line, its kind and its name."""
    lines = enumerate(source.text.split("\n"), 1)
    return [(number, found[1], found[2]) for number, line in lines if (found := _DECLARATION.match(line))]


def heads(nodes: Iterable[Node], sizes: Mapping[str, int]) -> tuple[str, ...]:
    """How many heads an attention layer has, as a tuple that may be empty: the axes of its weights besides those of the
    queries and keys. `8 heads`; `32 heads in 8 groups` where several share their keys and values."""
    nodes = list(nodes)
    makers = {value: node for node in nodes for value in node.outputs}
    result = nodes[-1].outputs[0].type.axes if nodes and nodes[-1].outputs else ()
    for node in nodes:
        found = _weighs(node, makers)
        if found is None:
            continue
        weights, keys = found
        own = [axis for axis in weights if axis not in result]
        if not own or not all(axis.size.symbols <= sizes.keys() for axis in own):
            return ()
        count, groups = (prod(a.size.value(sizes) for a in axes) for axes in (own, [a for a in own if a in keys]))
        said = f"{count:,} head{'s' * (count != 1)}"
        return (said if groups == count else f"{said} in {groups:,} group{'s' * (groups != 1)}",)
    return ()


def _weighs(node: Node, makers: Mapping[Value, Node]) -> tuple[list[Axis], Sequence[Axis]] | None:
    """The axes of an attention's weights, without that of the keys, and the axes of what they are scores with."""
    if isinstance(node.op, Attention):
        over = (*node.op.contract, node.op.over)
        return [axis for axis in node.inputs[0].type.axes if axis not in over], node.inputs[1].type.axes
    if not isinstance(node.op, Softmax):
        return None
    axes = [axis for axis in node.output.type.axes if axis not in node.op.goes_over]
    score = makers.get(node.inputs[0])
    while score is not None and not isinstance(score.op, Dot):
        score = next((makers[value] for value in score.inputs if value in makers), None)
    return axes, score.inputs[1].type.axes if score is not None else axes
