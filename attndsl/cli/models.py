"""Specs, weights and inputs as a command line names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attndsl.cli.arguments import Usage
from attndsl.lazy import Array
from attndsl.lints import lint

if TYPE_CHECKING:
    from attndsl.comparison.report import Shown
    from attndsl.elaborate import Spec
    from attndsl.graph import Graph
    from attndsl.storage.arrays import ArrayFile


def load_graph(spec: str, settings: Mapping[str, str]) -> Graph:
    """The checked graph of a spec, or of a run's, whose warnings are told."""
    return load(spec, settings)[1]


def load(spec: str, settings: Mapping[str, str]) -> tuple[Spec, Graph]:
    """The same with the spec itself."""
    from attndsl.api.checking import of_run
    from attndsl.elaborate import elaborate, open_spec

    spec, merged = of_run(spec, settings)
    opened = open_spec(spec)
    graph = elaborate(opened, merged)
    lint(opened, graph, merged)
    return opened, graph


def other_sizes(spec: str, settings: Mapping[str, str]) -> Callable[[Mapping[str, int]], Graph]:
    """What checks a spec, or a run's, again with other sizes; nothing is told of it."""
    from attndsl.api.checking import of_run
    from attndsl.diagnostics import collected
    from attndsl.elaborate import elaborate, open_spec

    name, merged = of_run(spec, settings)
    opened = open_spec(name)

    def again(sizes: Mapping[str, int]) -> Graph:
        with collected():
            return elaborate(opened, {**merged, **sizes})

    return again


def load_with_weights(
    spec: str, settings: Mapping[str, str], weights: str | None
) -> tuple[Graph, Mapping[str, Array] | None]:
    """The checked graph, and the parameters at `weights` (None: none asked for). Where the weights say what the
    hyperparameters are (a run's record, a published configuration, a file of ours), these are taken; a `--set` that
    contradicts them is an error. A run that is named instead of a spec comes with its own weights."""
    from attndsl.api.checking import of_run
    from attndsl.elaborate import elaborate, open_spec
    from attndsl.runs.given_weights import check_run, read_weights, settings_with

    named = spec
    spec, _ = of_run(named)
    if weights is None and spec == named:
        return load_graph(spec, settings), None
    weights = weights or named

    opened = open_spec(spec)
    graph = elaborate(opened, settings_with(weights, opened, settings))
    lint(opened, graph, settings)
    check_run(weights, opened, graph)
    return graph, read_weights(weights, opened, graph)


def tell(found: Shown, *, as_json: bool) -> int:
    """Print what was found; the exit code."""
    if as_json:
        import json

        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        print(found)
    return 0 if found.ok else 1


def inputs_file(path: str | None, sizes: Mapping[str, int]) -> ArrayFile | None:
    """The .npz file at `path`; None where no file is named."""
    from attndsl.storage.arrays import ArrayFile

    if path is None:
        return None
    if sizes:
        raise Usage("`--size` is for example inputs, and `--inputs` names real ones", "give one of the two")
    return ArrayFile(path)


def read_inputs(file: ArrayFile, graph: Graph) -> dict[str, Array]:
    """The arrays of a file, which are held against the graph's inputs by name and shape before they are read."""
    from attndsl.running.inputs import check_inputs, check_shapes
    from attndsl.running.states import refuse_as_inputs

    refuse_as_inputs(graph, file.stated)
    check_shapes(graph, file.stated)
    arrays = {name: file.read(name) for name in file.stated}
    check_inputs(graph, arrays)
    return arrays
