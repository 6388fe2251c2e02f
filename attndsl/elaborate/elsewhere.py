"""Advice for an expression that another library would understand, with what is known of the author's tensors."""

from __future__ import annotations

from collections.abc import Container, Sequence

from attndsl.diagnostics import Span
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.values import Evaluated
from attndsl.graph import Value
from attndsl.records import Frozen
from attndsl.syntax import tree


class NamesOf(Frozen):
    """The names that a frame knows; `receiver` is an expression whose value is known already."""

    frame: Frame
    receiver: str = ""
    value: Value | None = None

    def axes(self, expression: str) -> Sequence[str]:
        value: object = self.value
        if self.value is None or expression != self.receiver:
            binding = self.frame.lookup(expression)
            value = binding.value if binding is not None else None
        return [axis.name for axis in value.type.axes] if isinstance(value, Value) else []

    def options(self, name: str) -> Sequence[str] | None:
        from attndsl.elaborate import primitives  # which imports this module

        if name in primitives.CONSTANTS:
            return ()
        rule = primitives.rule_of(name)
        if rule is not None:
            return rule.keywords
        found = self.frame.scope.find(name)
        if found is None or not isinstance(found[0], tree.Block):
            return None
        return [parameter.name.text for parameter in found[0].hyperparameters]


def advice(span: Span, frame: Frame, receiver: str = "", value: Value | None = None) -> tuple[str, ...]:
    """A help line about the foreign expression that begins at `span`, as a tuple that may be empty."""
    from attndsl.habits import advise  # only a mistake pays for it

    found = advise(span.source.text, span.start, NamesOf(frame, receiver, value), receiver)
    return (found,) if found else ()


def layer_advice(argument: Span, block: str, frame: Frame) -> tuple[str, ...]:
    """A help line about a block that is called as another library's layer of that name is, `linear(width, hidden)`."""
    from attndsl.habits import advise_layer

    text = argument.source.text
    found = advise_layer(text, text.rfind(f"{block}(", 0, argument.start), NamesOf(frame))
    return (found,) if found else ()


def option_advice(call: Span, name: str, frame: Frame) -> tuple[str, ...]:
    """A help line about an option that the function of this call does not have, as a tuple that may be empty."""
    from attndsl.habits import advise_option

    found = advise_option(call.source.text, call.start, name, NamesOf(frame))
    return (found,) if found else ()


def subscript_advice(subscript: Span, base: Evaluated, frame: Frame) -> tuple[str, ...]:
    """A help line about a subscript by place, `x[-1]`, as a tuple that may be empty."""
    from attndsl.habits import advise_subscript

    text, value = subscript.source.text, base.value if isinstance(base.value, Value) else None
    found = advise_subscript(text, text.index("[", base.span.end - 1), NamesOf(frame, base.span.text, value))
    return (found,) if found else ()


def hyperparameter_advice(name: str, known: Container[str]) -> tuple[str, ...]:
    """A help line about a hyperparameter that is called otherwise elsewhere, as a tuple that may be empty."""
    from attndsl.habits import HYPERPARAMETERS, called_here

    return called_here(name, HYPERPARAMETERS, known)
