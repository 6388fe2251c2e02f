"""What each production of `grammars/attn.lark` builds: a method for each name there, called with the extent of it
and the values of its parts. A part that is a list comes as a tuple, an optional part that is absent as None.

A mistake that only shows here (an index variable with a type, a number with too many digits) is noted in
`diagnostics`, and the tree goes on with the nearest sound reading.
"""

from __future__ import annotations

from typing import Any

from attndsl.diagnostics import Span
from attndsl.records import Frozen, replace
from attndsl.syntax import tree
from attndsl.syntax.build_expressions import Children, ExpressionBuilder, plainly
from attndsl.syntax.lexer import doc_text

_ASSIGNMENT = {"PLUS_EQUALS": "+", "MINUS_EQUALS": "-", "TIMES_EQUALS": "*", "DIVIDE_EQUALS": "/"}


class _Config(Frozen):
    """A `config { … }`, until the section around it takes its entries."""

    span: Span
    entries: tuple[tree.ConfigEntry, ...]


class _PrefixLine(Frozen):
    """A `prefix "…"` without braces, until the section around it gives it what follows."""

    span: Span
    text: tree.String
    optional: bool


class TreeBuilder(ExpressionBuilder):
    use_names = results = entries = settings = published = mesh = layout_body = ExpressionBuilder.several
    body = expressions = carried_list = ExpressionBuilder.several
    config_more = ignore_more = ExpressionBuilder.only
    parameter = plainly(tree.Parameter)
    index_variable = plainly(tree.IndexVariable)
    variant = plainly(tree.Variant)
    setting = plainly(tree.Argument)
    layout = plainly(tree.Layout)
    placed_parameters = plainly(tree.ParameterPlacing)
    layer = plainly(tree.LayerDecl)
    param = plainly(tree.ParamDecl)
    state = plainly(tree.StateDecl)
    state_write = plainly(tree.StateWrite)
    output = plainly(tree.OutputDecl)
    require = plainly(tree.RequireDecl)
    return_statement = plainly(tree.Return)
    emit_statement = plainly(tree.Emit)
    scope = plainly(tree.Scope)
    carried = plainly(tree.Carried)

    # ---------------------------------------------------------------- file and declarations

    def file(self, span: Span, children: Children) -> tree.File:
        doc, *declarations = children
        whole = Span(self.source, 0, len(self.source.text))
        return tree.File(whole, tuple(declarations), doc_text(doc.text) if doc is not None else None)

    def documented(self, span: Span, children: Children) -> tree.Tree:
        doc, declared = children
        found: tree.Tree = replace(declared, doc=doc_text(doc.text)) if hasattr(declared, "doc") else declared
        return found

    documented_declaration = documented
    documented_statement = documented

    def use(self, span: Span, children: Children) -> tree.Use:
        (path, is_std), names = children
        return tree.Use(span, path, is_std, names or ())

    def use_std(self, span: Span, children: Children) -> tuple[str, bool]:
        head, *rest = children
        if head.text == "std" and not rest:
            self.complain(
                "E0010", "`use std` names no file", span, help="name a part of the standard library: `use std.…`"
            )
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

    def use_name(self, span: Span, children: Children) -> tuple[tree.Identifier, tree.Identifier | None]:
        name, alias = children
        return self.identifier(name), self.identifier(alias) if alias is not None else None

    def model(self, span: Span, children: Children) -> tree.Model:
        name, signature, body = children
        hyperparameters = self.hyperparameters(signature or ())
        self.untyped(hyperparameters, "what a model computes with is an input: `input {}` in its body")
        return tree.Model(span, self.identifier(name), hyperparameters, body, None)

    def block(self, span: Span, children: Children) -> tree.Block:
        name, first, second, results, body = children
        if second is None:
            entries = self.hyperparameters(first)
            hyperparameters = tuple(entry for entry in entries if entry.type is None)
            tensors = tuple(entry for entry in entries if entry.type is not None)
        else:
            hyperparameters, tensors = self.hyperparameters(first), self.hyperparameters(second)
            self.untyped(hyperparameters, "a tensor is in the second list: `({})`, and a call may give it by its name")
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

    def untyped(self, hyperparameters: tuple[tree.Parameter, ...], help: str) -> None:
        """Complain of types among hyperparameters; `help` says where a tensor belongs."""
        for entry in hyperparameters:
            if entry.type is not None:
                name, default = entry.name.text, entry.default
                self.complain(
                    "E0018",
                    f"`{name}` has a type, but is in a list of hyperparameters",
                    entry.span,
                    help=help.format(entry.span.text)
                    if default is None
                    else f"a hyperparameter is of its default's kind: write `{name}={default.span.text}`",
                )

    def index_function(self, span: Span, children: Children) -> tree.IndexFunction:
        value = children.pop()
        returned = tree.Return(value.span, (value,))
        return self.index_function_body(span, [*children, (returned,)])

    def index_function_body(self, span: Span, children: Children) -> tree.IndexFunction:
        kind, name, first, second, body = children
        captures, variables = ((), first) if second is None else (first, second)
        return tree.IndexFunction(
            span,
            kind.text,
            self.identifier(name),
            self.hyperparameters(captures),
            self.index_variables(variables),
            body,
            None,
        )

    def signature(self, span: Span, children: Children) -> tuple[tree.Parameter | tree.IndexVariable, ...]:
        return children[0] or ()

    def hyperparameters(self, entries: tuple[tree.Parameter | tree.IndexVariable, ...]) -> tuple[tree.Parameter, ...]:
        kept = []
        for entry in entries:
            if isinstance(entry, tree.Parameter):
                kept.append(entry)
                continue
            self.complain(
                "E0018",
                f"`{entry.span.text}` is an index variable, but is in a list of parameters",
                entry.span,
                help="only the last list of a `mask` or a `bias` holds index variables",
            )
        return tuple(kept)

    def index_variables(
        self, entries: tuple[tree.Parameter | tree.IndexVariable, ...]
    ) -> tuple[tree.IndexVariable, ...]:
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

    # ---------------------------------------------------------------- weights and training

    def weights(self, span: Span, children: Children) -> tree.Weights:
        model, origin, entries = children
        config = tuple(entry for group in entries if isinstance(group, _Config) for entry in group.entries)
        maps = tuple(entry for entry in entries if isinstance(entry, tree.Maps))
        lines = tuple(entry for entry in entries if not isinstance(entry, (_Config, tree.Maps)))
        return tree.Weights(span, self.identifier(model), self.identifier(origin), config, maps, lines)

    def maps(self, span: Span, children: Children) -> tree.Maps:
        name, parameters, entries = children
        return tree.Maps(span, self.identifier(name), parameters or (), self.lines_alone(entries))

    def maps_parameters(self, span: Span, children: Children) -> tuple[tree.Identifier, ...]:
        return tuple(map(self.identifier, children))

    def weights_body(self, span: Span, children: Children) -> tuple[Any, ...]:
        """The entries. A `prefix` without braces stands before all that follow it, up to the next one."""
        entries: list[Any] = []
        prefixes: list[tuple[_PrefixLine, list[Any]]] = []
        below = entries
        for entry in (entry for line in children for entry in line):
            if isinstance(entry, _PrefixLine):
                below = []
                prefixes.append((entry, below))
            else:
                below.append(entry)
        for prefix, below in prefixes:
            entries.append(tree.PrefixEntry(prefix.span, prefix.text, prefix.optional, self.lines_alone(tuple(below))))
        return tuple(entries)

    def weights_line(self, span: Span, children: Children) -> tuple[Any, ...]:
        entries: list[Any] = []
        for entry in children:
            if not isinstance(entry, tree.String):
                entries.append(entry)
            elif entries and isinstance(entries[-1], tree.IgnoreEntry):
                names = (*entries[-1].names, entry)
                entries[-1] = tree.IgnoreEntry(entries[-1].span.to(entry.span), names)
            else:
                self.complain(
                    "E0010",
                    "this published name is not mapped to anything",
                    entry.span,
                    help=f"`{entry.span.text} <-> …`, or `ignore {entry.span.text}`",
                )
        return tuple(entries)

    def weights_if(self, span: Span, children: Children) -> tree.WeightsIf:
        condition, then, otherwise = children
        return tree.WeightsIf(span, condition, self.lines_alone(then), self.lines_alone(otherwise or ()))

    def lines_alone(self, entries: tuple[Any, ...]) -> tuple[tree.WeightsEntry, ...]:
        """The entries inside another one, where neither a `config` nor `maps` have a place."""
        for entry in entries:
            if isinstance(entry, _Config):
                self.complain(
                    "E0010",
                    "a `config` goes outside every `if`, `prefix` and `maps`",
                    Span(self.source, entry.span.start, entry.span.start + len("config")),
                    help="write it before them; a hyperparameter that depends on the value of a key is "
                    "`choose(key, … -> …)`",
                )
            elif isinstance(entry, tree.Maps):
                self.complain(
                    "E0010",
                    "`maps` go outside every `if`, `prefix` and other `maps`",
                    Span(self.source, entry.span.start, entry.name.span.end),
                    help="write them before the others, or beside the `weights` section",
                )
        return tuple(entry for entry in entries if not isinstance(entry, (_Config, tree.Maps)))

    def config(self, span: Span, children: Children) -> _Config:
        return _Config(span, tuple(entry for line in children for entry in line))

    def config_line(self, span: Span, children: Children) -> tuple[tree.ConfigEntry, ...]:
        entries: list[tree.ConfigEntry] = []
        listed = False  # whether a key or a condition alone goes with the `ignore` or `require` before it
        for group in children:
            if isinstance(group, tuple):
                entries += group
                listed = group[0].name is None
            elif listed:
                entries.append(tree.ConfigEntry(group.span, None, group, entries[-1].ignored))
            else:
                self.complain(
                    "E0010",
                    "this is not an entry of a `config`",
                    group.span,
                    help=f"`NAME = {group.span.text}` with the hyperparameter that it gives, `require` or `ignore`",
                )
        return tuple(entries)

    def config_key(self, span: Span, children: Children) -> tuple[tree.ConfigEntry, ...]:
        """`heads = encoder_heads = decoder_heads` is an entry for each key."""
        name, value, *others = children
        first = tree.ConfigEntry(span, self.identifier(name), value)
        return (first, *(tree.ConfigEntry(it.span, self.identifier(name), it, again=True) for it in others))

    def config_one_way(self, span: Span, children: Children) -> tuple[tree.ConfigEntry, ...]:
        name, value = children
        return (tree.ConfigEntry(span, self.identifier(name), value, one_way=True),)

    def config_requirement(self, span: Span, children: Children) -> tuple[tree.ConfigEntry, ...]:
        return (tree.ConfigEntry(span, None, children[0]),)

    def config_ignored(self, span: Span, children: Children) -> tuple[tree.ConfigEntry, ...]:
        return (tree.ConfigEntry(span, None, children[0], ignored=True),)

    def prefix(self, span: Span, children: Children) -> tree.PrefixEntry | _PrefixLine:
        text, optional, entries = children
        if entries is None:
            return _PrefixLine(span, text, optional is not None)
        return tree.PrefixEntry(span, text, optional is not None, self.lines_alone(entries))

    def ignore(self, span: Span, children: Children) -> tree.IgnoreEntry:
        return tree.IgnoreEntry(span, tuple(children))

    def map(self, span: Span, children: Children) -> tree.MapEntry:
        names, axes, direction, value, optional = children
        return tree.MapEntry(span, names, axes, direction.text, value, optional is not None)

    def train(self, span: Span, children: Children) -> tree.Train:
        model, variant, body = children
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
        chosen = self.identifier(variant) if variant is not None else None
        return tree.Train(span, self.identifier(model), chosen, tuple(settings))

    # ---------------------------------------------------------------- layouts

    def mesh_dimension(self, span: Span, children: Children) -> tree.MeshDimension:
        name, size = children
        if not isinstance(size.value, int) or size.value < 1:
            self.complain(
                "E0010",
                f"a mesh cannot have {size.span.text} devices along `{name.text}`",
                size.span,
                help=f"write how many there are, as in `{name.text}=2`",
            )
        return tree.MeshDimension(span, self.identifier(name), size)

    def placing(self, span: Span, children: Children) -> tree.Placing:
        axes, dimension, microbatches = children
        if microbatches is not None and (not isinstance(microbatches.value, int) or microbatches.value < 1):
            self.complain(
                "E0010",
                f"a batch cannot be taken in {microbatches.span.text} microbatches",
                microbatches.span,
                help="write how many there are, as in `in 8 microbatches`",
            )
        return tree.Placing(span, axes, self.identifier(dimension), microbatches)

    def whole_parameters(self, span: Span, children: Children) -> tree.ParameterPlacing:
        return tree.ParameterPlacing(span, None)

    # ---------------------------------------------------------------- statements

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

    def input(self, span: Span, children: Children) -> tree.InputDecl:
        name, type_, optional, default, where = children
        return tree.InputDecl(span, self.identifier(name), type_, optional is not None, default, where or (), None)

    def if_statement(self, span: Span, children: Children) -> tree.If:
        condition, then, otherwise = children
        return tree.If(span, condition, then, otherwise or ())

    def repeat(self, span: Span, children: Children) -> tree.Repeat:
        unrolled, names, count, carried, body = children
        name, *rest = names
        for other in rest[1:]:
            self.complain(
                "E0010",
                "a `repeat` has at most two names: the index and the element",
                other.span,
                help="as in `repeat stage, depth in depths { … }`",
            )
        element = rest[0] if rest else None
        return tree.Repeat(span, name, element, count, carried or (), body, unrolled is not None)

    def otherwise(self, span: Span, children: Children) -> tuple[Any, ...]:
        (branch,) = children
        return (branch,) if isinstance(branch, (tree.If, tree.WeightsIf)) else branch

    weights_otherwise = otherwise

    def scan(self, span: Span, children: Children) -> tree.Scan:
        name, axis, carried, body = children
        return tree.Scan(span, self.identifier(name), axis, carried or (), body)
