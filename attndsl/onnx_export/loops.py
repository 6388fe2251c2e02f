"""A body that is run again and again, as ONNX's `Loop`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attndsl.onnx_export.lengths import Lengths
from attndsl.onnx_export.writer import OnnxWriter, Tensor
from attndsl.types import BOOL, INT, Type

Step = Callable[[str, list[str]], Sequence[Tensor]]


def looped(
    writer: OnnxWriter, lengths: Lengths, path: str, rounds: str, first: Sequence[Tensor], step: Step
) -> tuple[str, ...]:
    """The last of what is carried from round to round, beginning with `first`, and then what is emitted in each, with
    the rounds as a further axis in front. `step` writes the body, given the number of the round and what is carried: it
    gives what is carried on, and what is emitted. `path` begins the names."""
    from onnx import helper

    i, go, *carried = (writer.fresh(f"{path}/{word}") for word in ("i", "go", *["carried"] * len(first)))
    with writer.body() as nodes:
        made = step(i, carried)
        results = [Tensor(writer.emit("Identity", name), type) for name, type in [(go, Type(BOOL)), *map(_pair, made)]]
    taken = [Tensor(i, Type(INT)), Tensor(go, Type(BOOL))]
    taken += [Tensor(name, tensor.type) for name, tensor in zip(carried, first, strict=True)]
    body = helper.make_graph(
        nodes,
        writer.fresh(f"{path}/body"),
        [lengths.declared(tensor.name, tensor.type) for tensor in taken],
        [lengths.declared(tensor.name, tensor.type) for tensor in results],
    )
    given = (rounds, writer.constant(True, "bool"), *(tensor.name for tensor in first))
    return writer.several("Loop", given, len(made), body=body)


def _pair(tensor: Tensor) -> tuple[str, Type]:
    return tensor.name, tensor.type
