"""What each production of `grammars/attn.lark` builds: one method per name there, called with the production's extent
and the values of its parts. A part that is a list comes as a tuple, an optional part that is absent as None.

A mistake that only shows here (an index variable with a type, a number with too many digits) is noted in
`diagnostics`, and the tree goes on with the nearest sound reading.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from attndsl.diagnostics import Diagnostic, Label, Source, Span
from attndsl.syntax import tree
from attndsl.syntax.lexer import Token, doc_text
from attndsl.syntax.limits import MAX_DIGITS

_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_ASSIGNMENT = {"PLUS_EQUALS": "+", "MINUS_EQUALS": "-", "TIMES_EQUALS": "*", "DIVIDE_EQUALS": "/"}

Children = list[Any]


class Builder:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: list[Diagnostic] = []

    def complain(self, code: str, message: str, span: Span, label: str = "", help: str = "", other: Label | None = None) -> None:
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

    # ---------------------------------------------------------------- file and declarations

    def file(self, span: Span, children: Children) -> tree.File:
        doc, *declarations = children
        whole = Span(self.source, 0, len(self.source.text))
        return tree.File(whole, tuple(declarations), doc_text(doc.text) if doc is not None else None)

    def documented(self, span: Span, children: Children) -> tree.Tree:
        doc, declared = children
        return replace(declared, doc=doc_text(doc.text)) if hasattr(declared, "doc") else declared

    documented_declaration = documented
    documented_statement = documented

    def use(self, span: Span, children: Children) -> tree.Use:
        (path, is_std), names = children
        return tree.Use(span, path, is_std, names or ())

    def use_std(self, span: Span, children: Children) -> tuple[str, bool]:
        head, *rest = children
        if head.text == "std" and not rest:
            self.complain("E0010", "`use std` names no file", span, help="name a part of the standard library: `use std.…`")
        elif head.text != "std":
            self.complain(
                "E0010",
                f"`use {span.text}` names no file",
                span,
                help=f'a file of your own goes in quotes, `use "{span.text}.attn"`; '
                f"a part of the standard library is `use std.{span.text}`",
            )
        return ".".join(name.text for name in rest), True

    def use_file(self, span: Span, children: Children) -> tuple[str, bool]:
        return self.unquote(children[0]), False

    def use_names(self, span: Span, children: Children) -> tuple[Any, ...]:
        return tuple(children)

    def use_name(self, span: Span, children: Children) -> tuple[tree.Identifier, tree.Identifier | None]:
        name, alias = children
        return self.identifier(name), self.identifier(alias) if alias is not None else None

    def model(self, span: Span, children: Children) -> tree.Model:
        name, signature, body = children
        return tree.Model(span, self.identifier(name), self.hyperparameters(signature or ()), body, None)

    def block(self, span: Span, children: Children) -> tree.Block:
        name, first, second, results, body = children
        if second is None:
            entries = self.hyperparameters(first)
            hyperparameters = tuple(entry for entry in entries if entry.type is None)
            tensors = tuple(entry for entry in entries if entry.type is not None)
        else:
            hyperparameters, tensors = self.hyperparameters(first), self.hyperparameters(second)
            for entry in tensors:
                if entry.type is None:
                    self.complain(
                        "E0018",
                        f"tensor `{entry.name.text}` has no axes",
                        entry.name.span,
                        "in the list of tensors",
                        help=f"write its axes, as in `{entry.name.text}: [*, D]`, or move it to the first list",
                    )
        return tree.Block(span, self.identifier(name), hyperparameters, tensors, results or (), body, None)

    def results(self, span: Span, children: Children) -> tuple[tree.TypeTree, ...]:
        return tuple(children)

    def index_function(self, span: Span, children: Children) -> tree.IndexFunction:
        value = children.pop()
        returned = tree.Return(value.span, (value,))
        return self.index_function_body(span, [*children, (returned,)])

    def index_function_body(self, span: Span, children: Children) -> tree.IndexFunction:
        kind, name, first, second, body = children
        captures, variables = ((), first) if second is None else (first, second)
        return tree.IndexFunction(
            span, kind.text, self.identifier(name), self.hyperparameters(captures), self.index_variables(variables), body, None
        )

    def signature(self, span: Span, children: Children) -> tuple[tree.Parameter | tree.IndexVariable, ...]:
        return children[0] or ()

    def entries(self, span: Span, children: Children) -> tuple[tree.Parameter | tree.IndexVariable, ...]:
        return tuple(children)

    def parameter(self, span: Span, children: Children) -> tree.Parameter:
        name, type_, default = children
        return tree.Parameter(span, self.identifier(name), type_, default)

    def index_variable(self, span: Span, children: Children) -> tree.IndexVariable:
        name, axis = children
        return tree.IndexVariable(span, self.identifier(name), axis)

    def hyperparameters(self, entries: tuple[tree.Parameter | tree.IndexVariable, ...]) -> tuple[tree.Parameter, ...]:
        kept = []
        for entry in entries:
            if isinstance(entry, tree.Parameter):
                kept.append(entry)
                continue
            self.complain(
                "E0018",
                f"`{entry.span.text}` is an index variable, and stands in a list of parameters",
                entry.span,
                help="only the last list of a `mask` or a `bias` holds index variables",
            )
        return tuple(kept)

    def index_variables(self, entries: tuple[tree.Parameter | tree.IndexVariable, ...]) -> tuple[tree.IndexVariable, ...]:
        variables = []
        for entry in entries:
            if isinstance(entry, tree.IndexVariable):
                variables.append(entry)
                continue
            if entry.type is not None or entry.default is not None:
                self.complain(
                    "E0018",
                    f"`{entry.name.text}` is an index variable: it has neither type nor default",
                    entry.span,
                    help=f"write `{entry.name.text}` or `{entry.name.text} in` an axis; "
                    "what the function captures goes in a list before this one",
                )
            variables.append(tree.IndexVariable(entry.span, entry.name, None))
        return tuple(variables)

    def variant(self, span: Span, children: Children) -> tree.Variant:
        model, name, settings = children
        return tree.Variant(span, self.identifier(model), self.identifier(name), settings, None)

    def settings(self, span: Span, children: Children) -> tuple[tree.Argument, ...]:
        return tuple(children)

    def setting(self, span: Span, children: Children) -> tree.Argument:
        name, value = children
        return tree.Argument(span, self.identifier(name), value)

    # ---------------------------------------------------------------- weights and training

    def weights(self, span: Span, children: Children) -> tree.Weights:
        model, origin, *entries = children
        config = tuple(entry for group in entries if isinstance(group, tuple) for entry in group)
        prefixes = tuple(entry for entry in entries if isinstance(entry, tree.PrefixEntry))
        ignored = tuple(entry for entry in entries if isinstance(entry, tree.IgnoreEntry))
        maps = tuple(entry for entry in entries if isinstance(entry, tree.MapEntry))
        return tree.Weights(span, self.identifier(model), self.identifier(origin), config, prefixes, ignored, maps)

    def config(self, span: Span, children: Children) -> tuple[tree.ConfigEntry, ...]:
        return tuple(children)

    def config_key(self, span: Span, children: Children) -> tree.ConfigEntry:
        name, value = children
        return tree.ConfigEntry(span, self.identifier(name), value)

    def config_requirement(self, span: Span, children: Children) -> tree.ConfigEntry:
        return tree.ConfigEntry(span, None, children[0])

    def config_ignored(self, span: Span, children: Children) -> tree.ConfigEntry:
        return tree.ConfigEntry(span, None, children[0], ignored=True)

    def prefix(self, span: Span, children: Children) -> tree.PrefixEntry:
        text, optional = children
        return tree.PrefixEntry(span, text, optional is not None)

    def ignore(self, span: Span, children: Children) -> tree.IgnoreEntry:
        return tree.IgnoreEntry(span, tuple(children))

    def map(self, span: Span, children: Children) -> tree.MapEntry:
        name, axes, direction, value = children
        return tree.MapEntry(span, name, axes, direction.text, value)

    def train(self, span: Span, children: Children) -> tree.Train:
        model, body = children
        settings = []
        for statement in body:
            if (
                isinstance(statement, tree.Assign)
                and len(statement.targets) == 1
                and statement.type is None
                and statement.operator is None
            ):
                settings.append(tree.Argument(statement.span, statement.targets[0], statement.value))
            else:
                self.complain(
                    "E0010",
                    "a `train` section holds only settings",
                    statement.span,
                    help="write `name = value`, as in `clip = 1.0`",
                )
        return tree.Train(span, self.identifier(model), tuple(settings))

    # ---------------------------------------------------------------- statements

    def body(self, span: Span, children: Children) -> tuple[tree.Statement, ...]:
        return tuple(children)

    def names(self, span: Span, children: Children) -> tuple[tree.Identifier, ...]:
        return tuple(self.identifier(name) for name in children)

    def assign(self, span: Span, children: Children) -> tree.Assign:
        names, value = children
        return tree.Assign(span, names, None, None, value)

    def typed_assign(self, span: Span, children: Children) -> tree.Assign:
        name, type_, value = children
        return tree.Assign(span, (self.identifier(name),), type_, None, value)

    def augmented_assign(self, span: Span, children: Children) -> tree.Assign:
        name, operator, value = children
        return tree.Assign(span, (self.identifier(name),), None, _ASSIGNMENT[operator.kind], value)

    def layer(self, span: Span, children: Children) -> tree.LayerDecl:
        name, value = children
        return tree.LayerDecl(span, self.identifier(name), value)

    def param(self, span: Span, children: Children) -> tree.ParamDecl:
        name, type_, init = children
        return tree.ParamDecl(span, self.identifier(name), type_, init)

    def state(self, span: Span, children: Children) -> tree.StateDecl:
        name, type_, init = children
        return tree.StateDecl(span, self.identifier(name), type_, init)

    def state_write(self, span: Span, children: Children) -> tree.StateWrite:
        name, value = children
        return tree.StateWrite(span, self.identifier(name), value)

    def input(self, span: Span, children: Children) -> tree.InputDecl:
        name, type_, optional, default, where = children
        return tree.InputDecl(span, self.identifier(name), type_, optional is not None, default, where or (), None)

    def output(self, span: Span, children: Children) -> tree.OutputDecl:
        name, value = children
        return tree.OutputDecl(span, self.identifier(name), value, None)

    def require(self, span: Span, children: Children) -> tree.RequireDecl:
        return tree.RequireDecl(span, children[0])

    def if_statement(self, span: Span, children: Children) -> tree.If:
        condition, then, otherwise = children
        return tree.If(span, condition, then, otherwise or ())

    def otherwise(self, span: Span, children: Children) -> tuple[tree.Statement, ...]:
        (branch,) = children
        return (branch,) if isinstance(branch, tree.If) else branch

    def return_statement(self, span: Span, children: Children) -> tree.Return:
        return tree.Return(span, children[0])

    def emit_statement(self, span: Span, children: Children) -> tree.Emit:
        return tree.Emit(span, children[0])

    def expressions(self, span: Span, children: Children) -> tuple[tree.Expr, ...]:
        return tuple(children)

    def scope(self, span: Span, children: Children) -> tree.Scope:
        name, body = children
        return tree.Scope(span, self.identifier(name), body)

    def repeat(self, span: Span, children: Children) -> tree.Repeat:
        name, count, carried, body = children
        return tree.Repeat(span, self.identifier(name), count, carried or (), body)

    def scan(self, span: Span, children: Children) -> tree.Scan:
        name, axis, carried, body = children
        return tree.Scan(span, self.identifier(name), axis, carried or (), body)

    def carried_list(self, span: Span, children: Children) -> tuple[tree.Carried, ...]:
        return tuple(children)

    def carried(self, span: Span, children: Children) -> tree.Carried:
        name, type_, value = children
        return tree.Carried(span, self.identifier(name), type_, value)

    # ---------------------------------------------------------------- types and axes

    def float_type(self, span: Span, children: Children) -> tree.TypeTree:
        return tree.TypeTree(span, None, children[0])

    def scalar_type(self, span: Span, children: Children) -> tree.TypeTree:
        end = Span(self.source, span.end, span.end)
        return tree.TypeTree(span, self.identifier(children[0]), tree.AxisList(end, ()))

    def typed_axes(self, span: Span, children: Children) -> tree.TypeTree:
        dtype, axes = children
        return tree.TypeTree(span, self.identifier(dtype), axes)

    def axes(self, span: Span, children: Children) -> tree.AxisList:
        return tree.AxisList(span, children[0] or ())

    def axis_terms(self, span: Span, children: Children) -> tuple[tree.AxisTerm, ...]:
        return tuple(children)

    def rest(self, span: Span, children: Children) -> tree.AxisTerm:
        return tree.AxisTerm(span, None, None)

    def sized_axis(self, span: Span, children: Children) -> tree.AxisTerm:
        return tree.AxisTerm(span, None, children[0])

    def named_axis(self, span: Span, children: Children) -> tree.AxisTerm:
        name, size = children
        return tree.AxisTerm(span, self.identifier(name), size)

    # ---------------------------------------------------------------- expressions

    def pipe(self, span: Span, children: Children) -> tree.Pipe:
        value, *stages = children
        return tree.Pipe(span, value, tuple(stages))

    def labelled(self, span: Span, children: Children) -> tree.Labelled:
        value, label = children
        return tree.Labelled(span, value, self.identifier(label))

    def conditional(self, span: Span, children: Children) -> tree.Conditional:
        return tree.Conditional(span, *children)

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
            too_large = len(text) > MAX_DIGITS
        else:
            value = float(text)
            too_large = value == float("inf")
        if too_large:
            self.complain("E0014", "this number is too large", span, f"more than {MAX_DIGITS} digits, or beyond 1e308")
            value = 0
        return tree.Number(span, value)

    def string(self, span: Span, children: Children) -> tree.String:
        return tree.String(span, self.unquote(children[0]))

    def boolean(self, span: Span, children: Children) -> tree.Boolean:
        return tree.Boolean(span, children[0].kind == "TRUE")

    def name(self, span: Span, children: Children) -> tree.Name:
        return tree.Name(span, children[0].text)

    def parenthesised(self, span: Span, children: Children) -> tree.Expr:
        inside: tree.Expr = children[0]
        return inside

    def call(self, span: Span, children: Children) -> tree.Call:
        callee, arguments = children
        return tree.Call(span, callee, arguments or ())

    def arguments(self, span: Span, children: Children) -> tuple[tree.Argument, ...]:
        return tuple(children)

    def argument(self, span: Span, children: Children) -> tree.Argument:
        name, value = children
        return tree.Argument(span, self.identifier(name) if name is not None else None, value)

    def attribute(self, span: Span, children: Children) -> tree.Attribute:
        base, name = children
        return tree.Attribute(span, base, self.identifier(name))

    def axes_value(self, span: Span, children: Children) -> tree.AxesValue:
        return tree.AxesValue(span, children[0])

    def arrow(self, span: Span, children: Children) -> tree.Arrow:
        source, target = (
            side if isinstance(side, tree.AxisList) else tree.AxisList(side.span, (tree.AxisTerm(side.span, None, side),))
            for side in children
        )
        return tree.Arrow(span, source, target)

    def tuple_value(self, span: Span, children: Children) -> tree.Tuple:
        return tree.Tuple(span, tuple(children))

    def subscript(self, span: Span, children: Children) -> tree.Subscript:
        base, entries = children
        return tree.Subscript(span, base, entries)

    def subscripts(self, span: Span, children: Children) -> tuple[tree.SubscriptEntry, ...]:
        return tuple(children)

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
