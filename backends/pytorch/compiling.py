"""`torch.compile` of a written module: the layers of a repeat once for all of them, so that the time that it takes does
not grow with depth."""

from __future__ import annotations

from typing import Any

from torch import nn

from attndsl.diagnostics import error


def compiled(module: nn.Module, **options: Any) -> nn.Module:
    """The module, which is compiled from its next call on. `options` are those of `torch.compile`.

    Layers that are modules with a `forward` of their own are compiled, and what stands around them is not: layers of
    one class have the same code and differ in their parameters alone, which Dynamo takes as inputs, so that the first
    one is compiled for all. A module without such layers is compiled whole. Raises E0811 where PyTorch would find no
    C++ compiler."""
    if next((p.device.type for p in module.parameters()), "cpu") == "cpu" and options.get("backend") is None:
        _require_compiler()
    for part in _layers(module) or [module]:
        part.compile(fullgraph=True, **options)
    return module


def _layers(module: nn.Module) -> list[nn.Module]:
    """The layers of all repeats that are not inside another's."""
    found: list[nn.Module] = []
    for child in module.children():
        if isinstance(child, nn.ModuleList) and any(_runs(layer) for layer in child):
            found += [layer for layer in child if _runs(layer)]
        else:
            found += _layers(child)
    return found


def _runs(layer: nn.Module) -> bool:
    """Whether a layer is called, or only holds the parameters of a loop in place."""
    return type(layer).forward is not nn.Module.forward


def _require_compiler() -> None:
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except exc.InvalidCxxCompiler:
        raise error(
            "E0811",
            "PyTorch finds no C++ compiler to compile with",
            help=("install one (`apt-get install g++`)", "or do without compiling"),
        ) from None
