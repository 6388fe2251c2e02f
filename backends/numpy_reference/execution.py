"""One run of a graph: node by node, or a chain of nodes block by block, with the tape that leads back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from attndsl.addresses import filled
from attndsl.backends.numpy_reference.blocks import Block, at, blocks, evaluate, for_each, gradient, hollow
from attndsl.backends.numpy_reference.dump import Watch
from attndsl.backends.numpy_reference.plan import Plan, PlannedNode, PlannedStep, taken
from attndsl.backends.numpy_reference.tape import PartialGradient, Tape
from attndsl.diagnostics import AttnError, Label, error
from attndsl.graph import Node, Type, Value
from attndsl.ops.base import OUTPUT, Call
from attndsl.ops.control import OneOf, Repeat, Scan, stacked_at
from attndsl.ops.generators import Parameter
from attndsl.records import dataclass, field, replace

if TYPE_CHECKING:
    from attndsl.backends.numpy_reference.evaluator import NumpyProgram

Array = np.ndarray[Any, Any]
Entry = tuple[Array, "int | None"]  # a value's array, and its slot on the tape where a gradient may flow through it


@dataclass(slots=True)
class Execution:
    """One run of a program: the indices of the loops that it is in are in `call.indices`, those of repeats by address
    in `loops`."""

    program: NumpyProgram
    call: Call
    inputs: dict[str, Array]
    watch: Watch
    tape: Tape | None = None
    loops: Mapping[str, int] = field(default_factory=dict)
    missing: frozenset[Value] = frozenset()  # inputs that the call left out
    leaves: dict[str, int] = field(default_factory=dict)  # the slots of parameters, by address

    def top(self, names: tuple[str, ...], leaves: Mapping[str, int] | None = None) -> dict[str, Entry]:
        """Run the graph's body for the outputs of these names."""
        graph = self.program.graph
        values: dict[Value, Entry] = {}
        for info in graph.inputs:
            if info.name in self.inputs:
                values[info.value] = (self.inputs[info.name], (leaves or {}).get(info.name))
        self.missing = frozenset(info.value for info in graph.inputs if info.value not in values)
        plan = self.program.plan(names, self.watch.values, self.missing, self.call.training)
        for info in graph.inputs:
            if info.value in self.missing and info.value in plan.reads:
                raise error("E0803", f"the input `{info.name}` is needed for this, and is not given", info.span)
        with np.errstate(all="ignore"):
            found = self.run(plan, values)
        return dict(zip([info.name for info in graph.outputs if info.name in names], found, strict=False))

    def run(self, plan: Plan, values: dict[Value, Entry]) -> list[Entry]:
        """Run a plan, and give its results. `values` holds what it reads, and is used up."""
        self.see(plan.region.parameters, values)
        for step in plan.steps:
            if step.rows and self.tape is None and len(pieces := self.blocks(step)) > 1:
                self.chain(step, pieces, values)
                continue
            for planned in step.nodes:
                self.node(planned, values)
                for value in planned.dead:
                    values.pop(value, None)  # a stack that nothing reads is not made
        return [values[value] for value in plan.results]

    def node(self, planned: PlannedNode, values: dict[Value, Entry]) -> None:
        """Run one node, and set its outputs in `values`."""
        node = planned.node
        try:
            if isinstance(node.op, Repeat | Scan):
                self.loop(node.op, planned, values)
            elif isinstance(node.op, OneOf):
                values[node.output] = values[taken(node.op, node, self.missing, self.call.training)]
            else:
                values[node.output] = self.apply(node, [values[value] for value in node.inputs])
        except AttnError as problem:
            raise _placed(problem, node) from None
        self.see(node.outputs, values)

    def blocks(self, step: PlannedStep) -> list[Block]:
        """The blocks on which a chain is run, so large that the largest value of each is as large as it should be."""
        elements = max(math.prod(self.call.shape(planned.node.output.type)) for planned in step.nodes)
        return blocks(self.call, step.rows, elements)

    def chain(self, step: PlannedStep, pieces: Sequence[Block], values: dict[Value, Entry]) -> None:
        """Run nodes together, block by block. Only what is read later is ever there as a whole."""
        calls = [self.told(planned.node) for planned in step.nodes]
        given = {v: values[v][0] for planned in step.nodes for v in planned.node.inputs if v in values}
        made: dict[Value, Array] = {}
        for value in step.made:
            spare = step.spare.get(value)
            made[value] = (
                given[spare] if spare else np.empty(self.call.shape(value.type), self.call.dtype(value.type.dtype))
            )

        def work(number: int, block: Block) -> None:
            local: dict[Value, Array] = {}
            for planned, call in zip(step.nodes, calls, strict=True):
                node = planned.node
                arrays = [local[v] if v in local else given[v][at(block, v.type.axes)] for v in node.inputs]
                local[node.output] = self.compute(node, call, arrays, block)
                for value in planned.dead:
                    local.pop(value, None)
            for value, array in made.items():
                array[at(block, value.type.axes)] = local[value]

        for_each(pieces, work)
        for planned in step.nodes:
            for value in planned.dead:
                values.pop(value, None)
        values.update({value: (array, None) for value, array in made.items()})
        self.see(step.made, values)

    def see(self, made: tuple[Value, ...], values: Mapping[Value, Entry]) -> None:
        """Keep those that are watched."""
        for value in made if self.watch.values else ():
            if value in values:
                self.watch.see(value, values[value][0], self.loops)

    def apply(self, node: Node, operands: list[Entry]) -> Entry:
        """Run a primitive, and write down how its gradient flows."""
        if isinstance(node.op, Parameter):
            return self.parameter(node.op)
        arrays, slots = [array for array, _ in operands], tuple(slot for _, slot in operands)
        call = self.told(node, tuple(slot is not None for slot in slots))
        compute = partial(self.compute, node, call)
        if self.tape is None:
            return compute(arrays), None
        rows = () if node.op.view else node.op.rows(call.output, training=call.training)
        pieces = blocks(call, rows, math.prod(call.shape(call.output))) if rows else [{}]
        result = evaluate(compute, call, pieces, arrays)
        if not (node.op.differentiable and call.output.is_float and any(call.needed)):
            return result, None
        place = node.op.part(call, *arrays)
        if place is not None:
            rest, shape = (None,) * (len(arrays) - 1), arrays[0].shape
            return result, self.tape.record(slots, lambda up: (PartialGradient(place, up, shape), *rest))
        looked = node.op.kept(call.needed)
        read = [array if i in looked else hollow(array) for i, array in enumerate(arrays)]
        output = result if OUTPUT in looked else hollow(result)
        if len(pieces) > 1 and looked:  # else it only passes on what it gets
            return result, self.tape.record(slots, lambda up: gradient(node.op, call, pieces, up, output, read))
        return result, self.tape.record(slots, lambda up: node.op.gradient(call, up, output, *read))

    def told(self, node: Node, needed: tuple[bool, ...] = ()) -> Call:
        """What a node's op is told."""
        return self.call.of(tuple([value.type for value in node.inputs]), node.output.type, needed)

    def compute(self, node: Node, call: Call, arrays: Sequence[Array], block: Block | None = None) -> Array:
        """The result of a primitive, or a block of it. If it is not what the checker said, that is a mistake of this
        program, never of its user."""
        result = np.asarray(self.program.evaluate(node, call, arrays))
        shape, dtype = call.shape(call.output), call.dtype(call.output.dtype)
        if block:
            lengths = zip(call.output.axes, shape, strict=True)
            shape = tuple([(s := block[axis]).stop - s.start if axis in block else length for axis, length in lengths])
        if result.shape != shape or result.dtype != dtype:
            wrong = f"{result.dtype}{list(result.shape)} where {dtype}{list(shape)} ({call.output}) was inferred"
            raise AssertionError(f"{node.op} gave {wrong}, from {', '.join(map(str, call.inputs))}")
        return result

    def parameter(self, op: Parameter) -> Entry:
        address = filled(op.address, self.loops)
        if self.tape is not None and address not in self.leaves:
            self.leaves[address] = self.tape.slot()
        return self.program.arrays[address], self.leaves.get(address)

    def loop(self, op: Repeat | Scan, step: PlannedNode, values: dict[Value, Entry]) -> None:
        """Run a repeat or a scan, and set its outputs in `values`, without the stacks that nothing reads."""
        node = step.node
        size = op.count if isinstance(op, Repeat) else op.axis.size
        rounds = range(self.call.length(size)) if all(values[value][0] for value in node.active) else range(0)
        backwards = isinstance(op, Scan) and op.reverse
        cases = op.cases if isinstance(op, Repeat) else None
        carried = given = [values[value] for value in node.starts]
        emitted: dict[Value, list[Entry]] = {v: [] for v in node.outputs[op.carried :] if v not in step.dead}
        outer_call, outer_loops = self.call, self.loops
        nested = any(isinstance(each.op, Repeat) for region in node.regions for each in region.walk())
        recompute = self.program.recompute and self.tape is not None and isinstance(op, Repeat) and not nested
        for i in reversed(rounds) if backwards else rounds:
            self.call = replace(outer_call, indices=(*outer_call.indices, i))
            if isinstance(op, Repeat):
                self.loops = {**outer_loops, op.path: i}
            body = step.bodies[cases[i] if cases else 0]
            inner = {value: values[value] for value in body.captured}
            inner.update(zip(body.region.parameters, [(np.asarray(i, np.int64), None), *carried], strict=True))
            results = self.again(body, inner) if recompute else self.run(body, inner)
            carried = results[: op.carried]
            for stack, entry in zip(emitted.values(), results[op.carried :], strict=False):
                stack.append(entry)
        self.call, self.loops = outer_call, outer_loops
        made = dict(zip(node.outputs, carried, strict=False))
        for value, entries in emitted.items():
            made[value] = self.stack(entries[::-1] if backwards else entries, value.type)
        values.update(self.joined(made, given) if node.active else made)

    def joined(self, made: dict[Value, Entry], given: list[Entry]) -> dict[Value, Entry]:
        """What a repeat that may be inactive gives: each float with a gradient, which reaches all that it is given."""
        floats = [value for value in made if value.type.is_float]
        if self.tape is None or not floats:
            return made
        inner = [made[value][1] for value in floats]
        reached = [(slot, array) for array, slot in given if slot is not None]

        def gradients(upstreams: list[Array | None]) -> list[tuple[int, Array]]:
            pairs = zip(inner, upstreams, strict=True)
            found = [(slot, up) for slot, up in pairs if slot is not None and up is not None]
            return found + [(slot, np.zeros_like(array)) for slot, array in reached]

        slots = self.tape.record_together(len(floats), gradients)
        return made | {value: (made[value][0], slot) for value, slot in zip(floats, slots, strict=True)}

    def again(self, body: Plan, given: dict[Value, Entry]) -> list[Entry]:
        """Run a body, and keep nothing of it but what it was given: for its gradients it is run again."""
        tape, call, loops = self.tape, self.call, self.loops
        assert tape is not None
        self.tape = None
        arrays = [array for array, _ in self.run(body, {value: (array, None) for value, (array, _) in given.items()})]
        self.tape = tape

        def gradients(upstreams: list[Array | None]) -> list[tuple[int, Array]]:
            around = self.call, self.loops, self.leaves
            inner = self.tape = Tape()
            self.call, self.loops, self.leaves = call, loops, {}
            slots = {value: inner.slot() for value, (_, slot) in given.items() if slot is not None}
            found = self.run(body, {value: (array, slots.get(value)) for value, (array, _) in given.items()})
            own, self.tape = self.leaves, tape
            self.call, self.loops, self.leaves = around
            shares = inner.backward(
                [(s, up) for (_, s), up in zip(found, upstreams, strict=True) if s is not None and up is not None]
            )
            targets = {slot: given[value][1] for value, slot in slots.items()}
            for address, slot in own.items():
                if address not in self.leaves:
                    self.leaves[address] = tape.slot()
                targets[slot] = self.leaves[address]
            return [(target, shares[slot]) for slot, target in targets.items() if target is not None and slot in shares]

        made = tape.record_together(len(arrays), gradients)
        return [(a, slot if a.dtype.kind == "f" else None) for a, slot in zip(arrays, made, strict=True)]

    def stack(self, entries: list[Entry], type: Type) -> Entry:
        """Emissions side by side along the axis of the steps."""
        at = stacked_at(Type(type.dtype, type.axes[1:]))
        if not entries:
            return np.zeros(self.call.shape(type), self.call.dtype(type.dtype)), None
        result = np.stack([array for array, _ in entries], at)
        slots = tuple(slot for _, slot in entries)
        if self.tape is None or all(slot is None for slot in slots):
            return result, None
        return result, self.tape.record(slots, partial(np.moveaxis, source=at, destination=0))


def _placed(problem: AttnError, node: Node) -> AttnError:
    """The error with the node's place, for what an op said without knowing where it stands."""
    if node.at is None:
        return problem
    label = Label(node.at)
    return AttnError(*(d if d.primary else replace(d, primary=label) for d in problem.diagnostics))
