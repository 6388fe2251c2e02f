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
from attndsl.diagnostics import error
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.running.parameters import check_parameters, parameter_shapes


def plain_module(
    graph: Graph, arrays: Mapping[str, Array], *, dtype: str = "float32", device: str = "cpu", traced: bool = False
) -> tuple[Any, WrittenFile]:
    """The module of the plain file of an optimised graph, in evaluation mode, with `arrays` as its parameters by
    address (E0807 where they are not); if `traced`, in the form that `torch.export` can read. With the file."""
    check_parameters(arrays, graph)  # before the module is made
    module, written = empty_module(graph, dtype=dtype, device=device, traced=traced)
    module.to_empty(device=torch.device(device))
    fill(module, graph, arrays, own_suffix(graph) if traced else None)
    return module, written


def empty_module(graph: Graph, *, dtype: str, device: str = "cpu", traced: bool = False) -> tuple[Any, WrittenFile]:
    """The same on the meta device: its parameters have shapes and no memory. It is written for `device`."""
    place = torch.device(device)
    written = write(graph, device=place.type, plain=True, traced=traced)
    namespace = execute(written, graph.name, place)
    with unfilled():
        module = namespace[written.model]()
    return module.to(getattr(torch, dtype)).eval(), written


def fill(module: Any, graph: Graph, arrays: Mapping[str, Array], suffix: str | None = None) -> None:
    """Set the parameters of a plain module, one after the other; of those that are divided among
    processes (`DTensor`) the part that is here. `suffix` is what names have in a traced one. Raises E0807 before any is
    set, where `arrays` are not the graph's parameters, or the module has others or no memory for them."""
    check_parameters(arrays, graph)
    named = {_unwrapped(name): parameter for name, parameter in module.named_parameters()}
    turned = {
        f"{_unwrapped(name)}.weight" for name, layer in module.named_modules() if isinstance(layer, torch.nn.Linear)
    }
    shapes = {
        address if suffix is None else ".".join(alone(step, suffix) for step in address.split(".")): shape
        for address, shape in parameter_shapes(graph).items()
    }
    _check_module(named, {name: shape[::-1] if name in turned else shape for name, shape in shapes.items()})
    names = dict(zip(parameter_shapes(graph), shapes, strict=True))
    for address, array in arrays.items():
        if address in names:
            name = names[address]
            tensor = to_tensor(np.asarray(array), shared=True)
            with torch.no_grad():
                named[name].copy_(_as_divided(tensor.t() if name in turned else tensor, named[name]))


def _unwrapped(name: str) -> str:
    """The name without what `torch.compile` puts around a module, or one of its layers."""
    return ".".join(step for step in name.split(".") if step != "_orig_mod")


def _check_module(named: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise E0807 unless a module has the parameters of these names and shapes, no others, and memory for them."""
    way = 'fill a module of this model, as `torch(device="meta")` makes it'
    for name in [*shapes, *named]:
        if name not in named:
            raise error("E0807", f"the module has no parameter `{name}`", help=way)
        if name not in shapes:
            raise error("E0807", f"the module has a parameter `{name}`, and the model has not", help=way)
        if (shape := tuple(named[name].shape)) != shapes[name]:
            message = f"the module's parameter `{name}` is {list(shape)}, and the model's {list(shapes[name])}"
            raise error("E0807", message, help=way)
        if named[name].is_meta:
            message = f"the module's parameter `{name}` is on the meta device, and has no memory to be filled"
            raise error("E0807", message, help='make room first: `module.to_empty(device="cpu")`')


def _as_divided(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A whole tensor as a parameter lies; nothing is sent, since every process has the whole."""
    if not torch.distributed.is_available():
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(parameter, DTensor):
        return tensor
    own = tensor.to(parameter.device)
    return distribute_tensor(own, parameter.device_mesh, parameter.placements, src_data_rank=None)
