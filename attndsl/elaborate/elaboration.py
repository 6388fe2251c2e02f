"""What is known while a model is elaborated, and what every part of the elaborator can ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, Diagnostic, Span, error
from attndsl.elaborate.bounds import Budget
from attndsl.elaborate.values import CompileTimeValue, Evaluated, LayerValue, Place
from attndsl.graph import Axis, Initializer, InputInfo, OutputInfo, ScopeInfo, Type, Value
from attndsl.graph.builder import Builder
from attndsl.records import dataclass
from attndsl.sizes import Constraint, Size
from attndsl.syntax import tree
from attndsl.values import IndexVariable

if TYPE_CHECKING:
    from attndsl.elaborate.frames import Frame


@dataclass(eq=False)
class PendingParameter:
    """A parameter or a state while the repeats in which it is declared are still being elaborated: `loops` are their
    indices, and `stacks` its axes in front along which one is chosen, as `ParameterInfo` has them."""

    address: str
    type: Type
    initializer: Initializer
    loops: tuple[IndexVariable, ...]
    span: Span
    site: Span | None
    what: str = "parameter"
    stacks: tuple[int, ...] = ()


@dataclass(eq=False)
class PendingState:
    """All layers of a state of one address, type and initial value: the input `name`, and what is read of it. `loops`
    are the axes of the repeats in which it is declared, the outermost first."""

    name: str
    type: Type
    value: Value
    loops: tuple[Axis, ...]
    span: Span


@dataclass(eq=False)
class Kept:
    """A state in one body: what it is there at entry, and for the next call (None: the same). `at` is where that was
    written."""

    state: PendingState
    read: Value
    builder: Builder
    next: Value | None = None
    at: Span | None = None


class Elaboration(ABC):
    """One elaboration: what it has declared so far, and the four things that its parts ask of the whole. They stand in
    `attndsl.elaborate.elaborator`, above all the parts. `sizes` are the integer hyperparameters' values."""

    def __init__(self, characters: int) -> None:
        self.budget = Budget(characters)
        self.sizes: dict[str, int] = {}
        self.parameters: dict[str, dict[tuple[IndexVariable, ...], PendingParameter]] = {}
        self.layers: dict[tuple[str, tuple[IndexVariable, ...]], LayerValue] = {}
        self.counts: dict[tuple[str, tuple[IndexVariable, ...]], Size] = {}
        self.states: dict[tuple[str, Type, Initializer], PendingState] = {}
        self.state_places: dict[str, dict[tuple[IndexVariable, ...], PendingParameter]] = {}
        self.scans: set[Builder] = set()  # those that build the body of a scan
        self.kept: dict[Builder, dict[PendingState, Kept]] = {}  # the states of each body
        self.inputs: dict[str, InputInfo] = {}
        self.outputs: dict[str, OutputInfo] = {}
        self.constraints: dict[tuple[str, Size, Size], Constraint] = {}
        self.scopes: dict[str, ScopeInfo] = {}
        self.problems: list[Diagnostic] = []
        self.said: set[tuple[str, Span | None]] = set()  # codes and places of the problems
        self.named: dict[tuple[Builder, str], Value] = {}

    @property
    @abstractmethod
    def declared(self) -> Iterable[str]:
        """The names of the model, hyperparameters and sizes of inputs among them, in the order of their declaration."""

    @abstractmethod
    def execute(self, statements: Sequence[tree.Statement], frame: Frame) -> None:
        """Run statements in order. Mistakes are collected statement by statement; what a failed one would have bound is
        poisoned, so that nothing is said twice. In a block the first mistake ends the block (its caller reports it)."""

    @abstractmethod
    def evaluate(self, expression: tree.Expr, frame: Frame) -> CompileTimeValue:
        """The value of an expression in a frame."""

    @abstractmethod
    def apply(
        self,
        callee: CompileTimeValue,
        positional: Sequence[Evaluated],
        keywords: dict[str, Evaluated],
        frame: Frame,
        span: Span,
        label: tree.Identifier | None,
    ) -> CompileTimeValue:
        """What a call means. A block without its tensors is a block value; with them, its body's results."""

    @abstractmethod
    def enter(self, body: tree.Scope | tree.Repeat | tree.Scan, frame: Frame) -> CompileTimeValue:
        """The body's value: what a scope returns, what a repeat or scan emits (else what it carries)."""

    # ---------------------------------------------------------------- what is declared

    def report(self, problem: AttnError) -> None:
        """Keep the diagnostics of `problem` that have not been said: a block called in many places fails once."""
        for diagnostic in problem.diagnostics:
            said = (diagnostic.code, diagnostic.primary.span if diagnostic.primary else None)
            if said not in self.said:
                self.said.add(said)
                self.problems.append(diagnostic)

    def declare_layer(self, layer: LayerValue) -> LayerValue:
        """Note a layer, so that it is found as a member of the one that holds it."""
        self.layers[layer.place.path, layer.place.loops] = layer
        return layer

    def declare_loop(self, place: Place, count: Size, span: Span) -> None:
        """Note how often the repeat at `place` goes round: as often whenever a layer that holds it is applied."""
        known = self.counts.setdefault((place.path, place.loops), count)
        if known != count:
            raise error(
                "E0206",
                f"`{place.path}` runs `{count}` times here, but ran `{known}` times before, in one layer",
                span,
                help="a layer is shared between tensors of the same axes only",
            )

    def require(self, constraint: Constraint) -> None:
        """Check a constraint now if every size in it is known, else keep it for the call."""
        holds = constraint.holds(self.sizes)
        if holds is False:
            raise AttnError(constraint.failure(self.sizes))
        if holds is None:
            self.constraints.setdefault((constraint.relation, constraint.left, constraint.right), constraint)
