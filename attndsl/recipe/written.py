"""The values of a `train` section: values of the language, words, lists, patterns, and calls with options."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.diagnostics import AttnError, Span, error
from attndsl.records import Frozen, field
from attndsl.syntax import tree
from attndsl.values import (
    CONSTANTS,
    FUNCTIONS,
    KIND,
    Evaluator,
    Nothing,
    Plain,
    Reference,
    Text,
    given_twice,
    to_python,
)


class Written(Frozen):
    """A value with the place it stands at. `value` is the number, boolean, text or list; `word` the name as written
    (`adamw`, `bytes`), also of a call, whose arguments are `positional` and `named`."""

    word: str
    value: object
    span: Span | None = None
    positional: tuple[Written, ...] = ()
    named: Mapping[str, Written] = field(default_factory=dict)


class _Settings(Evaluator):
    """Expressions in a `train` section: a name is the model's hyperparameter if there is one, else a word."""

    def __init__(self, hyperparameters: Mapping[str, Plain]) -> None:
        self.hyperparameters = hyperparameters

    def find(self, node: tree.Name) -> Plain | None:
        if node.text in self.hyperparameters:
            return self.hyperparameters[node.text]
        return None if node.text in CONSTANTS else Reference(node.text, "word")

    def unknown(self, node: tree.Name) -> AttnError:
        return error("E0721", f"`{node.text}` is not a value of a recipe", node.span)


def evaluate(node: tree.Expr, hyperparameters: Mapping[str, Plain]) -> Written:
    """The value of an expression of a `train` section. Raises what `Evaluator.evaluate` does."""
    return _written(node, _Settings(hyperparameters))


def _written(node: tree.Expr, settings: _Settings) -> Written:
    match node:
        case tree.Call(callee=tree.Name(text=name)) if name != KIND and name not in FUNCTIONS:
            return _call(name, node, settings)
        case tree.Conditional():
            chosen = node.then if settings.holds(node.condition) else node.otherwise
            return _written(chosen, settings)
        case tree.Chain() if _are_patterns(node):
            return Written("", tuple(_written(operand, settings).value for operand in node.operands), node.span)
    value = settings.evaluate(node)
    if isinstance(node, tree.Name):
        return Written(node.text, node.text if isinstance(value, Nothing) else to_python(value), node.span)
    return Written(value.text if isinstance(value, (Text, Reference)) else "", to_python(value), node.span)


def _call(name: str, node: tree.Call, settings: _Settings) -> Written:
    positional: list[Written] = []
    named: dict[str, Written] = {}
    for argument in node.arguments:
        if argument.name is None:
            positional.append(_written(argument.value, settings))
        elif argument.name.text in named:
            raise given_twice(argument.name)
        else:
            named[argument.name.text] = _written(argument.value, settings)
    return Written(name, None, node.span, tuple(positional), named)


def _are_patterns(chain: tree.Chain) -> bool:
    """Whether these are several texts, `"h.*" | "wte.*"`: what a recipe calls patterns."""
    return chain.operators[0].text == "|" and all(isinstance(operand, tree.String) for operand in chain.operands)
