"""Which scans are linear in what they carry, found by what each op of a body is linear in, and why others are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attndsl.graph import Axis, Node, Region, Type, Value
from attndsl.ops import Dot, Scan, Sum
from attndsl.passes.base import Refusal
from attndsl.passes.feedback import Feedback, feedbacks
from attndsl.passes.linear import Forms, ProductTerm, moving
from attndsl.records import Frozen
from attndsl.types import FLOATS

MOST_KEPT = 8192
"""How many elements a state may have of which each step's is kept as a whole, unless it is given out."""
LEAST_SHARED = 8
"""How many elements of a state one decay must at least be shared by for products of matrices to be worth while."""


class LinearState(Frozen):
    """A step makes `sum of kept * h + sum of added` of it, and adds what it reads of it in `fed`; each term of `kept`
    multiplies it element by element."""

    type: Type
    kept: tuple[ProductTerm, ...]
    added: tuple[ProductTerm, ...]
    fed: tuple[Feedback, ...] = ()

    @property
    def every_added(self) -> tuple[ProductTerm, ...]:
        """All that is added in a step, what is fed back included."""
        return (*self.added, *(term for each in self.fed for term in each.added))


class Readout(Frozen):
    """A product of a state with factors, summed over labels: of the state that a step leaves (`after`), or finds."""

    state: int
    after: bool
    term: ProductTerm


class LinearScan(Frozen, eq=False):
    """A scan whose states are linear in themselves. `readouts` are values of the body that are linear in the states,
    and all that its emissions need of these."""

    node: Node
    states: tuple[LinearState, ...]
    readouts: Mapping[Value, tuple[ProductTerm | Readout, ...]]
    sizes: Mapping[str, int]

    @property
    def op(self) -> Scan:
        assert isinstance(self.node.op, Scan)
        return self.node.op

    @property
    def axis(self) -> Axis:
        return self.op.axis

    @property
    def region(self) -> Region:
        (region,) = self.node.regions
        return region

    @property
    def emitted(self) -> tuple[Value, ...]:
        return self.region.results[self.op.carried :]

    @staticmethod
    def of(node: Node, sizes: Mapping[str, int]) -> LinearScan:
        """What a scan is, if it is one. Raises `Refusal`."""
        (region,), op = node.regions, node.op
        assert isinstance(op, Scan)
        if op.reverse:
            raise Refusal("it goes backwards")
        _has_no_axis_of_the_steps(node, region, op.axis)
        states, ends = region.parameters[1:], region.results[: op.carried]
        found = tuple(_state(node, state, end) for state, end in zip(states, ends, strict=True))
        return LinearScan(node, found, _Readouts(node, found, sizes).found(), sizes)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        reads = max((len(state.fed) for state in self.states), default=0)
        if not reads:
            return "linear in what it carries"
        times = {1: "", 2: " twice"}.get(reads, f" {reads} times")
        return f"a delta rule, which corrects what it carries{times} in a step by what it reads of it"

    @property
    def common(self) -> set[Axis]:
        """The axes of all that is added to states and that reads them: batches of products of matrices."""
        terms = [term for state in self.states for term in state.every_added]
        terms += [each.read for state in self.states for each in state.fed]
        terms += [each.term for read in self.readouts.values() for each in read if isinstance(each, Readout)]
        axes = [{*factor.labels} for term in terms for factor in term.factors if len(factor.labels) > 1]
        return set.intersection(*axes) if axes else set()

    def key(self, root: Value, place: int) -> tuple[int, int]:
        return list(self.readouts).index(root), place

    def of_state(self, number: int) -> Iterator[tuple[tuple[int, int], Readout]]:
        """What is read of a state, by the places of the value and of the term in that."""
        for root, terms in self.readouts.items():
            for place, term in enumerate(terms):
                if isinstance(term, Readout) and term.state == number:
                    yield self.key(root, place), term

    def by_matrix(self, state: LinearState, decay: set[Axis]) -> bool:
        """Whether products of matrices are the way to what a chunk adds, where the decay has these axes."""
        if state.fed:
            return not any({*each.over} & decay for each in state.fed)
        shared = 1
        for axis in state.type.axes:
            if axis not in decay:
                shared *= axis.size.known(self.sizes) or 1
        number = self.states.index(state)
        summed = {
            axis
            for _, readout in self.of_state(number)
            for axis, label in zip(state.type.axes, readout.term.labels, strict=True)
            if label in readout.term.sums
        }
        return shared >= LEAST_SHARED and not summed & decay


def _has_no_axis_of_the_steps(node: Node, region: Region, axis: Axis) -> None:
    """What a step makes gets the axis of the steps, and cannot have it already."""
    made = [(node, value) for value in region.parameters]
    made += [(inner, value) for inner in region.walk() for value in inner.outputs]
    for maker, value in made:
        if any(each.name == axis.name for each in value.type.axes):
            raise Refusal(f"a step computes with `{axis.name}`, the axis of the steps, as a whole", maker)


def _state(node: Node, state: Value, end: Value) -> LinearState:
    if state.type.dtype not in FLOATS:
        raise Refusal("it carries what is no float")
    kept: list[ProductTerm] = []
    added: list[ProductTerm] = []
    read: list[ProductTerm] = []
    forms = Forms(node, (state,), "s")
    for term in forms.of(end):
        if term.atom is None:
            added.append(forms.apart(term, term.sums))
            continue
        term = forms.apart(term, state.type.axes)
        (kept if term.labels == state.type.axes else read).append(term)
    fed = feedbacks(state, read)
    if isinstance(fed, ProductTerm):
        (maker,) = (each for each in node.regions[0].nodes if end in each.outputs)
        raise Refusal("what it carries is multiplied with a matrix", maker)
    return LinearState(state.type, tuple(kept), tuple(added), fed)


class _Readouts:
    """Looks for what the emissions of a scan need of its states: the first values on the way that are sums over axes of
    a state, and else the states."""

    def __init__(self, node: Node, states: tuple[LinearState, ...], sizes: Mapping[str, int]) -> None:
        self.node, self.states, self.sizes = node, states, sizes
        (self.region,) = node.regions
        self.makers = {value: made for made in self.region.nodes for value in made.outputs}
        self.moving = moving(node)
        count = len(states)
        self.atoms = {
            value: (i, True) for i, value in enumerate(self.region.results[:count]) if value in self.moving
        } | {value: (i, False) for i, value in enumerate(self.region.parameters[1:])}
        self.forms = Forms(node, self.atoms, "r")
        self.whole = self._whole()
        self.seen: set[Value] = set()
        self.made: dict[Value, tuple[ProductTerm | Readout, ...]] = {}

    def _whole(self) -> set[Value]:
        """The values with all elements of a state."""
        whole = set(self.atoms)
        for node in self.region.nodes:
            if not whole.isdisjoint(node.inputs) and not self._sums(node, whole):
                whole.update(node.outputs)
        return whole

    def _sums(self, node: Node, whole: set[Value]) -> bool:
        axes = {axis for value in node.inputs if value in whole for axis in value.type.axes}
        return isinstance(node.op, Dot | Sum) and not axes.isdisjoint(node.op.over)

    def found(self) -> Mapping[Value, tuple[ProductTerm | Readout, ...]]:
        for value in self.region.results[len(self.states) :]:
            self._look(value)
        return self.made

    def _look(self, value: Value) -> None:
        if value not in self.moving or value in self.seen:
            return
        self.seen.add(value)
        node = self.makers.get(value)
        sums = node is not None and value not in self.atoms and self._sums(node, self.whole)
        if value in self.atoms or sums:
            try:
                self.made[value] = tuple(map(self._readout, self.forms.of(value)))
            except Refusal:
                if value in self.atoms:
                    raise
            else:
                if value in self.atoms:
                    self._keep(value)
                return
        assert node is not None
        if node.regions:
            raise Refusal(f"a `{node.op.name}` reads what it carries", node)
        for operand in node.inputs:
            self._look(operand)

    def _keep(self, state: Value) -> None:
        """Refuse where a large state is kept as a whole for all steps, though less of it is given out."""
        emitted = self.region.results[len(self.states) :]
        elements = 1
        for axis in state.type.axes:
            elements *= axis.size.known(self.sizes) or 1
        if elements > MOST_KEPT and not any({*state.type.axes} <= {*value.type.axes} for value in emitted):
            raise Refusal("what is read of its state is not linear, and the states of all steps are too large to keep")

    def _readout(self, term: ProductTerm) -> ProductTerm | Readout:
        if term.atom is None:
            return term
        state, after = self.atoms[term.atom]
        return Readout(state, after, term)
