"""An elaboration that notes what it finds out: what each expression of the user's files is, and which names there are
at each statement. Only an editor asks for that, so only it pays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from attndsl.diagnostics import AttnError, Source, Span
from attndsl.elaborate.bounds import Budget
from attndsl.elaborate.elaborator import Elaborator
from attndsl.elaborate.frames import Frame, Labels, Poison, Poisoned
from attndsl.elaborate.spec import Spec
from attndsl.elaborate.values import CompileTimeValue, Evaluated
from attndsl.graph import Value
from attndsl.graph.builder import Builder
from attndsl.records import Frozen, replace
from attndsl.sizes import SizeTooLong
from attndsl.syntax import tree
from attndsl.syntax.limits import room_to_recurse

TABLES = (
    *("parameters", "layers", "counts", "states", "state_places", "kept", "inputs", "outputs", "constraints", "scopes"),
    *("said", "named"),
)
"""What an elaboration has declared: tables that a question must leave as they are."""


class Point(Frozen, eq=False):
    """The names that are there at `offset` of a source, before a statement or after it."""

    offset: int
    frame: Frame


class Recorder(Elaborator):
    """`values` is what stands at a span, `callees` what is applied there, where a body is elaborated several times the
    first time. `points` are in the order of the elaboration."""

    def __init__(self, spec: Spec) -> None:
        self.values: dict[Span, CompileTimeValue] = {}
        self.callees: dict[Span, CompileTimeValue] = {}
        self.points: dict[Source, dict[tuple[int, bool], Point]] = {}
        self.listens = True
        super().__init__(spec)

    def evaluate(self, expression: tree.Expr, frame: Frame) -> CompileTimeValue:
        value = super().evaluate(expression, frame)
        if self.listens and not frame.scope.is_standard:
            self.values.setdefault(expression.span, value)
        return value

    def apply(
        self,
        callee: CompileTimeValue,
        positional: Sequence[Evaluated],
        keywords: dict[str, Evaluated],
        frame: Frame,
        span: Span,
        label: tree.Identifier | None,
    ) -> CompileTimeValue:
        listens = self.listens and not frame.scope.is_standard
        if listens:
            self.callees.setdefault(span, callee)
        value = super().apply(callee, positional, keywords, frame, span, label)
        if listens:
            self.values.setdefault(span, value)
        return value

    def _execute(self, statement: tree.Statement, frame: Frame) -> None:
        listens = self.listens and not frame.scope.is_standard
        if listens:
            self._note(statement.span, frame, after=False)
        super()._execute(statement, frame)
        if not listens:
            return
        self._note(statement.span, frame, after=True)
        for name in _bound(statement):
            binding = frame.names.get(name.text)
            if binding is not None and not isinstance(binding.value, Poison):
                self.values.setdefault(name.span, binding.value)
                if isinstance(binding.value, Value):
                    self.values.setdefault(statement.span, binding.value)

    def _note(self, span: Span, frame: Frame, *, after: bool) -> None:
        points = self.points.setdefault(span.source, {})
        offset = span.end if after else span.start
        if (offset, after) not in points:
            points[offset, after] = Point(offset, _still(frame))

    # ---------------------------------------------------------------- questions afterwards

    def frame_at(self, source: Source, offset: int, begin: int = -1) -> Frame | None:
        """The names at `offset`: those after the last statement before it, of the body that begins at `begin`, or of
        the one around it where that holds nothing yet."""
        points = [point for point in self.points.get(source, {}).values() if point.offset <= offset]
        inside = [point for point in points if point.offset > begin]
        last = max(inside or points, key=lambda point: point.offset, default=None)
        return last.frame if last is not None else None

    def ask(self, expression: tree.Expr, frame: Frame) -> CompileTimeValue | None:
        """What an expression would be in a frame, None where something is wrong with it. Nothing is declared by it."""
        with self._untouched(), suppress(AttnError, Poisoned, SizeTooLong), room_to_recurse():
            inside = _still(frame)
            inside.builder = Builder(frame.builder.scope, outer=frame.builder)
            return self.evaluate(expression, inside)
        return None

    @contextmanager
    def _untouched(self) -> Iterator[None]:
        before = {name: getattr(self, name) for name in TABLES}
        problems, budget = self.problems, self.budget
        for name, table in before.items():
            copied = (
                {k: dict(v) if isinstance(v, dict) else v for k, v in table.items()}
                if isinstance(table, dict)
                else set(table)
            )
            setattr(self, name, copied)
        self.problems, self.budget, self.listens = [], Budget(0), False
        try:
            yield
        finally:
            for name, table in before.items():
                setattr(self, name, table)
            self.problems, self.budget, self.listens = problems, budget, True


def _still(frame: Frame) -> Frame:
    """A frame as it is now, whatever becomes of it."""
    labels = frame.labels
    return replace(
        frame,
        names=dict(frame.names),
        axes={name: dict(count) for name, count in frame.axes.items()},
        labels=Labels(dict(labels.given), set(labels.loops), set(labels.numbered), dict(labels.counts)),
        states=dict(frame.states),
        parent=_still(frame.parent) if frame.parent is not None else None,
    )


def _bound(statement: tree.Statement) -> Sequence[tree.Identifier]:
    if isinstance(statement, tree.Assign):
        return statement.targets
    if isinstance(statement, (tree.LayerDecl, tree.ParamDecl, tree.StateDecl, tree.InputDecl, tree.OutputDecl)):
        return (statement.name,)
    return ()
