"""What the PyTorch backend can do; torch is imported when it makes something."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from attndsl.diagnostics import error
from attndsl.lazy import Array
from attndsl.running.backends import Again, Backend, Emitted, Exporter, ProgramArguments
from attndsl.running.ways import ATTENTION, LOSS, QUERY_BLOCKS, Way

if TYPE_CHECKING:
    from attndsl.backends.pytorch.program import TorchProgram
    from attndsl.backends.pytorch.trainer import TorchTrainer
    from attndsl.graph import Graph
    from attndsl.layouts import Layout
    from attndsl.passes import Miss, Rewrite
    from attndsl.running.processes import Launch, Processes
    from attndsl.running.trainer import Training

_ON_CPU = {"MATH": "torch's plain kernel", "FLASH_ATTENTION": "torch's flash kernel"}
SDPA: dict[str, dict[str, str]] = {
    "cpu": _ON_CPU,
    "cuda": _ON_CPU | {"EFFICIENT_ATTENTION": "torch's memory-efficient kernel", "CUDNN_ATTENTION": "cuDNN's kernel"},
}
"""The kernels that torch has for `F.scaled_dot_product_attention` on a device, by their names there
(`torch.nn.attention.SDPBackend`), and in words."""


META = "meta"
"""The device of torch's whose tensors have shapes and no memory."""


class PyTorch(Backend):
    """Writes the optimised graph as a readable `torch.nn.Module`, and runs that."""

    name = "torch"
    title = "PyTorch"
    aliases = ("pytorch",)
    packages = ("numpy", "torch")
    install = 'pip install "attndsl[torch]"'
    devices = ("cpu", "cuda")
    dtypes = ("float32", "float64", "bfloat16", "float16")
    precisions = dtypes
    parallel = True
    compiles = True
    optimizes = True
    emits = Emitted("python", ".py")
    exports = True
    preference = 2

    def make_program(
        self,
        graph: Graph,
        *,
        dtype: str,
        device: str,
        parameters: Mapping[str, Array] | None,
        seed: int,
        compile: bool,
    ) -> TorchProgram:
        from attndsl.backends.pytorch.program import TorchProgram

        return TorchProgram(graph, dtype=dtype, device=device, parameters=parameters, seed=seed, compile=compile)

    def make_stored(self, graph: Graph, weights_as: str, **given: Unpack[ProgramArguments]) -> TorchProgram:
        from attndsl.backends.pytorch.program import TorchProgram

        return TorchProgram(graph, weights_as=weights_as, **given)

    def ways(self) -> Sequence[Way]:
        from attndsl.backends.pytorch.kernels import products
        from attndsl.backends.pytorch.program import TorchProgram

        kernels = SDPA[self.default_device()]
        return (
            Way(self, "without passes", make=partial(TorchProgram, passes=False), optimizes=False),
            Way(self, "compiled", make=partial(TorchProgram, compile=True), is_slow=True),
            *(
                Way(
                    self,
                    f"by {name} products",
                    make=partial(TorchProgram, products=name),
                    unfit=partial(self._usual, name),
                    dtypes=("float32",),
                )
                for name in products()
            ),
            *(
                Way(self, name, ATTENTION, make=partial(TorchProgram, block=block), unfit=self._not_in_blocks)
                for name, block in QUERY_BLOCKS.items()
            ),
            *(
                Way(self, f"by {said}", ATTENTION, make=partial(TorchProgram, sdpa=name), unfit=self._no_call)
                for name, said in kernels.items()
            ),
            Way(self, "a row at a time", LOSS, make=partial(TorchProgram, block=1)),
            Way(self, "by FlexAttention", ATTENTION, unfit=self._not_flex, dtypes=("float32",)),
        )

    def _usual(self, products: str, graph: Graph) -> str | None:
        from attndsl.backends.pytorch.kernels import KINDS, measured

        if self.default_device() != "cpu":
            return "there is one kernel for products on CUDA"
        return "its usual ones" if set(measured(KINDS).values()) == {products} else None

    def _not_in_blocks(self, graph: Graph) -> str | None:
        from attndsl.backends.pytorch.rules import not_in_blocks
        from attndsl.passes import optimize

        return not_in_blocks(optimize(graph)[0])

    def _not_flex(self, graph: Graph) -> str | None:
        from attndsl.backends.pytorch.rules import not_in_blocks
        from attndsl.passes import optimize

        if self.default_device() != "cuda":
            return "it needs CUDA, which is not here"
        return not_in_blocks(optimize(graph)[0], flex=True)

    def _no_call(self, graph: Graph) -> str | None:
        called = "F.scaled_dot_product_attention" in self.source(graph)
        return None if called else "no attention of it is torch's own call"

    def make_trainer(
        self,
        graph: Graph,
        recipe: Training,
        *,
        device: str,
        parameters: Mapping[str, Array] | None,
        compile: bool,
        processes: Processes,
        layout: Layout | None,
    ) -> TorchTrainer:
        from attndsl.backends.pytorch.processes import TorchProcesses
        from attndsl.backends.pytorch.trainer import TorchTrainer

        others = processes if isinstance(processes, TorchProcesses) else None
        return TorchTrainer(
            graph, recipe, device=device, parameters=parameters, compile=compile, processes=others, layout=layout
        )

    def joined(self, launch: Launch) -> AbstractContextManager[Processes]:
        from attndsl.backends.pytorch.processes import joined

        return joined(launch)

    def launch(self, count: int, words: Sequence[str]) -> int:
        from attndsl.backends.pytorch.processes import launch

        return launch(count, words)

    def source(self, graph: Graph, device: str | None = None, again: Again | None = None) -> str:
        from attndsl.backends.pytorch.opened import independent
        from attndsl.backends.pytorch.source import write
        from attndsl.passes import optimize

        def text(graph: Graph, open: Collection[str]) -> str:
            made, _ = optimize(graph, verify=False)
            return write(made, device=device or self.devices[0], plain=True, open=open).source

        return text(graph, independent(graph, again, text) if again is not None else ())

    def plain(
        self,
        graph: Graph,
        parameters: Mapping[str, Array] | None,
        *,
        dtype: str,
        device: str,
        seed: int,
        compile: bool,
    ) -> Any:
        """The module whose text `source` gives, with parameters by address (None: drawn by `seed`); on the device
        `meta`, where they have no memory, without."""
        from attndsl.backends.pytorch.compiling import compiled
        from attndsl.backends.pytorch.plain import empty_module, plain_module
        from attndsl.passes import optimize
        from attndsl.running.initial import drawn_parameters

        made, _ = optimize(graph)
        if device == META:
            module, _ = empty_module(made, dtype=dtype)
        else:
            arrays = drawn_parameters(graph, seed) if parameters is None else parameters
            module, _ = plain_module(made, arrays, dtype=dtype, device=device)
        return compiled(module) if compile else module

    def fill(self, module: Any, graph: Graph, arrays: Mapping[str, Array]) -> None:
        """Set the parameters of such a module by address, one after the other. Raises E0807."""
        from attndsl.backends.pytorch.plain import fill

        fill(module, graph, arrays)

    def exporter(self) -> Exporter:
        self.require()
        from attndsl.backends.pytorch import exported

        return exported

    def taken_apart(self, graph: Graph) -> Sequence[Miss]:
        from attndsl.backends.pytorch.rules import taken_apart

        return taken_apart(graph)

    def versions(self) -> dict[str, str]:
        from attndsl.backends.pytorch.kernels import KINDS, measured

        return super().versions() | {"kernels": ", ".join(f"{k}: {name}" for k, name in measured(KINDS).items())}

    def attention_forms(self, graph: Graph) -> Sequence[Rewrite]:
        from attndsl.backends.pytorch.rules import attention_forms

        return attention_forms(graph)

    def kernels(self, graph: Graph) -> Sequence[str]:
        from attndsl.backends.pytorch.kernels import explained
        from attndsl.backends.pytorch.source import write

        return explained(write(graph).source)

    def default_device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    def require_device(self, device: str) -> None:
        import torch

        try:
            place = torch.device(device)
        except RuntimeError:
            raise error("E0811", f"PyTorch has no device `{device}`", help="use `cpu`, `cuda` or `cuda:0`") from None
        if place.type != "cuda":
            return
        if not torch.cuda.is_available():
            build = "this PyTorch was built without CUDA" if torch.version.cuda is None else "PyTorch finds no GPU"
            helps = ["run on the CPU: `--device cpu`"]
            if torch.version.cuda is None:
                helps.append("or install a CUDA build of PyTorch: https://pytorch.org/get-started/locally")
            raise error("E0811", "there is no CUDA device here", note=build, help=helps)
        if (place.index or 0) >= torch.cuda.device_count():
            raise error(
                "E0811", f"there is no device `{device}`", note=f"CUDA devices here: {torch.cuda.device_count()}"
            )


BACKEND = PyTorch()
