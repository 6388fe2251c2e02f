"""States in a file, with the model and the parameters that they belong to."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

from attndsl.diagnostics import AttnError, error
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.storage.refusals import file_errors
from attndsl.storage.safetensors import TensorFile, write_tensors

FORMAT = "attndsl states"


def write_states(path: str | Path, states: Mapping[str, Array], graph: Graph, parameters: Mapping[str, Array]) -> None:
    """Write what a call returned as a safetensors file, whole or not at all. Raises E0705."""
    facts = {"format": FORMAT, "model": graph.name, "sizes": _sizes(graph), "parameters": _fingerprint(parameters)}
    with file_errors("write", Path(path)):
        write_tensors(path, states, facts)


def read_states(path: str | Path, graph: Graph, parameters: Mapping[str, Array]) -> dict[str, Array]:
    """The states in a file, by address. Raises E0815 where it cannot be read, or holds those of another model or of
    other parameters; whether they fit a call, `check_states` says."""
    try:
        with TensorFile(path) as file:
            facts, arrays = dict(file.metadata), {name: file.read(name) for name in file.entries}
    except AttnError as problem:
        raise error(
            "E0815", f"the states in `{path}` cannot be read",
            note=problem.diagnostics[0].message,
            help="write them with `--state-out`, or begin without `--state-in`",
        ) from None  # fmt: skip
    if facts.get("format") != FORMAT:
        help = "give a file that `--state-out` wrote"
        raise error("E0815", f"`{path}` holds no states", note="it has tensors of something else", help=help)
    way = "give states that this model returned, with these parameters; or begin without `--state-in`"
    if (facts.get("model"), facts.get("sizes")) != (graph.name, _sizes(graph)):
        theirs, ours = f"`{facts.get('model')}` ({facts.get('sizes')})", f"`{graph.name}` ({_sizes(graph)})"
        now = f"they are of {theirs}, and this is {ours}"
        raise error("E0815", f"the states in `{path}` are of another model", note=now, help=way)
    if facts.get("parameters") != _fingerprint(parameters):
        raise error("E0815", f"the states in `{path}` were made with other parameters", help=way)
    return arrays


def _sizes(graph: Graph) -> str:
    return ", ".join(f"{name} = {value}" for name, value in sorted(graph.sizes.items()))


def _fingerprint(parameters: Mapping[str, Array]) -> str:
    """The same for the same parameters, whatever computes with them."""
    found = 0
    for address in sorted(parameters):
        found = zlib.crc32(address.encode(), found)
        found = zlib.crc32(np.ascontiguousarray(parameters[address], np.float32).tobytes(), found)
    return f"{found:08x}"
