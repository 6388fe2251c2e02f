"""What the productions for types, axes and expressions build: the lower half of `attndsl.syntax.build.Builder`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attndsl.diagnostics import Diagnostic, Label, Source, Span
from attndsl.syntax import tree
from attndsl.syntax.lexer import Token
from attndsl.syntax.limits import MAX_DIGITS

_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}

Children = list[Any]


def plainly(kind: type[tree.Tree]) -> Callable[[ExpressionBuilder, Span, Children], tree.Tree]:
    """What builds a tree whose fields are the parts in their order, with tokens as identifiers."""

    def build(self: ExpressionBuilder, span: Span, children: Children) -> tree.Tree:
        return kind(span, *[self.identifier(part) if isinstance(part, Token) else part for part in children])

    return build


class ExpressionBuilder:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: list[Diagnostic] = []

    def complain(
        self, code: str, message: str, span: Span, label: str = "", help: str = "", other: Label | None = None
    ) -> None:
        self.diagnostics.append(
            Diagnostic(
                code,
                message,
                Label(span, label),
                secondary=(other,) if other else (),
                helps=(help,) if help else (),
            )
        )

    def identifier(self, token: Token) -> tree.Identifier:
        return tree.Identifier(Span(self.source, token.start, token.end), token.text)

    def several(self, span: Span, children: Children) -> tuple[Any, ...]:
        """The parts themselves, where a production is a list."""
        return tuple(children)

    def only(self, span: Span, children: Children) -> Any:
        """The one part."""
        (part,) = children
        return part

    # ---------------------------------------------------------------- types and axes

    axis_terms = several
    typed_axes = plainly(tree.TypeTree)
    named_axis = plainly(tree.AxisTerm)

    def float_type(self, span: Span, children: Children) -> tree.TypeTree:
        return tree.TypeTree(span, None, children[0])

    def scalar_type(self, span: Span, children: Children) -> tree.TypeTree:
        end = Span(self.source, span.end, span.end)
        return tree.TypeTree(span, self.identifier(children[0]), tree.AxisList(end, ()))

    def axes(self, span: Span, children: Children) -> tree.AxisList:
        return tree.AxisList(span, children[0] or ())

    def rest(self, span: Span, children: Children) -> tree.AxisTerm:
        return tree.AxisTerm(span, None, None)

    def sized_axis(self, span: Span, children: Children) -> tree.AxisTerm:
        return tree.AxisTerm(span, None, children[0])

    # ---------------------------------------------------------------- expressions

    arguments = subscripts = several
    parenthesised = only
    labelled = plainly(tree.Labelled)
    conditional = plainly(tree.Conditional)
    argument = plainly(tree.Argument)
    attribute = plainly(tree.Attribute)
    list_value = plainly(tree.List)
    subscript = plainly(tree.Subscript)

    def pipe(self, span: Span, children: Children) -> tree.Pipe:
        value, *stages = children
        return tree.Pipe(span, value, tuple(stages))

    def chain(self, span: Span, children: Children) -> tree.Chain:
        return tree.Chain(span, tuple(children[::2]), tuple(self.identifier(mark) for mark in children[1::2]))

    def unary(self, span: Span, children: Children) -> tree.Unary:
        operator, operand = children
        return tree.Unary(span, operator.text, operand)

    def number(self, span: Span, children: Children) -> tree.Number:
        text = children[0].text.replace("_", "")
        value: int | float
        if text.isdigit():
            value = int(text[:MAX_DIGITS])
            excess = f"more than {MAX_DIGITS} digits" if len(text) > MAX_DIGITS else ""
        else:
            value = float(text)
            excess = "more than 1.797e308" if value == float("inf") else ""
        if excess:
            self.complain("E0014", "this number is too large", span, excess)
            value = 0
        return tree.Number(span, value)

    def string(self, span: Span, children: Children) -> tree.String:
        return tree.String(span, self.unquote(children[0]))

    def boolean(self, span: Span, children: Children) -> tree.Boolean:
        return tree.Boolean(span, children[0].kind == "TRUE")

    def name(self, span: Span, children: Children) -> tree.Name:
        return tree.Name(span, children[0].text)

    def call(self, span: Span, children: Children) -> tree.Call:
        callee, arguments = children
        return tree.Call(span, callee, arguments or ())

    def listed(self, span: Span, children: Children) -> tree.List:
        terms = tuple(tree.AxisTerm(element.span, None, element) for element in children)
        return tree.List(span, tree.AxisList(span, terms))

    def arrow(self, span: Span, children: Children) -> tree.Arrow:
        source, target = children
        return tree.Arrow(span, self.side(tree.AxisTerm(source.span, None, source)), self.side(target))

    def side(self, written: tree.AxisTerm) -> tree.AxisList:
        """A side of an arrow: a list of axes, or one axis without brackets."""
        is_list = written.name is None and isinstance(written.size, tree.List)
        return written.size.axes if is_list else tree.AxisList(written.span, (written,))  # type: ignore[union-attr]

    def index_entry(self, span: Span, children: Children) -> tree.SubscriptEntry:
        (index,) = children
        if isinstance(index, tree.Chain) and len(index.operators) == 1 and index.operators[0].text == "<":
            axis, below = index.operands
            return tree.SubscriptEntry(span, axis=tree.AxisTerm(axis.span, None, axis), below=below)
        return tree.SubscriptEntry(span, index=index)

    def axis_index(self, span: Span, children: Children) -> tree.SubscriptEntry:
        axis, index = children
        return tree.SubscriptEntry(span, axis=tree.AxisTerm(axis.span, None, axis), index=index)

    def axis_slice(self, span: Span, children: Children) -> tree.SubscriptEntry:
        axis, start, stop, target = children
        term = tree.AxisTerm(axis.span, None, axis)
        return tree.SubscriptEntry(span, axis=term, is_slice=True, start=start, stop=stop, target=target)

    # ---------------------------------------------------------------- strings

    def unquote(self, token: Token) -> str:
        inside = token.text[1:-1]
        if "\\" not in inside:
            return inside
        parts = inside.split("\\")
        text, at = [parts[0]], token.start + 1 + len(parts[0])
        rest = iter(parts[1:])
        for part in rest:
            if part == "":  # the character after the backslash is a backslash
                following = next(rest, "")
                text.append("\\" + following)
                at += 2 + len(following)
                continue
            if part[0] not in _ESCAPES:
                self.complain(
                    "E0013",
                    f"`\\{part[0]}` means nothing in a string",
                    Span(self.source, at, at + 2),
                    help='the escapes are `\\"`, `\\\\`, `\\n` and `\\t`',
                )
            text.append(_ESCAPES.get(part[0], "") + part[1:])
            at += 1 + len(part)
        return "".join(text)
