"""Layers of which weights have nothing: a head that was never trained, a deeper model. Each is one mistake, not one for
each of its parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from attndsl.diagnostics import AttnError, error, first_of
from attndsl.graph import Graph
from attndsl.records import Frozen
from attndsl.weights.wording import several

LEAST = 2
"""Of fewer parameters it is simpler to name each."""


class LackingLayer(Frozen):
    """A layer by its concrete address (`classifier`, `h.3`), and its parameters."""

    path: str
    parameters: tuple[str, ...]

    @property
    def repeated(self) -> bool:
        """Whether it is one of many, as `h.3` is; a head is not."""
        return any(part.isdecimal() for part in self.path.split("."))


def lacking_layers(missing: Collection[str], parameters: Collection[str]) -> list[LackingLayer]:
    """The outermost layers all of whose `parameters` are among the `missing`, in order."""
    if not missing:
        return []
    have = Counter(path for address in parameters for path in _layers(address))
    lack = Counter(path for address in missing for path in _layers(address))
    found: dict[str, list[str]] = {}
    for address in missing:
        path = next((path for path in _layers(address) if lack[path] == have[path] >= LEAST), None)
        if path is not None:
            found.setdefault(path, []).append(address)
    return [LackingLayer(path, tuple(inside)) for path, inside in found.items()]


def _layers(address: str) -> Iterator[str]:
    """The layers that a parameter is in, outermost first; the index of a repeat is part of its layer's name."""
    parts = address.split(".")
    for end in range(1, len(parts)):
        if not parts[end].isdecimal():
            yield ".".join(parts[:end])


def require_layers(layers: Sequence[LackingLayer], origin: str, graph: Graph, left: Sequence[str]) -> None:
    """E0605 for each layer outside of repeats of which the weights at `origin` have nothing; `left` are the tensors
    there that the model does not use."""
    heads = [layer for layer in layers if not layer.repeated]
    if heads:
        raise AttnError(*several([(layer.path, _no_layer(layer, origin, graph, left)) for layer in heads]))


def _no_layer(layer: LackingLayer, origin: str, graph: Graph, left: Sequence[str]) -> AttnError:
    scope = graph.scopes.get(layer.path)
    names = first_of(left, 3)
    several_left = f"{len(left)} tensors" if len(left) > 1 else "a tensor"
    return error(
        "E0605",
        f"{origin} has no `{layer.path}`: none of the {len(layer.parameters)} parameters of this layer is there",
        scope.span if scope is not None else None,
        "the layer is made here" if scope is not None and scope.span is not None else "",
        note=f"it has {several_left} that the model does not use: {names}" if left else (),
        help=(
            f"if it is a new head, train it on top of them: `attndsl train … --weights {origin}`",
            "if not, take weights of a model that has it",
        ),
    )


def no_repeated_layer(layer: LackingLayer, origin: str) -> AttnError:
    """E0605 for one of many layers."""
    return error(
        "E0605",
        f"{origin} has no `{layer.path}`: none of the {len(layer.parameters)} parameters of this layer is there",
        help="take weights of this very model: another variant, or another `--set`, has other layers",
    )
