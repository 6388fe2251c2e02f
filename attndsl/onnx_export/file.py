"""A graph with its parameters as a model of ONNX."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attndsl.diagnostics import error
from attndsl.graph import Graph, Value
from attndsl.lazy import Array, np
from attndsl.onnx_export.body import OnnxBody
from attndsl.onnx_export.lengths import Lengths
from attndsl.onnx_export.writer import OPSET, OnnxWriter
from attndsl.passes.chosen import chosen
from attndsl.records import Frozen
from attndsl.running.parameters import check_parameters
from attndsl.running.states import shared_stacks

PRODUCER = "attndsl"
NEXT = ".next"
"""What ends the name of an output that is given back as the input of the name before: a state."""

SMALL = 1024  # bytes of a constant, up to which it is always in the file itself


class OnnxModel(Frozen):
    """A model without its large constants, and these by name."""

    model: Any
    large: Mapping[str, Array]

    def whole(self) -> Any:
        """The model with them."""
        from onnx import numpy_helper

        self.model.graph.initializer.extend(
            [numpy_helper.from_array(array, name) for name, array in self.large.items()]
        )
        return self.model


def require_onnx() -> None:
    """Raises E0708 where the package `onnx` is not installed."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        what, way = "an export to ONNX needs the package `onnx`, which is not installed", "pip install 'attndsl[onnx]'"
        raise error("E0708", what, help=(f"`{way}`", "`--to safetensors` needs no such package")) from None


def to_onnx(
    graph: Graph,
    arrays: Mapping[str, Array],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] | None = None,
    opset: int = OPSET,
) -> Any:
    """The model in use (not in training) as an `onnx.ModelProto`, with `arrays` as its initialisers by address, in
    float32. It takes the required inputs, those of the optional ones that are named, and the states of its rows; it
    gives `outputs` (if None, all that these inputs allow), and the next states with `.next` behind their names. Lengths
    that the inputs bind are dynamic axes by the names of their sizes.

    Raises E0708 without `onnx`, E0807 where `arrays` are not the parameters, E0803 for a name that the model lacks,
    E0652 where the opset cannot say what the model does, with the line."""
    return written(graph, arrays, inputs=inputs, outputs=outputs, opset=opset).whole()


def written(
    graph: Graph,
    arrays: Mapping[str, Array],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] | None = None,
    opset: int = OPSET,
) -> OnnxModel:
    """What `to_onnx` gives, before it is put together."""
    require_onnx()
    _require_opset(opset)
    check_parameters(arrays, graph)
    fixed = shared_stacks(graph, arrays)
    made = chosen(graph, inputs, outputs, fixed)
    writer = OnnxWriter(opset, lambda address: arrays[address])
    taken = {info.name: info.value for info in made.inputs if info.name not in fixed}
    said = [info.name + NEXT if info.name in made.state_names else info.name for info in made.outputs]
    for name in (*taken, *fixed, *said):
        writer.fresh(name)
    writer.initializers.update({name: _stored(array) for name, array in fixed.items()})
    lengths = Lengths(writer, made.sizes, {name: value.type for name, value in taken.items()})
    body = OnnxBody(writer, lengths)
    found = body.region(made.body, [info.name for info in made.inputs])
    writer.node = None
    for output, name in zip(said, found, strict=True):
        writer.give(name, output)
    return _model(made, body, taken, dict(zip(said, (info.value for info in made.outputs), strict=True)))


def _require_opset(opset: int) -> None:
    from onnx import defs

    newest = defs.onnx_opset_version()
    if not 1 <= opset <= newest:
        raise error("E0652", f"the installed `onnx` knows no opset {opset}", help=f"give one from 1 to {newest}")


def _stored(array: Array) -> Array:
    return np.asarray(array, {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}[array.dtype.kind])


def _model(graph: Graph, body: OnnxBody, taken: Mapping[str, Value], results: Mapping[str, Value]) -> OnnxModel:
    from onnx import helper, numpy_helper

    writer = body.writer
    nodes = _used(writer.nodes, results)
    read = {name for node in _all(nodes) for name in node.input}
    constants = {name: array for name, array in writer.initializers.items() if name in read}
    large = {name: array for name, array in constants.items() if array.nbytes > SMALL}
    made = helper.make_graph(
        nodes,
        graph.title,
        [body.lengths.declared(name, value.type) for name, value in taken.items()],
        [body.lengths.declared(name, value.type) for name, value in results.items()],
        [numpy_helper.from_array(array, name) for name, array in constants.items() if name not in large],
        graph.doc,
    )
    imports = [helper.make_opsetid("", writer.opset)]
    version = helper.find_min_ir_version_for(imports)
    model = helper.make_model(made, opset_imports=imports, producer_name=PRODUCER, ir_version=version)
    _check(model, large)
    return OnnxModel(model, large)


def _check(model: Any, large: Mapping[str, Array]) -> None:
    """What is wrong here is a mistake of this program. Large constants are declared to the checker as inputs: it would
    copy them."""
    from onnx import ModelProto, checker, helper

    trial = ModelProto()
    trial.CopyFrom(model)
    for name, array in large.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        trial.graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
    checker.check_model(trial)


def _all(nodes: Iterable[Any]) -> list[Any]:
    """The nodes, and those of their bodies."""
    found = []
    for node in nodes:
        found.append(node)
        for attribute in node.attribute:
            found += _all(attribute.g.node) if attribute.HasField("g") else ()
    return found


def _used(nodes: Sequence[Any], results: Collection[str]) -> list[Any]:
    """The nodes without those whose outputs nothing reads."""
    alive, kept = set(results), []
    for node in reversed(nodes):
        if alive.intersection(node.output):
            kept.append(node)
            alive.update(name for each in _all([node]) for name in each.input)
    return kept[::-1]
