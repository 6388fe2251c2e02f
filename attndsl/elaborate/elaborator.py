"""The elaborator: a spec's model walked from its first statement to its last, tensors becoming nodes on the way.

`Elaborator.graph` is the whole way. `execute` goes through the statements of a body, `evaluate` gives what an
expression is, `apply` what a call means, `enter` runs the body of a scope, repeat or scan; each leaves the one kind of
tree or value that it has before it to the function that its table names. So `attention(x, 2)` is a `tree.Call`, which
`expressions.call` takes apart; what is called is a `BlockValue`, which `calls.apply_block` matches with its signature;
its body comes back here, to `execute`, until `dot(…)` is a `Primitive`, for which `primitives.apply` emits a node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attndsl.diagnostics import AttnError, Span, error
from attndsl.elaborate import (
    bodies,
    calls,
    expressions,
    index_functions,
    inputs,
    primitives,
    statements,
    subscripts,
)
from attndsl.elaborate.elaboration import Elaboration
from attndsl.elaborate.equalities import settled
from attndsl.elaborate.frames import Frame, Poisoned, Viewpoint
from attndsl.elaborate.parameters import declared_parameters
from attndsl.elaborate.settings import Setting, bind_hyperparameters
from attndsl.elaborate.spec import Spec
from attndsl.elaborate.values import (
    BlockValue,
    CompileTimeValue,
    Evaluated,
    IndexFunctionValue,
    LayerValue,
    Primitive,
    describe,
    kind_of,
    shown,
)
from attndsl.graph import Graph, InputInfo, OutputInfo, Region, StateInfo, Value
from attndsl.graph.builder import Builder
from attndsl.graph.verify import verify
from attndsl.records import replace
from attndsl.sizes import SizeTooLong
from attndsl.syntax import tree
from attndsl.values import List, Nothing, Number, Text, too_long

STATEMENTS: Mapping[type, Callable[[Any, Frame], object]] = {
    tree.Assign: statements.assign,
    tree.LayerDecl: statements.declare_layer,
    tree.ParamDecl: statements.declare_parameter,
    tree.StateDecl: statements.declare_state,
    tree.StateWrite: statements.write_state,
    tree.InputDecl: inputs.declare_input,
    tree.OutputDecl: inputs.declare_output,
    tree.RequireDecl: statements.require,
    tree.If: statements.branch,
    tree.Return: statements.give_back,
    tree.Emit: statements.emit_values,
    tree.Scope: lambda node, frame: frame.elaborator.enter(node, frame),
    tree.Repeat: lambda node, frame: frame.elaborator.enter(node, frame),
    tree.Scan: lambda node, frame: frame.elaborator.enter(node, frame),
}

EXPRESSIONS: Mapping[type, Callable[[Any, Frame], CompileTimeValue]] = {
    tree.Number: lambda node, frame: Number.of(node.value),
    tree.Boolean: lambda node, frame: Number.of(node.value),
    tree.String: lambda node, frame: Text(node.value),
    tree.Name: expressions.name,
    tree.Attribute: expressions.attribute,
    tree.Unary: expressions.unary,
    tree.Chain: expressions.chain,
    tree.Conditional: expressions.conditional,
    tree.Call: expressions.call,
    tree.Labelled: expressions.labelled,
    tree.Pipe: expressions.pipe,
    tree.List: subscripts.literal,
    tree.Arrow: subscripts.arrow,
    tree.Subscript: subscripts.subscript,
    tree.Scope: lambda node, frame: frame.elaborator.enter(node, frame),
    tree.Repeat: lambda node, frame: frame.elaborator.enter(node, frame),
    tree.Scan: lambda node, frame: frame.elaborator.enter(node, frame),
}

BODIES: Mapping[type, Callable[[Any, Frame], CompileTimeValue]] = {
    tree.Scope: bodies.scope,
    tree.Repeat: bodies.repeat,
    tree.Scan: bodies.scan,
}


class Elaborator(Elaboration):
    """The elaboration of one spec's model."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec.scope.library.length)
        self.spec = spec
        self.builder = Builder()
        self.top = Frame(
            self, spec.scope, self.builder, "model", viewpoint=Viewpoint(in_user_file=not spec.scope.is_standard)
        )

    def graph(self, settings: Mapping[str, Setting]) -> Graph:
        """The checked graph at these settings. Raises `AttnError` with one diagnostic for every mistake found."""
        hyperparameters = bind_hyperparameters(self.spec, settings, self.top)
        with suppress(Poisoned):
            self.execute(self.spec.model.body, self.top)
        self._check()
        given, body, outputs, declared = self._body()
        spec, model = self.spec, self.spec.model
        graph = Graph(
            name=model.name.text,
            hyperparameters={name: _as_told(value) for name, value in hyperparameters.items()},
            sizes=dict(self.sizes),
            inputs=given,
            outputs=outputs,
            parameters=tuple(declared_parameters(self.parameters.values())),
            constraints=tuple(self.constraints.values()),
            scopes=dict(self.scopes),
            body=body,
            variant=spec.variant.name.text if spec.variant else None,
            doc=model.doc or spec.file.doc,
            span=model.span,
            origin=spec.source.name,
            kinds=dict(kind for name, value in hyperparameters.items() for kind in _kinds(name, value)),
            states=declared,
        )
        verify(graph)
        return graph

    def _check(self) -> None:
        """Raise what was found wrong; what is asked of the whole model is only asked where nothing was."""
        name = self.spec.model.name
        if not self.problems and not self.outputs:
            help = "say what it computes: `output y = …`"
            self.report(error("E0114", f"`{name.text}` has no output", name.span, help=help))
        if not self.problems:
            inputs.check_defaults(self)
        if self.problems:
            raise AttnError(*sorted(self.problems, key=lambda d: d.primary.span.in_file.start if d.primary else -1))

    def _body(self) -> tuple[tuple[InputInfo, ...], Region, tuple[OutputInfo, ...], tuple[StateInfo, ...]]:
        """The inputs, the body from them to the outputs, the outputs with the inputs that each needs, and the states
        among both."""
        outputs = tuple(self.outputs.values())
        declared: tuple[StateInfo, ...] = ()
        if self.states:
            from attndsl.elaborate import states  # most models have none

            outputs, declared = (*outputs, *states.outputs_of(self, self.builder)), states.declared_states(self)
        given = tuple(self.inputs.values())
        body = Region(tuple(i.value for i in given), tuple(self.builder.nodes), tuple(o.value for o in outputs))
        needed = inputs.inputs_needed(body, given, self.sizes)
        outputs = tuple(replace(o, needs=those) for o, those in zip(outputs, needed, strict=True))
        if self.states:
            states.check_needs(self, outputs)
        return given, body, outputs, declared

    # ---------------------------------------------------------------- what the parts ask for

    @property
    def declared(self) -> Iterable[str]:
        return self.top.names

    def execute(self, statements: Sequence[tree.Statement], frame: Frame) -> None:
        for statement in statements:
            if frame.returned is not None or self.budget.exhausted:
                return
            if frame.is_called:
                self._execute(statement, frame)
                continue
            try:
                self._execute(statement, frame)
            except AttnError as problem:
                self.report(problem)
                _poison(statement, frame)
            except Poisoned:
                _poison(statement, frame)

    def _execute(self, statement: tree.Statement, frame: Frame) -> None:
        try:
            STATEMENTS[type(statement)](statement, frame)
        except SizeTooLong as problem:
            raise too_long(problem, statement.span) from None

    def evaluate(self, expression: tree.Expr, frame: Frame) -> CompileTimeValue:
        frame.spend(1, expression.span)
        value = EXPRESSIONS[type(expression)](expression, frame)
        return settled(value, frame, expression.span) if frame.equal else value

    def apply(
        self,
        callee: CompileTimeValue,
        positional: Sequence[Evaluated],
        keywords: dict[str, Evaluated],
        frame: Frame,
        span: Span,
        label: tree.Identifier | None,
    ) -> CompileTimeValue:
        match callee:
            case BlockValue():
                return calls.apply_block(callee, positional, keywords, frame, span, label)
            case LayerValue():
                return calls.apply_layer(callee, positional, keywords, frame, span, label)
            case IndexFunctionValue():
                return index_functions.apply(callee, positional, keywords, frame, span, label)
            case Primitive():
                return primitives.apply(callee, positional, keywords, frame, span, label)
            case Nothing() if len(positional) == 1:
                return positional[0].value
        raise error("E0105", f"{describe(callee)} cannot be applied", span)

    def enter(self, body: tree.Scope | tree.Repeat | tree.Scan, frame: Frame) -> CompileTimeValue:
        if isinstance(body, tree.Scope):
            return BODIES[tree.Scope](body, frame)
        with self.budget.looping(frame.at(body.name.span)):
            return BODIES[type(body)](body, frame)


def _poison(statement: tree.Statement, frame: Frame) -> None:
    """Let what a failed statement leaves in doubt say nothing further."""
    for name in statements.doubtful_names(statement, frame):
        known = frame.names.get(name.text)
        loops = isinstance(statement, (tree.Repeat, tree.Scan))
        if known is None or not (loops and isinstance(known.value, Value)):  # a tensor that is carried keeps its type
            frame.poison(name.text, name.span)
    if isinstance(statement, (tree.Return, tree.Emit)):
        raise Poisoned


def _as_told(value: CompileTimeValue) -> object:
    """A hyperparameter's value as a graph holds it: numbers, texts for blocks and masks, tuples for lists."""
    if isinstance(value, Number):
        return bool(value.value) if value.is_bool else value.value
    return tuple(map(_as_told, value.values)) if isinstance(value, List) else shown(value)


def _kinds(name: str, value: CompileTimeValue) -> Iterator[tuple[str, str]]:
    """What `kind(…)` says of a hyperparameter and of the elements of a list."""
    yield name, kind_of(value)
    for i, each in enumerate(value.values if isinstance(value, List) else ()):
        yield from _kinds(f"{name}[{i}]", each)
