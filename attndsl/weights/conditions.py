"""`if head == "classify" { … } else { … }` around the lines of a `weights` section: which of them hold for a graph.

A condition is decided by the hyperparameters as a user would type them: numbers, truth values and texts (a block or a
mask counts as its text, `act == "gelu"`), by comparisons, `and`, `or`, `not`, arithmetic and `kind(x)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attndsl.diagnostics import AttnError, Diagnostic, did_you_mean, error
from attndsl.graph import Graph
from attndsl.syntax import tree
from attndsl.weights.keys import COMPARISONS, calculate, equal, shown
from attndsl.weights.settings import plain

Line = tree.PrefixEntry | tree.IgnoreEntry | tree.MapEntry
Plain = int | float | bool | str

NONE = "none"


def chosen(section: tree.Weights, graph: Graph) -> list[Line]:
    """The lines of a section that hold for `graph`, in the order written. Raises everything that is wrong with its
    conditions at once, those of branches that are not taken included: E0630 for a name that is no hyperparameter, E0631
    for what is no condition."""
    conditions = Conditions(graph)
    found: list[Diagnostic] = []
    for node in _ifs(section.entries):
        try:
            conditions.holds(node.condition)
        except AttnError as raised:
            found += raised.diagnostics
    if found:
        raise AttnError(*found)
    return list(_taken(section.entries, conditions))


def _ifs(entries: tuple[tree.WeightsEntry, ...]) -> Iterator[tree.WeightsIf]:
    for entry in entries:
        if isinstance(entry, tree.WeightsIf):
            yield entry
            yield from _ifs(entry.then)
            yield from _ifs(entry.otherwise)


def _taken(entries: tuple[tree.WeightsEntry, ...], conditions: Conditions) -> Iterator[Line]:
    for entry in entries:
        if isinstance(entry, tree.WeightsIf):
            yield from _taken(entry.then if conditions.holds(entry.condition) else entry.otherwise, conditions)
        else:
            yield entry


class Conditions:
    """What conditions come to at a graph's hyperparameters."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: Mapping[str, Plain] = {name: plain(value) for name, value in graph.hyperparameters.items()}

    def holds(self, condition: tree.Expr) -> bool:
        """Whether a condition holds; every part of it is looked at, so that a mistake shows whatever the values are."""
        value = self.value(condition)
        if not isinstance(value, bool):
            raise self._no_condition(condition, value)
        return value

    def value(self, node: tree.Expr) -> Plain:
        match node:
            case tree.Number() | tree.Boolean() | tree.String():
                return node.value
            case tree.Name():
                return self._named(node)
            case tree.Unary(operator="not"):
                return not self.holds(node.operand)
            case tree.Unary():
                return self._plain(calculate(node, "-", 0, self.value(node.operand)))
            case tree.Call():
                return self._kind(node)
            case tree.Chain():
                return self._chain(node)
        raise _unsupported(node)

    def _named(self, node: tree.Name) -> Plain:
        if node.text in self.values:
            return self.values[node.text]
        if node.text == NONE:
            return NONE
        help = did_you_mean(node.text, self.values) or f'a text stands in quotes: `"{node.text}"`'
        raise error("E0630", f"`{self.graph.name}` has no hyperparameter `{node.text}`", node.span, help=help)

    def _kind(self, call: tree.Call) -> str:
        given = call.arguments[0].value if len(call.arguments) == 1 and call.arguments[0].name is None else None
        if not (isinstance(call.callee, tree.Name) and call.callee.text == "kind" and isinstance(given, tree.Name)):
            raise _unsupported(call)
        value = self._named(given)
        if known := self.graph.kinds.get(given.text):
            return known
        return "text" if isinstance(value, str) else "number"

    def _chain(self, chain: tree.Chain) -> Plain:
        operators = [o.text for o in chain.operators]
        if operators[0] in ("and", "or"):
            held = [self.holds(operand) for operand in chain.operands]
            return all(held) if operators[0] == "and" else any(held)
        total = self.value(chain.operands[0])
        for operator, operand in zip(operators, chain.operands[1:], strict=True):
            if operator in ("|", "&", "^"):
                raise _unsupported(chain)
            right = self.value(operand)
            if operator in ("==", "!="):
                if not _comparable(total, right):
                    raise error(
                        "E0631",
                        f"`{chain.span.text}` compares {_what(total)} with {_what(right)}",
                        chain.span,
                        "never equal",
                        help="a hyperparameter that is a block or a mask counts as its text: "
                        f'`{chain.operands[0].span.text} == "…"`',
                    )
                total = equal(total, right) == (operator == "==")
            else:
                for side, value in ((chain.operands[0], total), (operand, right)):
                    if isinstance(value, (bool, str)):
                        what = "compares sizes" if operator in COMPARISONS else "calculates"
                        message = f"`{chain.span.text}` {what}, and `{side.span.text}` is {_what(value)}"
                        raise error("E0631", message, side.span)
                total = self._plain(calculate(chain, operator, total, right))
        return total

    def _plain(self, value: object) -> Plain:
        assert isinstance(value, (int, float))
        return value

    def _no_condition(self, node: tree.Expr, value: Plain) -> AttnError:
        written = f'"{value}"' if isinstance(value, str) else shown(value)
        return error(
            "E0631",
            f"`{node.span.text}` is no condition: it is {_what(value)}",
            node.span,
            help=f"compare it with something: `{node.span.text} == {written}`",
        )


def _comparable(a: Plain, b: Plain) -> bool:
    """Of one kind, or one of them is `none`, with which everything may be compared."""
    return _what(a) == _what(b) or NONE in (a, b)


def _what(value: Plain) -> str:
    if isinstance(value, bool):
        return "a truth value"
    return "a text" if isinstance(value, str) else "a number"


def _unsupported(node: tree.Expr) -> AttnError:
    return error(
        "E0631",
        f"`{node.span.text}` is not what a condition here can say",
        node.span,
        help="use hyperparameters, numbers, texts, comparisons, `and`, `or`, `not`, `+ - * / // %` and `kind(x)`",
    )
