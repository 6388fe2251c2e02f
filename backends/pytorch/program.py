"""The written module, run: arrays go in and come out as NumPy, torch computes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from attndsl.backends.pytorch.arrays import to_array, to_tensor
from attndsl.backends.pytorch.backend import BACKEND
from attndsl.backends.pytorch.compiling import compiled
from attndsl.backends.pytorch.executing import by_kernel, execute, float_dtype, nothing, out_of_memory, placed, seeded
from attndsl.backends.pytorch.parameters import Parameters, put
from attndsl.backends.pytorch.source import WrittenFile, write
from attndsl.backends.pytorch.stacks import Stacks
from attndsl.backends.pytorch.stored import Matrix
from attndsl.backends.pytorch.taps import addresses_in_order
from attndsl.backends.pytorch.unfilled import unfilled
from attndsl.diagnostics import did_you_mean, error
from attndsl.graph import BOOL, FLOAT, FLOAT32, Graph
from attndsl.lazy import np
from attndsl.passes import optimize
from attndsl.running.initial import initial_parameters, require_memory
from attndsl.running.inputs import check_inputs, chosen_outputs
from attndsl.running.parameters import check_parameters
from attndsl.running.program import Results
from attndsl.running.rounds import require_rounds
from attndsl.running.slots import chosen, in_use, kept
from attndsl.running.states import empty_stacks, shared_stacks, with_states
from attndsl.running.weights_as import BFLOAT16, INT8, require_known

if TYPE_CHECKING:
    from attndsl.running.program import Array


class TorchProgram:
    """A graph with parameters on PyTorch (`attndsl.running.program.Program`); without `parameters`, drawn by `seed`.

    `source` is the text that runs, `module` the `nn.Module` that it makes; its `state_dict()` has the same addresses.
    With `compile`, it is compiled (`attndsl.backends.pytorch.compiling`). The graph is optimised first unless `passes`
    is False. If it is to `recompute`, the layers of repeats are computed again for the gradients
    (`torch.utils.checkpoint`). Attention goes by blocks of `block` queries, if not of as many as suit the device, and a
    loss head by chunks of so many logits, one row at least; torch's own attention is computed by the kernel `sdpa` (a
    name of `torch.nn.attention.SDPBackend`), and by the plain one where that does not do; without, torch chooses.
    Products are by the kernel `products` (`kernels.products`), or by what is the fastest.
    A graph of one of several devices (`attndsl.layouts`) is told where it is by `mesh`, a
    `torch.distributed.device_mesh.DeviceMesh`. With `weights_as` its matrices are kept so (`store`) one after the
    other, and are never there in float32 all together. Raises E0806 (parameters that do not fit into memory), E0811 (no
    such device), E0812 (no such dtype).
    """

    def __init__(
        self,
        graph: Graph,
        *,
        dtype: str = "float32",
        device: str = "cpu",
        parameters: Mapping[str, Array] | None = None,
        seed: int = 0,
        compile: bool = False,
        passes: bool = True,
        recompute: bool = False,
        block: int | None = None,
        sdpa: str | None = None,
        products: str | None = None,
        mesh: Any = None,
        weights_as: str | None = None,
    ) -> None:
        if weights_as is not None:
            require_known(weights_as)
        BACKEND.require(dtype=dtype, device=device, compile=compile)
        self.graph = graph
        self.dtype = dtype
        self.torch_dtype = getattr(torch, dtype)
        self.device = torch.device(device)
        if self.device.type == "cpu":
            require_memory(
                graph, BFLOAT16 if weights_as in (BFLOAT16, INT8) and dtype == FLOAT32 and not compile else dtype
            )
        require_rounds(graph)
        self._compile = compile
        self._recompute, self._block, self._sdpa, self._products, self._mesh = recompute, block, sdpa, products, mesh
        self._passes = passes
        self.written = self._write(graph)
        self.source = self.written.source
        with out_of_memory(graph, self.device):
            self.module = self._make(self.written)
        plain = self.torch_dtype == torch.float32 and not compile
        self.held = Parameters(graph, self.module, self.written.matrices, self.device, plain=plain)
        self.held.kind = weights_as
        self.stacks = Stacks(graph)
        self.shared: dict[str, Array] = {}  # the states that all rows share, if they came with the parameters
        self._plain: tuple[Any, WrittenFile] | None = None
        self._narrow: dict[frozenset[str], tuple[Any, WrittenFile]] = {}
        self._watched: dict[tuple[str, ...], tuple[WrittenFile, Any, dict[str, list[Any]]]] = {}
        if parameters is None:
            self.held.fill(initial_parameters(graph, seed))
        else:
            self.load(parameters)

    def _write(self, graph: Graph) -> WrittenFile:
        """The file that runs this graph."""
        made = optimize(graph)[0] if self._passes else graph
        return write(made, device=self.device.type, recompute=self._recompute, block=self._block)

    def _execute(self, written: WrittenFile) -> dict[str, Any]:
        """The names that the file defines."""
        timed = self.device.type == "cpu" and not self._compile
        return execute(written, self.graph.name, self.device, self._block, self._products, self._mesh, timed)

    def _make(self, written: WrittenFile) -> Any:
        """The module with its parameters in place, their values not yet set."""
        namespace = self._execute(written)
        with unfilled():
            module = namespace[written.model]()
        for address, value in list(module.named_parameters()):
            laid = torch.empty_strided(value.shape, value.stride(), dtype=self.torch_dtype, device=self.device)
            put(module, address, laid)
        module.eval()
        return compiled(module) if self._compile else module

    # ------------------------------------------------------------ parameters

    def parameters(self) -> dict[str, Array]:
        """Copies of the parameters by address, in the graph's order."""
        return self.held.arrays()

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Replace all parameters, kept as they were (`store`); raises E0807 with every address that is missing, unknown
        or of another shape, and changes nothing then."""
        check_parameters(arrays, self.graph)
        self.held.load(arrays)
        self._forget()
        self.shared = shared_stacks(self.graph, arrays)

    def store(self, kind: str) -> None:
        """Keep the matrices as `kind` (`attndsl.running.weights_as`), and compute with them as they are kept then: for
        use, since no gradient leads to them. In float32 they are laid out as products read them the fastest. A program
        in another dtype than float32, or compiled, rounds them and keeps them as it did. Raises E0812 for another
        kind."""
        self.held.store(kind)
        self._forget()

    def _forget(self) -> None:
        """Other modules may have other parameters now."""
        self._plain, self._watched, self._narrow = None, {}, {}

    # ------------------------------------------------------------ running

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        states: Mapping[str, Array] | None = None,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
        dump: Sequence[str] = (),
    ) -> Results:
        """The outputs by name (None: all that the given inputs allow), and the values at the addresses in `dump`."""
        inputs = with_states(self.graph, inputs, states, self.shared)
        names = chosen_outputs(self.graph, outputs, inputs)
        given = self.tensors(inputs)
        with torch.no_grad():
            results = self._forward(*self._form(inputs), given, names, training, seed, step)
            found = {name: to_array(results[name]) for name in names}
            if dump:
                found |= self._dump(tuple(dump), inputs, given, training, seed, step)
        return Results.of(self.graph, found)

    def begin(
        self,
        inputs: Mapping[str, Array],
        slots: Mapping[str, int] | None = None,
        sources: Mapping[str, Array] | None = None,
    ) -> dict[str, Any]:
        """States for texts of which nothing has been read, as `advance` takes them. Matrices are laid out as they are
        the fastest for so many texts (`attndsl.backends.pytorch.layouts`)."""
        infos = {state.name: state for state in self.graph.states}
        dtypes = {name: self._dtypes.get(info.type.dtype, torch.int64) for name, info in infos.items()}
        given = {**self.shared, **(sources or {})}
        stacks = {name: self.stacks.laid(name, array, dtypes[name], self.device) for name, array in given.items()}
        for name, array in empty_stacks(self.graph, inputs, slots, known=sources).items():
            stacks[name] = self.stacks.empty(name, array, dtypes[name], self.device)
        self.held.lay(max(stacks[name].shape[at] for name, at in self.stacks.rows.items() if name in stacks))
        return stacks

    def advance(
        self,
        inputs: Mapping[str, Array],
        stacks: Mapping[str, Any],
        outputs: Sequence[str],
        slots: Mapping[str, int] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """The outputs by name, and the states for the next call; those given are written over."""
        names = chosen_outputs(self.graph, outputs, inputs)
        views = in_use(self.stacks.slots, stacks, slots or {})
        with torch.no_grad():
            call, written = (self.module, self.written) if self.held.finite else self._form({"": np.array(np.inf)})
            results = self._forward(call, written, {**self.tensors(inputs), **views}, names, False, 0, 0)
        states = self.graph.state_names
        found = {name: to_array(results[name]) for name in names if name not in states}
        return found, kept(states, stacks, views, results)

    def native(self, array: Array) -> Any:
        """A state of ints as a tensor."""
        return to_tensor(array, torch.int64, self.device)

    def chosen_rows(
        self,
        stacks: Mapping[str, Any],
        rows: Sequence[int],
        slots: Mapping[str, int] | None = None,
        stay: Collection[str] = (),
    ) -> dict[str, Any]:
        """States of these rows, in this order; a row may be there several times."""
        places, memories = self.stacks.rows, self.stacks.slots

        def several(name: str, stack: Any) -> Any:
            return self.stacks.several(name, stack, rows)

        return chosen(places, memories, stacks, rows, slots or {}, stay, several)

    def gradients(
        self,
        inputs: Mapping[str, Array],
        cotangents: Mapping[str, Array],
        *,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
    ) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
        """The outputs named in `cotangents`; the gradients of sum(output * cotangent) over them by parameter address;
        the same by float input. What the outputs do not depend on has a gradient of zeros."""
        if self.held.stored and self.held.kind == FLOAT32:
            self.held.unstore()
            self._forget()
        if self.held.stored:
            raise error("E0812", f"no gradient leads to weights that are kept as `{self.held.kind}`")
        inputs = {**self.shared, **inputs}
        names = chosen_outputs(self.graph, tuple(cotangents), inputs)
        given = self.tensors(inputs)
        kept = self.graph.state_names  # no gradient flows into the call before this one
        leaves = {n: t.requires_grad_() for n, t in given.items() if t.is_floating_point() and n not in kept}
        with torch.enable_grad():
            results = self._forward(*self._form(inputs), given, names, training, seed, step)
            found = {name: results[name] for name in names}
            total = sum(
                (value * to_tensor(np.asarray(cotangents[name]), value.dtype, value.device)).sum()
                for name, value in found.items()
                if name in cotangents and value.requires_grad
            )
        named = dict(self.module.named_parameters())
        addresses = [a for info in self.graph.parameters for a in info.addresses()]
        sources = [*(named[address] for address in addresses), *leaves.values()]
        gradients: Sequence[Any] = [None] * len(sources)
        if isinstance(total, torch.Tensor) and sources:
            gradients = torch.autograd.grad(total, sources, allow_unused=True)
        arrays = [
            to_array(torch.zeros_like(source) if gradient is None else gradient)
            for source, gradient in zip(sources, gradients, strict=True)
        ]
        return (
            {name: to_array(value) for name, value in found.items()},
            dict(zip(addresses, arrays, strict=False)),
            dict(zip(leaves, arrays[len(addresses) :], strict=True)),
        )

    def loss(
        self, inputs: Mapping[str, Array], output: str, *, training: bool = True, seed: int = 0, step: int = 0
    ) -> Any:
        """A scalar output as a tensor that knows its gradient."""
        return self.scalars(inputs, (output,), training=training, seed=seed, step=step)[output]

    def scalars(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str],
        *,
        states: Mapping[str, Any] | None = None,
        training: bool = True,
        seed: int = 0,
        step: int = 0,
    ) -> dict[str, Any]:
        """Scalar outputs as tensors that know their gradients; `states` are the stacks of all layers to begin with, and
        the results have those for the next call."""
        names = chosen_outputs(self.graph, outputs, inputs)
        given = {**self.tensors(inputs), **(states or {})}
        return self._forward(*self._asked(names), given, names, training, seed, step)

    def _asked(self, names: Sequence[str]) -> tuple[Any, WrittenFile]:
        """What runs where these outputs alone are asked for: a module that has no others, so that what only these need
        is dead, and a loss whose logits nobody asks for goes over its rows in chunks (`LinearCrossEntropy`)."""
        asked = frozenset(names)
        if asked not in self._narrow:
            graph = self.graph.giving(asked)
            if graph is self.graph or not self._passes:
                self._narrow[asked] = self.module, self.written
            else:
                self._narrow[asked] = self._another(self._write(graph))
        return self._narrow[asked]

    def tensors(self, inputs: Mapping[str, Array]) -> dict[str, Any]:
        """The inputs, checked (`attndsl.running.inputs.check_inputs`), as tensors on the program's device."""
        check_inputs(self.graph, inputs)
        return {
            info.name: to_tensor(
                np.asarray(inputs[info.name]), self._dtypes.get(info.value.type.dtype, torch.int64), self.device
            )
            for info in self.graph.inputs
            if info.name in inputs
        }

    @property
    def _dtypes(self) -> dict[str, Any]:
        """Torch's dtypes for those of the language, but for ints."""
        wide = torch.promote_types(self.torch_dtype, torch.float32)
        return {FLOAT: self.torch_dtype, FLOAT32: wide, BOOL: torch.bool}

    def _form(self, inputs: Mapping[str, Array]) -> tuple[Any, WrittenFile]:
        """What runs: the module; or, where a number that it is given is not finite, one without fused operators.
        Torch's kernels for those leave out, or multiply with zero, what a mask hides, each as it likes. So it is where
        an axis is empty: what reduces over it may be infinite."""
        arrays = [np.asarray(array) for array in inputs.values()]
        finite = self.held.finite and all(np.isfinite(array).all() for array in arrays if array.dtype.kind == "f")
        if finite and all(array.size for array in arrays):
            return self.module, self.written
        if self._plain is None:
            written = write(self.graph, exact=True)
            self._plain = self._another(written)
        return self._plain

    def _another(self, written: WrittenFile) -> tuple[Any, WrittenFile]:
        """The module of another file, with this program's parameters."""
        module = self._sharing(self._execute(written)[written.model], written)
        return compiled(module) if self._compile else module, written

    def _sharing(self, kind: Any, written: WrittenFile) -> Any:
        """A module of this class of the file, whose parameters are this program's."""
        with unfilled():
            module = kind()
        self.held.share(module, written.matrices)
        return module

    def _forward(
        self,
        call: Any,
        written: WrittenFile,
        tensors: Mapping[str, Any],
        names: Sequence[str],
        training: bool,
        seed: int,
        step: int,
    ) -> dict[str, Any]:
        """The outputs of a run of a module; optional inputs without a default that none of `names` needs
        are left out."""
        needed = {need for info in self.graph.outputs if info.name in names for need in info.needs}
        optional = {info.name for info in self.graph.inputs if info.optional and info.default is None}
        arguments: dict[str, Any] = {
            written.arguments[name]: tensor
            for name, tensor in tensors.items()
            if name in written.arguments
            if name not in optional or name in needed or set(names) >= {o.name for o in self.graph.outputs}
        }
        kept = self.graph.state_names
        if given := {name: tensors[name] for name in kept if name in tensors}:
            arguments["states"] = given
        if written.selectable:
            arguments["outputs"] = tuple(name for name in names if name not in kept)
        if call.training != training:
            call.train(training)
        with (
            placed(written),
            out_of_memory(self.graph, self.device),
            float_dtype(self.torch_dtype),
            by_kernel(self._sdpa),
            seeded(seed, step, self.device) if training else nothing(),
        ):
            results = call(**arguments)
        return {**results[0], **results[1]} if kept else results

    def _dump(
        self,
        addresses: tuple[str, ...],
        inputs: Mapping[str, Array],
        tensors: Mapping[str, Any],
        training: bool,
        seed: int,
        step: int,
    ) -> dict[str, Array]:
        """The values at `addresses`: a second module, written from the graph as it was checked, that records them. Its
        parameters are this one's."""
        if addresses not in self._watched:
            written = write(self.graph, addresses, device=self.device.type)
            namespace = self._execute(written)
            module = self._sharing(namespace[written.model], written)
            self._watched[addresses] = written, module, namespace["recorded"]
        written, module, recorded = self._watched[addresses]
        recorded.clear()
        names = tuple(info.name for info in self.graph.outputs if info.needs <= tensors.keys())
        self._forward(module, written, tensors, names, training, seed, step)
        found: dict[str, Array] = {}
        order = addresses_in_order(self.graph, written.taps, check_inputs(self.graph, inputs))
        for name, values in recorded.items():
            pairs = zip(order[name], values, strict=True)
            for address, value in pairs:
                if value is not None:
                    found[address] = to_array(value.dense() if isinstance(value, Matrix) else value)
        recorded.clear()
        missing = [address for address in addresses if address not in found]
        if missing:
            raise error("E0808", f"no value has the address `{missing[0]}`", help=did_you_mean(missing[0], found))
        return {address: found[address] for address in addresses}
