"""What a layer's box says beyond its name: of attention its norms, cap, sink and the reach of its mask; of a
feed-forward layer its inner width and what bends it; of a recurrent one its gates. All of it is read off the nodes,
whoever wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from attndsl.drawing import captions
from attndsl.drawing.levels import Levels
from attndsl.graph import INT, Axis, Node, Value
from attndsl.inspection.attending import mask_of
from attndsl.masks import Mask, mask_facts
from attndsl.ops import (
    Add,
    Attention,
    Broadcast,
    Cast,
    Constant,
    Div,
    MaskFacts,
    Mul,
    Rename,
    Sigmoid,
    Softmax,
    Sub,
    Tanh,
    Transpose,
    Where,
)
from attndsl.sizes import Size

_OF_A_SCORE = (Add, Sub, Mul, Div, Where, Cast, Rename, Transpose, Broadcast, Tanh)


def attention(nodes: Iterable[Node], path: str, levels: Levels) -> tuple[str, ...]:
    """The lines of an attention's box about what is special: `norm: q_norm, k_norm`, `cap 50 · sink`."""
    nodes = list(nodes)
    attends = [node for node in nodes if isinstance(node.op, Attention) or node in levels.recognised.attending]
    if not attends:
        return ()
    makers = {value: node for node in nodes for value in node.outputs}
    norms = dict.fromkeys(captions.last(inner) for inner in levels.layers_in(path, "norm"))
    said = list(dict.fromkeys(text for node in attends for text in _score(node, makers)))
    return (*((f"norm: {', '.join(norms)}",) if norms else ()), *((" · ".join(said),) if said else ()))


def _score(node: Node, makers: Mapping[Value, Node]) -> Iterable[str]:
    if isinstance(node.op, Attention):
        cap: float | None = node.op.cap or None
        sunk = node.op.sunk
    else:
        assert isinstance(node.op, Softmax)
        cap, sunk = _cap(node.inputs[0], makers), node.op.sink
    if cap is not None:
        yield f"cap {captions.number(cap)}"
    if sunk:
        yield "sink"


def _cap(score: Value, makers: Mapping[Value, Node]) -> float | None:
    """c, where what becomes a score goes through c * tanh(... / c)."""
    waiting, seen = [score], {score}
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or not isinstance(node.op, _OF_A_SCORE):
            continue
        if isinstance(node.op, Mul):
            tops = [makers[value].op for value in node.inputs if value in makers]
            numbers = [op.value for op in tops if isinstance(op, Constant)]
            if numbers and any(isinstance(op, Tanh) for op in tops):
                return float(numbers[0])
        for value in node.inputs:
            if value not in seen:
                seen.add(value)
                waiting.append(value)
    return None


def reach(nodes: Iterable[Node], levels: Levels) -> str:
    """How far the mask of an attention reaches, if that is a number: `512 keys`, `blocks of 64`; else nothing."""
    nodes = list(nodes)
    for node in nodes:
        facts = _mask(node, nodes, levels.recognised.attending)
        if facts is not None and (said := _reach(facts, levels.graph.sizes)):
            return said
    return ""


def masks(nodes: Iterable[Node], levels: Levels) -> str:
    """The masks of an attention by their names, and how far they reach: `causal, window · 16 keys`; nothing where there
    are none."""
    nodes = list(nodes)
    fused = [node for node in nodes if isinstance(node.op, Attention)]
    if fused:
        return ", ".join(dict.fromkeys(said for node in fused if (said := fused_mask(node, nodes, levels))))
    names, seen = captions.masks(nodes), reach(nodes, levels)
    return ", ".join(names) + f" · {seen}" * bool(names and seen)


def fused_mask(node: Node, nodes: Iterable[Node], levels: Levels) -> str:
    """What the mask of fused attention does, as far as that is known, else the names of what it is made of, among
    `nodes`: the passes share nodes between masks, so that where they were written says less."""
    if not isinstance(node.op, Attention) or not node.op.masked:
        return ""
    if node.op.mask.causal:
        return "causal"
    if seen := reach([node], levels):
        return f"window · {seen}" if node.op.mask.window is not None else seen
    makers = {value: maker for maker in nodes for value in maker.outputs}
    waiting, found = [node.inputs[3]], dict[Node, None]()
    while waiting:
        maker = makers.get(waiting.pop())
        if maker is not None and maker not in found:
            found[maker] = None
            waiting += maker.inputs
    return ", ".join(captions.masks(reversed(found)))


def _mask(node: Node, nodes: list[Node], attending: Mapping[Node, tuple[Axis, ...]]) -> MaskFacts | None:
    if isinstance(node.op, Attention):
        return node.op.mask if node.op.masked else None
    mask = mask_of(node)
    if mask is None or node not in attending:
        return None
    makers = {value: maker for maker in nodes for value in maker.outputs}
    return mask_facts([Mask(mask)], makers, attending[node], node.op.goes_over[0])[1]


def _reach(facts: MaskFacts, sizes: Mapping[str, int]) -> str:
    def number(size: Size | None) -> int | None:
        return size.value(sizes) if size is not None and size.symbols <= sizes.keys() else None

    before, after = number(facts.before), number(facts.after)
    if before is not None and after is not None:
        return f"{before + after + 1:,} keys"
    for size, words in ((facts.block, "blocks of {:,}"), (facts.prefix, "first {:,} seen by all")):
        if (many := number(size)) is not None:
            return words.format(many)
    return ""


def feed_forward(nodes: Iterable[Node], path: str, levels: Levels) -> tuple[str, ...]:
    """The inner width and the activations, as a line that may be missing: `3,072 wide · gelu`."""
    nodes, sizes = list(nodes), levels.graph.sizes
    own = levels.recognised.parameters(nodes)
    products = [node for node in nodes if node.op.contracts and any(value in own for value in node.inputs)]
    inner = products[-1].op.goes_over if products and _follows(products[-1], products, nodes) else ()
    known = bool(inner) and all(axis.size.symbols <= sizes.keys() for axis in inner)
    width = (f"{prod(axis.size.value(sizes) for axis in inner):,} wide",) if known else ()
    bends = dict.fromkeys(levels.graph.scopes[p].kind.replace("_", " ") for p in levels.layers_in(path, "activation"))
    if not bends:
        bends = dict.fromkeys(node.op.name for node in nodes if node.op.role == "activation")
    line = " · ".join((*width, *bends))
    return (line,) if line else ()


def _follows(last: Node, products: list[Node], nodes: list[Node]) -> bool:
    """Whether what one product makes goes into the last one."""
    made = {value for node in products if node is not last for value in node.outputs}
    for node in nodes:
        if node is last:
            return any(value in made for value in node.inputs)
        if any(value in made for value in node.inputs):
            made.update(node.outputs)
    return False


def chosen(nodes: list[Node]) -> Axis | None:
    """The axis of the choices that a layer is given, such as the experts that each token goes to."""
    made = {value for node in nodes for value in node.outputs}
    given = (value.type for node in nodes for value in node.inputs if value not in made)
    return next((type.axes[-1] for type in given if type.dtype == INT and type.axes), None)


def recurrent(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The gates of a recurrent layer, as a line that may be missing: `gates: f, i, o`, or `2 gates` where not all have
    names."""
    nodes = list(nodes)
    reading = readers(nodes)
    gates = [node for node in nodes if is_gate(node, reading)]
    names = list(dict.fromkeys(gate_name(node) for node in gates))
    if not gates:
        return ()
    return (f"gates: {', '.join(names)}" if all(names) else f"{len(gates)} gate{'s' * (len(gates) != 1)}",)


def readers(nodes: Iterable[Node]) -> dict[Value, list[Node]]:
    """The nodes that read each value."""
    found: dict[Value, list[Node]] = {}
    for node in nodes:
        for value in node.inputs:
            found.setdefault(value, []).append(node)
    return found


def is_gate(node: Node, reading: Mapping[Value, list[Node]]) -> bool:
    """Whether a node says how much of something passes: it lies between 0 and 1, and itself or what it lacks to 1 is
    multiplied with something else than what it was made from (x * sigmoid(x) is a curve)."""
    if not isinstance(node.op, Sigmoid):
        return False
    multiplies, waiting = False, [node.output]
    while waiting:
        value = waiting.pop()
        for reader in reading.get(value, ()):
            if isinstance(reader.op, Mul) and node.inputs[0] not in reader.inputs:
                multiplies = True
            elif reader.op.view or (isinstance(reader.op, Sub) and reader.inputs[1] is value):
                waiting += reader.outputs
            else:
                return False
    return multiplies


def gate_name(node: Node) -> str:
    """What a spec calls a gate: its value, or what it is made from."""
    names = node.output.names or node.inputs[0].names
    return captions.last(names[-1]) if names else ""
