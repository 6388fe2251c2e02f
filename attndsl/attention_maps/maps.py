"""The attention weights of a run, read and labelled: what the drawings are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from attndsl.attention_maps.find import AttentionSite, find_attention
from attndsl.diagnostics import error
from attndsl.graph import Axis, Graph
from attndsl.lazy import Array, np
from attndsl.records import Frozen, replace
from attndsl.running.program import Program
from attndsl.sizes import Size

LONGEST = 512  # tokens along one side of a map
MOST = 16_000_000  # weights in one file
LABEL = 24  # characters


class Tokens(Frozen):
    """A sequence that a model is given: the length that its axis has in the graph, and a text for each place."""

    name: str
    size: Size
    labels: tuple[str, ...]


class Picture(Frozen):
    """An image as it is shown: uint8 `[height, width, 3]`."""

    pixels: Array


class Side(Frozen):
    """One side of a map: `name` says of what it is (`source`, `target`, …; empty where it is unknown)."""

    name: str
    labels: tuple[str, ...]


class LayerMap(Frozen):
    """The weights of one attention, float `[heads, queries, keys]`. `path` is the layer's in the spec (`h.3.attn`),
    `number` its place among those of its kind."""

    path: str
    number: int
    heads: tuple[str, ...]
    rows: Side
    columns: Side
    weights: Array


class MapGroup(Frozen):
    """The layers in which the same attends to the same."""

    title: str
    layers: tuple[LayerMap, ...]


class Maps(Frozen):
    """All that one run attended to. With a `picture`, `grid` says how many patches (rows, columns) it was cut into, and
    `before` how many places stand before the first of them (the class token)."""

    model: str
    shown: str
    groups: tuple[MapGroup, ...]
    picture: Picture | None = None
    grid: tuple[int, int] | None = None
    before: int = 0

    def chosen(self, layer: int | None, head: int | None) -> Maps:
        """These layers and heads only, by number from 0 in each group. Raises E0746 where there are none."""
        groups = []
        for group in self.groups:
            layers = tuple(_with_head(it, head) for it in group.layers if layer is None or it.number == layer)
            layers = tuple(it for it in layers if it.heads)
            if layers:
                groups.append(replace(group, layers=layers))
        if groups:
            return replace(self, groups=tuple(groups))
        layers_, heads_ = (max(len(found) for found in each) for each in self._counts())
        if layer is not None and layer >= layers_:
            raise error("E0746", f"there is no layer {layer}", help=f"the layers are 0 to {layers_ - 1}")
        raise error("E0746", f"there is no head {head}", help=f"the heads are 0 to {heads_ - 1}")

    def require_size(self) -> None:
        """That one file can show it all (E0747)."""
        total = sum(layer.weights.size for group in self.groups for layer in group.layers)
        if total > MOST:
            raise error(
                "E0747", f"these are {total:,} weights, but one file shows at most {MOST:,}",
                help="give a shorter text, or choose with `--layer` and `--head`",
            )  # fmt: skip

    @property
    def most(self) -> float:
        """The largest weight of all maps that are shown: what the darkest colour stands for in each of them."""
        shown = [
            found if (found := self.over_picture(weights)) is not None else weights
            for group in self.groups
            for layer in group.layers
            for weights in layer.weights
        ]
        return max((float(each.max(initial=0.0)) for each in shown), default=0.0)

    def _counts(self) -> tuple[list[Sequence[Any]], list[Sequence[Any]]]:
        return [g.layers for g in self.groups], [layer.heads for g in self.groups for layer in g.layers]

    def over_picture(self, weights: Array) -> Array | None:
        """What a head's weights `[queries, keys]` are over the patches `[rows, columns]`: those of the class token, or
        where there is none the mean over all queries; None where the keys are not patches."""
        if self.grid is None or weights.shape[1] != self.before + self.grid[0] * self.grid[1]:
            return None
        row: Array = weights[0] if self.before else weights.mean(axis=0)
        return row[self.before :].reshape(self.grid)


def _with_head(layer: LayerMap, head: int | None) -> LayerMap:
    if head is None:
        return layer
    return replace(layer, heads=layer.heads[head : head + 1], weights=layer.weights[head : head + 1])


def attention_maps(
    graph: Graph,
    program: Callable[[Graph], Program],
    inputs: Mapping[str, Array],
    sequences: Sequence[Tokens],
    *,
    shown: str = "",
    picture: Picture | None = None,
) -> Maps:
    """Run the model once on `inputs` (a batch of one) and read what it attends to. `program` makes a program with the
    right parameters of a graph that differs from `graph` in names only.

    Raises E0748 where the graph attends nowhere, E0747 where there would be too much to draw.
    """
    named, found = find_attention(graph, tuple(inputs))
    if not found:
        raise error(
            "E0748", f"{graph.name} has no attention to draw",
            note="attention is a softmax over an axis of data, and a sum that it weighs over that axis",
            help="`attndsl render` draws the architecture",
        )  # fmt: skip
    for tokens in sequences:
        if len(tokens.labels) > LONGEST:
            raise error(
                "E0747", f"the {tokens.name} has {len(tokens.labels):,} tokens, but a map shows at most {LONGEST}",
                help="give a shorter text",
            )  # fmt: skip
    arrays = program(named).run(inputs, [], dump=[address for it in found for address, _ in it.places])
    groups: dict[str, list[LayerMap]] = {}
    grid, before = None, 0
    for it in found:
        for address, path in it.places:
            weights = _arranged(it, arrays[address])
            if max(weights.shape[1:]) > 2 * LONGEST:  # the tokens are few enough: patches, or a memory
                message = f"a map of {weights.shape[1]:,} by {weights.shape[2]:,} is too large to draw"
                raise error("E0747", message, help=f"at most {2 * LONGEST} positions on each side can be distinguished")
            if picture is not None and grid is None:
                grid, before = _grid(weights.shape[2], picture.pixels.shape[:2])
            rows = _side(it.queries, weights.shape[1], sequences, graph, grid, before)
            columns = _side(it.keys, weights.shape[2], sequences, graph, grid, before)
            layers = groups.setdefault(_title(rows, columns), [])
            layers.append(LayerMap(path, len(layers), _heads(it, arrays[address]), rows, columns, weights))
    return Maps(
        graph.name,
        shown,
        tuple(MapGroup(title, tuple(layers)) for title, layers in groups.items()),
        picture,
        grid,
        before,
    )


def _arranged(attention: AttentionSite, array: Array) -> Array:
    """`[heads, queries, keys]` of the first element of the batch, in float32; several axes of heads become one."""
    axes = list(attention.weights.axes)
    for axis in attention.batch:
        array = np.take(array, 0, axes.index(axis))
        axes.remove(axis)
    order = [axis for axis in axes if axis not in (attention.queries, attention.keys)]
    order += [axis for axis in (attention.queries, attention.keys) if axis is not None]
    array = np.transpose(array, [axes.index(axis) for axis in order])
    if attention.queries is None:
        array = array[..., None, :]
    return array.reshape(-1, *array.shape[-2:]).astype(np.float32)


def _heads(attention: AttentionSite, array: Array) -> tuple[str, ...]:
    """`0`, `1`, …; with grouped queries `0.0`, `0.1`: which keys are shared, and which of the group."""
    lengths = [array.shape[attention.weights.index(axis)] for axis in attention.heads]
    return tuple(".".join(map(str, place)) for place in np.ndindex(*lengths)) if lengths else ("0",)


def _side(
    axis: Axis | None, length: int, sequences: Sequence[Tokens], graph: Graph, grid: tuple[int, int] | None, before: int
) -> Side:
    """The labels along an axis. What stands before the first token of a sequence (a memory, a class token) is counted
    from below 0."""
    for tokens in sequences if axis is not None else ():
        extra = (axis.size - tokens.size).known(graph.sizes)  # type: ignore[union-attr]
        if extra is not None and extra >= 0 and length == len(tokens.labels) + extra:
            front = tuple(str(place - extra) for place in range(int(extra)))
            return Side(tokens.name, (*front, *tokens.labels))
    if grid is not None and length == before + grid[0] * grid[1]:
        front = ("class",) * before if before == 1 else tuple(f"front {i}" for i in range(before))
        return Side("patches", (*front, *(f"{y},{x}" for y in range(grid[0]) for x in range(grid[1]))))
    return Side("", tuple(map(str, range(length))) if length > 1 or axis is not None else ("",))


def _grid(keys: int, shape: Sequence[int]) -> tuple[tuple[int, int] | None, int]:
    """How many patches (rows, columns) a picture of `shape` was cut into for that many keys, and how many keys are
    none: as few as possible, such that the patches have the picture's proportions and cover it exactly."""
    height, width = shape
    for before in range(min(keys, 17)):
        for rows, columns in _factors(keys - before):
            if rows * width == columns * height and height % rows == 0 and width % columns == 0:
                return (rows, columns), before
    return None, 0


def _factors(number: int) -> Iterator[tuple[int, int]]:
    for rows in range(1, number + 1):
        if number % rows == 0:
            yield rows, number // rows


def _title(rows: Side, columns: Side) -> str:
    if not rows.name or not columns.name:
        return f"Attention to the {columns.name}" if columns.name else "Attention"
    if rows.name == columns.name:
        return f"Self-attention of the {rows.name}"
    return f"Cross-attention: {rows.name} against {columns.name}"


def label(text: str) -> str:
    """A token as it is written beside a map: white space and what cannot be printed made visible, not too long."""
    shown = text.replace(" ", "·").replace("\n", "⏎").replace("\t", "⇥")
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)
    return shown if len(shown) <= LABEL else shown[: LABEL - 1] + "…"
