"""The kinds of compile-time values, in words, and whether what a call gives is of the kind that a default has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.diagnostics import Label, error
from attndsl.elaborate import primitives
from attndsl.elaborate.elsewhere import layer_advice
from attndsl.elaborate.values import (
    BlockValue,
    CompileTimeValue,
    Evaluated,
    IndexFunctionValue,
    LayerValue,
    Primitive,
    describe,
)
from attndsl.graph import Initializer
from attndsl.syntax import tree
from attndsl.values import List, Nothing, Number, Text

if TYPE_CHECKING:
    from attndsl.elaborate.files import FileScope
    from attndsl.elaborate.frames import Frame

NUMBERS = ("a whole number", "a number")


def kind(value: CompileTimeValue) -> str:
    """What sort of value a hyperparameter has."""
    if isinstance(value, List):
        return _kind_of_list(value)
    if isinstance(value, Number):
        if value.is_bool:
            return "a boolean"
        return "a whole number" if isinstance(value.value, int) or value.value is None else "a number"
    if isinstance(value, IndexFunctionValue):
        return f"a {value.kind}"
    if isinstance(value, (BlockValue, Primitive, LayerValue)):
        return "a block"
    if isinstance(value, Initializer):
        return "an initialiser"
    return "a string" if isinstance(value, Text) else "nothing"


def _kind_of_list(value: List) -> str:
    """A list of what its elements are, those apart that are `none`; of several kinds, or of none, just a list."""
    kinds = {kind(each) for each in value.values if not isinstance(each, Nothing)}
    if kinds == set(NUMBERS):
        kinds = {"a number"}
    if len(kinds) != 1:
        return "a list"
    what = kinds.pop().partition(" ")[2]
    return "a list of lists" if what.startswith("list") else f"a list of {what}s"


def kind_of_default(default: tree.Expr | None, scope: FileScope) -> str | None:
    """The kind that a block's default is plainly of, without computing it; None where anything may be given."""
    match default:
        case tree.Boolean():
            return "a boolean"
        case tree.String():
            return "a string"
        case tree.Number() | tree.Chain():
            return "a number"
        case tree.Call(callee=tree.Name()):
            return kind_of_default(default.callee, scope)
        case tree.Name():
            declared = scope.find(default.text)
            if declared is not None:
                return "a block" if isinstance(declared[0], tree.Block) else f"a {declared[0].kind}"
            if default.text in primitives.INITIALIZERS:
                return "an initialiser"
            return "a block" if primitives.rule_of(default.text) else None
    return None


def require_kinds(block: tree.Block, scope: FileScope, given: Mapping[str, Evaluated], frame: Frame) -> None:
    """That every hyperparameter is given a value of its default's kind. Raises E0401, which says what it would fit."""
    kinds = {p.name.text: kind_of_default(p.default, scope) for p in block.hyperparameters}
    for name, value in given.items():
        wanted, have = kinds[name], kind(value.value)
        fits = have in NUMBERS and (wanted in NUMBERS or wanted == "an initialiser")  # a number starts all of it
        if wanted is None or have in ("nothing", wanted) or fits:
            continue
        parameter = next(p for p in block.hyperparameters if p.name.text == name)
        raise error(
            "E0401",
            f"`{name}` of `{block.name.text}` is {wanted}, but this is {describe(value.value)}",
            value.span,
            have,
            other=Label(parameter.span, f"{wanted} by default"),
            help=_fitting(name, value, wanted, kinds, [n for n in kinds if n not in given])
            or layer_advice(value.span, block.name.text, frame)
            or f"it takes {', '.join(f'`{n}`' for n in kinds)}, in this order",
        )


def _fitting(
    name: str, value: Evaluated, wanted: str, kinds: Mapping[str, str | None], free: Sequence[str]
) -> str | tuple[()]:
    """What a misplaced argument was meant for: the hyperparameter of its kind, or a name that stands in quotes."""
    if isinstance(value.value, Text):
        return "give a number" if wanted in NUMBERS else f"write it without quotes: `{name}={value.value.text}`"
    have = kind(value.value)
    if have in (*NUMBERS, "a boolean"):
        return ()
    fitting = [n for n in free if kinds[n] == have] or [n for n in free if n == "position" and kinds[n] is None]
    return f"give it by its name: `{fitting[0]}={value.span.text}`" if fitting else ()
