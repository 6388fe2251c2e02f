"""A model as a program of `torch.export`: a file that PyTorch runs without this project and the module's code."""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from attndsl.backends.pytorch.arrays import to_tensor
from attndsl.backends.pytorch.executing import failed_node
from attndsl.backends.pytorch.names import identifier
from attndsl.backends.pytorch.plain import plain_module
from attndsl.backends.pytorch.source import WrittenFile
from attndsl.diagnostics import error
from attndsl.graph import Graph, Value
from attndsl.lazy import Array, np
from attndsl.ops import Scan
from attndsl.passes.chosen import chosen
from attndsl.running.inputs import example_inputs, example_sizes
from attndsl.running.parameters import check_parameters
from attndsl.running.states import empty_stacks, shared_stacks
from attndsl.sizes import Size
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import replacing

ABOUT = "attndsl.json"
"""The file inside a program that says what model it is, and names the axes of what goes in and comes out:
`{"model": "GPT2", "inputs": {"tokens": ["B", "T"]}, "outputs": {"logits": ["B", "T", "vocab"]}}`."""


def exported(
    graph: Graph,
    arrays: Mapping[str, Array],
    inputs: Sequence[str] = (),
    outputs: Sequence[str] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> tuple[Any, Graph]:
    """The model in use (not in training) as a `torch.export.ExportedProgram` in float32, with `arrays` as its
    parameters by address; and the graph that it says. It takes the required inputs and those of the optional ones that
    are named, by their names; it gives a dict of `outputs` (if None, all that these inputs allow). One with states
    takes them as `states`, a dict, and gives a pair of dicts. Lengths that the inputs bind are dynamic, within the
    bounds that the spec has for them, but for those that `sizes` fix.

    Raises E0807 where `arrays` are not the parameters, E0803 for a name that the model lacks, E0802 for sizes that do
    not fit, E0653 where a program cannot say what the model does, with the line."""
    check_parameters(arrays, graph)
    fixed = shared_stacks(graph, arrays)
    made = chosen(graph, inputs, outputs, fixed)
    _require_no_loops(made, sizes or {})
    module, written = plain_module(made, arrays, traced=True)
    given, dynamic = _trial(made, written, fixed, sizes or {})
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(module, (), given, dynamic_shapes=dynamic, strict=False)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, AssertionError) as problem:
        node = failed_node(written, problem)
        said = [line.strip() for line in str(problem).splitlines() if line.strip()] or [type(problem).__name__]
        raise error(
            "E0653",
            f"a program of `torch.export` cannot say what `{made.title}` does",
            node.at if node is not None else made.span,
            note=f"torch: {' '.join(said[:2])}",
            help="`--to onnx` and `attndsl compile --emit python` have other ways of saying it",
        ) from None
    return program, made


def _require_no_loops(graph: Graph, sizes: Mapping[str, int]) -> None:
    """Raises E0653 where something goes along an axis of open length step by step."""
    known = {**graph.sizes, **sizes}
    loops = [(node, node.op.axis) for node in graph.body.walk() if isinstance(node.op, Scan)]
    loops = [(node, axis) for node, axis in loops if axis.size.known(known) is None]
    if loops:
        node, axis = loops[0]
        names = dict.fromkeys(name for _, axis in loops for name in sorted(axis.size.symbols - known.keys()))
        raise error(
            "E0653",
            f"a program of `torch.export` has no loops of open length, as along `{axis.name}` here",
            node.at,
            help=(f"fix it: `--size {','.join(f'{name}=64' for name in names)}`", "`--to onnx` has such loops"),
        )


def write_exported(program: Any, graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a program and the graph that it says, all or nothing: `torch.export.load` reads it, and `ABOUT` in it says
    what it is. Raises E0705."""
    about = {
        "model": graph.title,
        "inputs": {info.name: _axes(info.value) for info in graph.inputs},
        "outputs": {info.name: _axes(info.value) for info in graph.outputs},
    }
    whole = io.BytesIO()
    torch.export.save(program, whole, extra_files={ABOUT: json.dumps(about, ensure_ascii=False)})
    with file_errors("write", path), replacing(path) as stream:
        stream.write(whole.getbuffer())


def is_earlier(path: Path) -> bool:
    """Whether a file is a program that was written here."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as found:
        return any(name.rpartition("/")[2] == ABOUT for name in found.namelist())


def _axes(value: Value) -> list[str]:
    return [axis.name for axis in value.type.axes]


# ---------------------------------------------------------------- what it is traced with


def _trial(
    graph: Graph, written: WrittenFile, fixed: Mapping[str, Array], constant: Mapping[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs to trace with, and which of their axes are dynamic."""
    sizes = _lengths(graph, constant)
    own = {name for info in graph.own_inputs for axis in info.value.type.axes for name in axis.size.symbols}
    arrays = example_inputs(graph, {name: length for name, length in sizes.items() if name in own})
    arrays |= {**empty_stacks(graph, arrays, sizes, known=fixed), **fixed}
    names = [name for name, length in sizes.items() if length > 1 and name not in constant]
    open_axes = {Size.symbol(name): Dim(identifier(name), **_bounds(graph, name)) for name in names}
    given: dict[str, Any] = {}
    dynamic: dict[str, Any] = {}
    for info in graph.inputs:
        axes = {
            place: open_axes.get(axis.size, Dim.AUTO)
            for place, axis in enumerate(info.value.type.axes)
            if axis.size.known({**graph.sizes, **constant}) is None
        }
        name = written.arguments.get(info.name)
        here, there = (given, dynamic) if name else (given.setdefault("states", {}), dynamic.setdefault("states", {}))
        here[name or info.name] = to_tensor(np.asarray(arrays[info.name]))
        there[name or info.name] = axes
    return given, dynamic


def _lengths(graph: Graph, constant: Mapping[str, int]) -> dict[str, int]:
    """The constant ones, and a length for each other open size, no two alike and none of them one where that can be:
    torch takes those for the same, and for a constant."""
    found = dict(constant)
    for name in graph.free_sizes:
        if name in constant:
            continue
        for length in (*range(3, 64), 2):
            sizes = {**graph.sizes, **found, name: length}
            if length not in found.values() and all(rule.holds(sizes) is not False for rule in graph.constraints):
                found[name] = length
                break
    return {name: length for name, length in example_sizes(graph, found).items() if name not in graph.sizes}


def _bounds(graph: Graph, name: str) -> dict[str, int]:
    """What is the most that a size may be."""
    limits = [
        rule.right.known(graph.sizes)
        for rule in graph.constraints
        if rule.relation == "<=" and rule.left == Size.symbol(name)
    ]
    known = [limit for limit in limits if limit is not None]
    return {"max": min(known)} if known else {}
