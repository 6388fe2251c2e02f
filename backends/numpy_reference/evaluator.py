"""The reference backend: a graph run node by node, each by the NumPy meaning that its op's class gives.

It is written to be read and to be right. Every result is held to the type that the checker gave it, so a graph that
runs here obeys the language's rules for shapes and dtypes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from attndsl.backends.numpy_reference.backend import BACKEND
from attndsl.backends.numpy_reference.dump import Watch
from attndsl.backends.numpy_reference.execution import Execution
from attndsl.backends.numpy_reference.plan import Plan, plan
from attndsl.backends.numpy_reference.tape import Tape
from attndsl.diagnostics import error
from attndsl.graph import FLOAT, FLOAT32, Graph, Node, Type, Value
from attndsl.ops.base import Call
from attndsl.passes import TRAINED, optimize
from attndsl.running.initial import initial_parameters, require_memory
from attndsl.running.inputs import check_inputs, check_shapes, chosen_outputs
from attndsl.running.parameters import check_parameters
from attndsl.running.program import Results
from attndsl.running.rounds import require_rounds
from attndsl.running.slots import chosen, in_use, kept, slot_places
from attndsl.running.states import empty_stacks, row_places, shared_stacks, with_states
from attndsl.running.weights_as import matrices, require_known, rounded
from attndsl.storage.deferred import Deferred

if TYPE_CHECKING:
    from attndsl.ops import Communicator

Array = np.ndarray[Any, Any]


class NumpyProgram:
    """A graph with parameters (`attndsl.running.program.Program`). Without `parameters` they are drawn by `seed`. Fused
    attention takes `block` queries at a time, a loss head so many rows (0: what suits the processor)."""

    def __init__(
        self,
        graph: Graph,
        *,
        dtype: str = "float32",
        parameters: Mapping[str, Array] | None = None,
        seed: int = 0,
        block: int = 0,
    ) -> None:
        BACKEND.require(dtype=dtype)
        require_memory(graph, dtype)
        require_rounds(graph)
        self.graph = graph
        self.dtype = dtype
        self.block = block
        self.arrays: dict[str, Array] = {}  # the parameters by address
        self.weights_as = FLOAT32
        self.communicator: Communicator | None = None  # with the other devices that this is one of
        self.recompute = False  # whether the bodies of repeats are run again for their gradients
        self.shared: dict[str, Array] = {}  # the states that all rows share, if they came with the parameters
        self._plans: dict[object, Plan] = {}
        self._giving: dict[frozenset[str], NumpyProgram] = {}
        if parameters is None:
            for address, array in initial_parameters(graph, seed):
                self.arrays[address] = array.astype(dtype, copy=False)
        else:
            self.load(parameters)

    # ------------------------------------------------------------ parameters

    def parameters(self) -> dict[str, Array]:
        """Copies of the parameters by address."""
        return {address: array.copy() for address, array in self.arrays.items()}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Replace all parameters; raises E0807 with every address that is missing, unknown or of another shape, and
        changes nothing then."""
        check_parameters(arrays, self.graph)
        addresses = dict.fromkeys(address for info in self.graph.parameters for address in info.addresses())
        own = isinstance(arrays, Deferred)  # what is made for who asks need not be copied
        found: dict[str, Array] = {}
        with np.errstate(over="ignore"):  # what is too large is infinite, as everywhere
            for address, array in arrays.items():
                if address in addresses:
                    found[address] = np.asarray(array, self.dtype) if own else np.array(array, self.dtype)
        self.arrays = {address: found[address] for address in addresses}
        self.store(self.weights_as)
        self.shared = shared_stacks(self.graph, arrays)

    def store(self, kind: str) -> None:
        """Round the matrices to what `kind` holds (`attndsl.running.weights_as`). Raises E0812 for another kind."""
        require_known(kind)
        self.weights_as = kind
        for address, axes in matrices(self.graph).items() if kind != FLOAT32 else ():
            self.arrays[address][...] = rounded(self.arrays[address], axes, kind)

    def giving(self, names: Sequence[str]) -> NumpyProgram:
        """A program with these very parameters that gives these outputs alone, for training. A loss whose logits nobody
        asks for goes over its rows in chunks (`LinearCrossEntropy`), and scans as `TRAINED` says."""
        asked = frozenset(names)
        if asked not in self._giving:
            graph, _ = optimize(self.graph.giving(asked), passes=TRAINED)
            program = self._giving[asked] = copy(self)
            program.graph, program._plans, program._giving = graph, {}, {}
        program = self._giving[asked]
        program.arrays, program.shared = self.arrays, self.shared
        return program

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
        return Results.of(self.graph, self.outputs(inputs, outputs, training, seed, step, dump))

    def outputs(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
        dump: Sequence[str] = (),
    ) -> dict[str, Array]:
        """The same, with states among the inputs and the outputs, all layers of each in one array."""
        execution = self._execution(inputs, check_inputs(self.graph, inputs), training, seed, step, dump)
        names = chosen_outputs(self.graph, outputs, inputs)
        found = {name: array for name, (array, _) in execution.top(names).items()} | execution.watch.collected()
        return {name: self._own(array, execution) for name, array in found.items()}

    def begin(
        self,
        inputs: Mapping[str, Array],
        slots: Mapping[str, int] | None = None,
        sources: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """States for texts of which nothing has been read, as `advance` takes them."""
        given = {name: array.copy() for name, array in (sources or {}).items()}
        return {**empty_stacks(self.graph, inputs, slots, self.dtype, sources), **self.shared, **given}

    def advance(
        self,
        inputs: Mapping[str, Array],
        stacks: Mapping[str, Array],
        outputs: Sequence[str],
        slots: Mapping[str, int] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """The outputs by name, and the states for the next call."""
        views = in_use(slot_places(self.graph), stacks, slots or {})
        check_inputs(self.graph, inputs)
        given = {**inputs, **views}
        execution = self._execution(given, check_shapes(self.graph, given, rules=False))
        names = chosen_outputs(self.graph, outputs, inputs)
        found = {name: self._own(array, execution) for name, (array, _) in execution.top(names).items()}
        return {name: found[name] for name in outputs}, kept(self.graph.state_names, stacks, views, found)

    def native(self, array: Array) -> Array:
        """A state of ints as it is kept here."""
        return np.asarray(array, np.int64)

    def chosen_rows(
        self,
        stacks: Mapping[str, Array],
        rows: Sequence[int],
        slots: Mapping[str, int] | None = None,
        stay: Collection[str] = (),
    ) -> dict[str, Array]:
        """States of these rows, in this order; a row may be there several times."""
        places = row_places(self.graph)

        def several(name: str, stack: Array) -> Array:
            return stack.take(rows, places[name])

        return chosen(places, slot_places(self.graph), stacks, rows, slots or {}, stay, several)

    def _own(self, array: Array, execution: Execution) -> Array:
        """The array, or a copy where writing to it would change a parameter or an input, or is not possible."""
        others = (*self.arrays.values(), *execution.inputs.values())
        shared = not array.flags.writeable or any(np.may_share_memory(array, other) for other in others)
        return array.copy() if shared else array

    def gradients(
        self,
        inputs: Mapping[str, Array],
        cotangents: Mapping[str, Array],
        also: Sequence[str] = (),
        *,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
    ) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
        """The outputs named in `cotangents`, and those in `also`; the gradients of sum(output * cotangent) over the
        first by parameter address; the same by float input. What they do not depend on has a gradient of zeros."""
        inputs = {**self.shared, **inputs}
        execution = self._execution(inputs, check_inputs(self.graph, inputs), training, seed, step)
        execution.tape = tape = Tape()
        names = chosen_outputs(self.graph, (*cotangents, *also), inputs)
        floats = self.graph.own_inputs  # no gradient flows into the call before this one
        leaves = {i.name: tape.slot() for i in floats if i.name in inputs and i.value.type.is_float}
        found = execution.top(names, leaves)
        seeds = [
            (slot, np.broadcast_to(np.asarray(cotangents[name], self.dtype), array.shape))
            for name, (array, slot) in found.items()
            if slot is not None and name in cotangents
        ]
        with np.errstate(all="ignore"):
            gradients = tape.backward(seeds)
        outputs = {name: array for name, (array, _) in found.items()}
        given: set[int] = set()

        def own(slot: int | None, like: Array) -> Array:
            """The gradient in a slot, as an array that nothing else shares."""
            found = gradients.get(slot) if slot is not None else None
            if found is None:
                return np.zeros(like.shape, self.dtype)
            shared = found.base is not None or id(found) in given or not found.flags.c_contiguous
            given.add(id(found))
            return np.array(found) if shared else found

        by_parameter = {a: own(execution.leaves.get(a), array) for a, array in self.arrays.items()}
        by_input = {name: own(slot, execution.inputs[name]) for name, slot in leaves.items()}
        return outputs, by_parameter, by_input

    def loss_and_gradients(
        self, inputs: Mapping[str, Array], output: str, *, training: bool = True, seed: int = 0, step: int = 0
    ) -> tuple[float, dict[str, Array]]:
        """A scalar output and its gradients by parameter address: one step's worth of training."""
        outputs, gradients, _ = self.gradients(inputs, {output: np.ones(())}, training=training, seed=seed, step=step)
        if outputs[output].ndim:
            raise error("E0802", f"`{output}` is not a scalar: only a scalar can be minimised")
        return float(outputs[output]), gradients

    def evaluate(self, node: Node, call: Call, arrays: Sequence[Array]) -> Array:
        """The result of one primitive, given its operands: where a subclass looks on."""
        return node.op.evaluate(call, *arrays)

    def _execution(
        self,
        inputs: Mapping[str, Array],
        sizes: dict[str, int],
        training: bool = False,
        seed: int = 0,
        step: int = 0,
        dump: Sequence[str] = (),
    ) -> Execution:
        call = Call(
            (), Type(FLOAT), sizes, self.dtype, training, seed, step, communicator=self.communicator, block=self.block
        )
        with np.errstate(over="ignore"):
            arrays = {
                info.name: np.asarray(inputs[info.name]).astype(call.dtype(info.value.type.dtype), copy=False)
                for info in self.graph.inputs
                if info.name in inputs
            }
        return Execution(self, call, arrays, Watch(self.graph, dump))

    def plan(
        self, names: tuple[str, ...], watched: frozenset[Value], missing: frozenset[Value], training: bool
    ) -> Plan:
        """How to run the graph for the outputs of these names."""
        key = (names, watched, missing, training)
        if key not in self._plans:
            results = [info.value for info in self.graph.outputs if info.name in names]
            self._plans[key] = plan(self.graph.body, results, watched, missing, training=training)
        return self._plans[key]
