"""The module that people read (`attndsl compile --emit python`), with parameters: its linear layers are `nn.Linear`,
and nothing in it is chosen for this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from attndsl.backends.pytorch.arrays import to_tensor
from attndsl.backends.pytorch.executing import execute
from attndsl.backends.pytorch.names import alone, own_suffix
from attndsl.backends.pytorch.source import WrittenFile, write
from attndsl.backends.pytorch.unfilled import unfilled
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.running.parameters import check_parameters


def plain_module(
    graph: Graph, arrays: Mapping[str, Array], *, dtype: str = "float32", device: str = "cpu", traced: bool = False
) -> tuple[Any, WrittenFile]:
    """The module of the plain file of an optimised graph, in evaluation mode, with `arrays` as its parameters by
    address (E0807 where they are not); if `traced`, in the form that `torch.export` can read. With the file."""
    check_parameters(arrays, graph)
    place = torch.device(device)
    written = write(graph, device=place.type, plain=True, traced=traced)
    namespace = execute(written, graph.name, place)
    with unfilled():
        module = namespace[written.model]()
    module.to_empty(device=place).to(getattr(torch, dtype)).eval()
    suffix = own_suffix(graph) if traced else ""
    named = dict(module.named_parameters())
    turned = {f"{name}.weight" for name, layer in module.named_modules() if isinstance(layer, torch.nn.Linear)}
    for address, array in arrays.items():
        name = ".".join(alone(step, suffix) for step in address.split(".")) if traced else address
        if name in named:
            tensor = to_tensor(np.asarray(array), shared=True)
            with torch.no_grad():
                named[name].copy_(tensor.t() if name in turned else tensor)
    return module, written


__all__ = ["plain_module"]
