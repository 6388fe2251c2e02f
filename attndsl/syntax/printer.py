"""Tree → text: canonical `.attn` source that parses to the same tree, and an outline of the tree itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attndsl.records import fields
from attndsl.syntax import tree
from attndsl.syntax.limits import room_to_recurse

INDENT = "  "
WIDTH = 110
"""A longer pipeline is printed with one stage per line."""

# How tightly each form binds; an operand that binds less tightly than its place asks for goes in parentheses.
PIPE, CONDITIONAL, OR, AND, NOT, COMPARISON, UNION, INTERSECTION, SUM, PRODUCT, NEGATIVE, POWER, OPERAND, POSTFIX = (
    range(14)
)

_LEVELS = {
    **{"or": OR, "and": AND, "|": UNION, "&": INTERSECTION, "+": SUM, "-": SUM, "^": POWER},
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), COMPARISON),
    **dict.fromkeys(("*", "/", "//", "%"), PRODUCT),
}


def to_text(node: tree.Tree) -> str:
    """Canonical source text of a file, a declaration, a statement or an expression.

    Parsing it gives an equal tree, spans aside. Comments are not part of the tree, and are gone.
    """
    with room_to_recurse():
        if isinstance(node, tree.File):
            return _file(node)
        if isinstance(node, tree.Declaration):
            return "\n".join(_declaration(node))
        if isinstance(node, tree.Scope | tree.Repeat | tree.Scan) or not isinstance(node, tree.Statement):
            return _expression(node, PIPE, "")  # type: ignore[arg-type]
        return "\n".join(_statement(node, ""))


def to_outline(root: tree.Tree, *, positions: bool = True) -> str:
    """One line per node, indented by depth: the field it fills, its kind, its own values, and its line:column."""
    lines: list[str] = []
    waiting: list[tuple[str, object, int]] = [("", root, 0)]
    while waiting:
        role, node, depth = waiting.pop()
        start = INDENT * depth + (f"{role}: " if role else "")
        if not isinstance(node, tree.Tree):
            lines.append(f"{start}{node}")
            continue
        own: list[str] = []
        below: list[tuple[str, object, int]] = []
        for field in fields(node):
            value = getattr(node, field.name)
            if field.name == "span" or value is None or value == ():
                continue
            if isinstance(value, tree.Identifier):
                own.append(f"{field.name}={value.text}")
            elif isinstance(value, tuple):
                if all(isinstance(item, tree.Identifier) for item in value):
                    own.append(f"{field.name}={','.join(item.text for item in value)}")
                else:
                    below += (
                        (field.name, _pair(item) if isinstance(item, tuple) else item, depth + 1) for item in value
                    )
            elif isinstance(value, tree.Tree):
                below.append((field.name, value, depth + 1))
            else:
                own.append(f"{field.name}={value!r}")
        place = " @{}:{}".format(*node.span.source.position(node.span.start)) if positions else ""
        lines.append(" ".join([f"{start}{type(node).__name__}", *own]) + place)
        waiting.extend(reversed(below))
    return "\n".join(lines)


def _pair(names: tuple[tree.Identifier, tree.Identifier | None]) -> str:
    name, alias = names
    return f"{name.text} as {alias.text}" if alias else name.text


# ---------------------------------------------------------------- file and declarations


def _file(file: tree.File) -> str:
    """Declarations with an empty line between them, except between one-liners of a kind."""
    lines = _doc(file.doc, "")
    before: tuple[type, int] | None = (tree.File, 0) if lines else None
    for declaration in file.declarations:
        text = _declaration(declaration)
        kind = (type(declaration), len(text))
        if before is not None and not (kind == before and len(text) == 1):
            lines.append("")
        lines += text
        before = kind
    return "\n".join(lines) + "\n"


def _doc(doc: str | None, indent: str) -> list[str]:
    return [] if doc is None else [f"{indent}/// {line}".rstrip() for line in doc.split("\n")]


def _declaration(node: tree.Declaration) -> list[str]:
    match node:
        case tree.Use():
            path = f"std.{node.path}" if node.is_std else _string(node.path)
            names = ", ".join(map(_pair, node.names))
            return [f"use {path}: {names}" if names else f"use {path}"]
        case tree.Model():
            signature = _parameters(node.hyperparameters) if node.hyperparameters else ""
            return [*_doc(node.doc, ""), *_braces(f"model {node.name.text}{signature}", node.body, "")]
        case tree.Block():
            results = " -> " + ", ".join(map(_type, node.results)) if node.results else ""
            return [*_doc(node.doc, ""), *_braces(f"block {node.name.text}{_lists(node)}{results}", node.body, "")]
        case tree.IndexFunction():
            captures = _parameters(node.captures) if node.captures else ""
            variables = ", ".join(
                f"{v.name.text} in {_axis(v.axis)}" if v.axis else v.name.text for v in node.variables
            )
            head = f"{node.kind} {node.name.text}{captures}({variables})"
            if len(node.body) == 1 and isinstance(node.body[0], tree.Return) and len(node.body[0].values) == 1:
                return [*_doc(node.doc, ""), f"{head} = {_expression(node.body[0].values[0], PIPE, '')}"]
            return [*_doc(node.doc, ""), *_braces(head, node.body, "")]
        case tree.Variant():
            settings = ", ".join(map(_argument, node.settings))
            head = f"variant {node.model.text}:{node.name.text}"
            return [*_doc(node.doc, ""), f"{head} {{ {settings} }}" if settings else f"{head} {{ }}"]
        case tree.Maps():
            return _maps(node, "")
        case tree.Weights():
            return _weights(node)
        case tree.Train():
            name = f"{node.model.text}:{node.variant.text}" if node.variant else node.model.text
            return [f"train {name} {{", *(f"{INDENT}{_argument(it, ' = ')}" for it in node.settings), "}"]
        case tree.Layout():
            mesh = ", ".join(f"{it.name.text}={_expression(it.size, PIPE, '')}" for it in node.mesh)
            head = f"layout {node.name.text} for {node.model.text} over ({mesh}) {{"
            return [*_doc(node.doc, ""), head, *(INDENT + _placing(it) for it in node.rules), "}"]


def _placing(node: tree.Placing | tree.ParameterPlacing) -> str:
    if isinstance(node, tree.Placing):
        parts = f" in {_expression(node.microbatches, PIPE, '')} microbatches" if node.microbatches is not None else ""
        return f"{', '.join(_expression(axis, PIPE, '') for axis in node.axes)} on {node.dimension.text}{parts}"
    return "parameters whole" if node.dimension is None else f"parameters on {node.dimension.text}"


def _lists(node: tree.Block) -> str:
    """One list where types tell tensors and hyperparameters apart and only one kind is there, two otherwise."""
    typed = [entry.type is not None for entry in node.hyperparameters]
    if not node.hyperparameters and node.tensors:
        return _parameters(node.tensors)
    if not node.tensors and not any(typed):
        return _parameters(node.hyperparameters)
    return _parameters(node.hyperparameters) + _parameters(node.tensors)


def _parameters(entries: Iterable[tree.Parameter]) -> str:
    parts = []
    for entry in entries:
        type_ = f": {_type(entry.type)}" if entry.type else ""
        default = (
            "" if entry.default is None else f"{' = ' if entry.type else '='}{_expression(entry.default, PIPE, '')}"
        )
        parts.append(f"{entry.name.text}{type_}{default}")
    return f"({', '.join(parts)})"


def _weights(node: tree.Weights) -> list[str]:
    lines = [f"weights {node.model.text} from {node.origin.text} {{"]
    if node.config:
        lines.append(f"{INDENT}config {{")
        for entry in node.config:
            if entry.again:
                lines[-1] += f" = {_expression(entry.value, PIPE, '')}"
                continue
            head = "ignore " if entry.ignored else "require "
            if entry.name is not None:
                head = f"{entry.name.text} {'<-' if entry.one_way else '='} "
            lines.append(f"{INDENT * 2}{head}{_expression(entry.value, PIPE, '')}")
        lines.append(f"{INDENT}}}")
    for group in node.maps:
        lines += _maps(group, INDENT)
    return [*lines, *_weights_entries(node.entries, INDENT), "}"]


def _maps(node: tree.Maps, indent: str) -> list[str]:
    head = f"{indent}maps {node.name.text}({', '.join(it.text for it in node.parameters)}) {{"
    return [*_doc(node.doc, indent), head, *_weights_entries(node.entries, indent + INDENT), f"{indent}}}"]


def _weights_entries(entries: Iterable[tree.WeightsEntry], indent: str) -> list[str]:
    lines = []
    for it in entries:
        match it:
            case tree.PrefixEntry():
                lines.append(f"{indent}prefix {_string(it.text.value)}{' optional' * it.optional} {{")
                lines += [*_weights_entries(it.entries, indent + INDENT), f"{indent}}}"]
            case tree.IgnoreEntry():
                lines.append(f"{indent}ignore {', '.join(_string(name.value) for name in it.names)}")
            case tree.MapEntry():
                names = " + ".join(_string(name.value) for name in it.names)
                axes = f": {_axes(it.axes)}" if it.axes else ""
                value = _expression(it.value, PIPE, "")
                lines.append(f"{indent}{names}{axes} {it.direction} {value}{' optional' * it.optional}")
            case tree.WeightsIf():
                lines += _weights_if(it, indent)
    return lines


def _weights_if(node: tree.WeightsIf, indent: str) -> list[str]:
    lines = [f"{indent}if {_expression(node.condition, PIPE, indent)} {{"]
    while True:
        lines += _weights_entries(node.then, indent + INDENT)
        if len(node.otherwise) != 1 or not isinstance(node.otherwise[0], tree.WeightsIf):
            break
        node = node.otherwise[0]
        lines.append(f"{indent}}} else if {_expression(node.condition, PIPE, indent)} {{")
    if node.otherwise:
        lines += [f"{indent}}} else {{", *_weights_entries(node.otherwise, indent + INDENT)]
    return [*lines, f"{indent}}}"]


# ---------------------------------------------------------------- statements


def _braces(head: str, body: Sequence[tree.Statement], indent: str) -> list[str]:
    inside = [line for statement in body for line in _statement(statement, indent + INDENT)]
    return [f"{indent}{head} {{", *inside, f"{indent}}}"]


def _statement(node: tree.Statement, indent: str) -> list[str]:
    match node:
        case tree.If():
            return _if(node, indent)
        case tree.Scope() | tree.Repeat() | tree.Scan():
            return [indent + _region(node, indent)]
        case tree.InputDecl():
            parts = [f"input {node.name.text}: {_type(node.type)}"]
            parts += ["optional"] * node.optional
            parts += [] if node.default is None else [f"= {_expression(node.default, PIPE, indent)}"]
            parts += [f"where {_list(node.where, indent)}"] if node.where else []
            return [*_doc(node.doc, indent), indent + " ".join(parts)]
        case tree.OutputDecl():
            head = f"{indent}output {node.name.text}{_written_type(node.type)} ="
            return [*_doc(node.doc, indent), _given(head, node.value, indent)]
        case tree.Assign():
            targets = ", ".join(target.text for target in node.targets)
            head = f"{indent}{targets}{_written_type(node.type)} {node.operator or ''}="
            return [_given(head, node.value, indent)]
        case tree.LayerDecl():
            return [_given(f"{indent}layer {node.name.text} =", node.value, indent)]
        case tree.ParamDecl():
            head = f"{indent}param {node.name.text}: {_type(node.type)}"
            return [head if node.init is None else _given(f"{head} =", node.init, indent)]
        case tree.StateDecl():
            of = f": {_type(node.type)}" if node.type is not None else ""
            return [_given(f"{indent}state {node.name.text}{of} =", node.init, indent)]
        case tree.StateWrite():
            return [_given(f"{indent}{node.name.text} <-", node.value, indent)]
        case tree.RequireDecl():
            otherwise = "" if node.message is None else f" else {_expression(node.message, PIPE, indent)}"
            return [f"{indent}require {_expression(node.condition, PIPE, indent)}{otherwise}"]
        case tree.Return():
            return [f"{indent}return {_list(node.values, indent)}"]
        case tree.Emit():
            return [f"{indent}emit {_list(node.values, indent)}"]


def _written_type(type: tree.TypeTree | None) -> str:
    return "" if type is None else f": {_type(type)}"


def _given(head: str, value: tree.Expr, indent: str) -> str:
    line = f"{head} {_expression(value, PIPE, indent)}"
    if len(line) <= WIDTH or not isinstance(value, tree.Pipe):
        return line
    stages = (f"\n{indent}{INDENT}|> {_stage(stage, indent)}" for stage in value.stages)
    return f"{head} {_expression(value.value, CONDITIONAL, indent)}" + "".join(stages)


def _if(node: tree.If, indent: str) -> list[str]:
    lines: list[str] = []
    head = "if"
    while True:
        part = _braces(f"{head} {_expression(node.condition, PIPE, indent)}", node.then, indent)
        if lines:
            part[0] = lines.pop() + part[0].removeprefix(indent)
        lines += part
        if not node.otherwise:
            return lines
        lines[-1] = f"{indent}}} "
        (first, *rest) = node.otherwise
        if not rest and isinstance(first, tree.If):
            node, head = first, "else if"
            continue
        inside = [line for statement in node.otherwise for line in _statement(statement, indent + INDENT)]
        return [*lines[:-1], f"{indent}}} else {{", *inside, f"{indent}}}"]


def _region(node: tree.Scope | tree.Repeat | tree.Scan, indent: str) -> str:
    if isinstance(node, tree.Scope):
        head = f"scope {node.name.text}"
    else:
        if isinstance(node, tree.Repeat):
            names = node.name.text + (f", {node.element.text}" if node.element else "")
            head = f"{'unrolled ' if node.unrolled else ''}repeat {names} in {_expression(node.count, PIPE, indent)}"
        else:
            head = f"scan {node.name.text} in {_axis(node.axis)}"
        carried = (
            f"{it.name.text}{f': {_type(it.type)}' if it.type else ''} = {_expression(it.value, PIPE, indent)}"
            for it in node.carried
        )
        head += f" with {', '.join(carried)}" if node.carried else ""
    return "\n".join(_braces(head, node.body, indent)).removeprefix(indent)


# ---------------------------------------------------------------- types and axes


def _type(node: tree.TypeTree) -> str:
    if node.dtype is None:
        return _axes(node.axes)
    return node.dtype.text + (_axes(node.axes) if node.axes.terms else "")


def _axes(node: tree.AxisList) -> str:
    return f"[{', '.join(map(_axis, node.terms))}]"


def _axis(node: tree.AxisTerm) -> str:
    if node.size is None:
        return "*"
    size = _expression(node.size, PIPE, "")
    return f"{node.name.text}={size}" if node.name else size


def _side(node: tree.AxisList, named: bool = False) -> str:
    """A side of an arrow, bare if it was written bare: then the list and its one entry have the same extent. Only the
    right side may have a name there (`named`)."""
    if len(node.terms) == 1:
        (term,) = node.terms
        is_bare = (term.span.start, term.span.end) == (node.span.start, node.span.end)
        if is_bare and term.size is not None and (named or term.name is None):
            return _axis(term)
    return _axes(node)


# ---------------------------------------------------------------- expressions


def _expression(node: tree.Expr, place: int, indent: str) -> str:
    """The text of `node`, in parentheses where `place` asks for something that binds more tightly."""
    text, level = _spelled(node, indent)
    return f"({text})" if level < place else text


def _spelled(node: tree.Expr, indent: str) -> tuple[str, int]:
    match node:
        case tree.Number():
            return _number(node.value), OPERAND
        case tree.Boolean():
            return ("true" if node.value else "false"), OPERAND
        case tree.String():
            return _string(node.value), OPERAND
        case tree.Name():
            return node.text, POSTFIX
        case tree.Attribute():
            return f"{_expression(node.base, POSTFIX, indent)}.{node.name.text}", POSTFIX
        case tree.Call():
            arguments = ", ".join(_argument(it, "=", indent) for it in node.arguments)
            return f"{_expression(node.callee, POSTFIX, indent)}({arguments})", POSTFIX
        case tree.Subscript():
            entries = ", ".join(_entry(it, indent) for it in node.entries)
            return f"{_expression(node.base, POSTFIX, indent)}[{entries}]", POSTFIX
        case tree.Labelled():
            return f"{_expression(node.value, POSTFIX, indent)} as {node.label.text}", OPERAND
        case tree.Unary():
            if node.operator == "not":
                return f"not {_expression(node.operand, NOT, indent)}", NOT
            return f"-{_expression(node.operand, NEGATIVE, indent)}", NEGATIVE
        case tree.Chain():
            return _chain(node, indent)
        case tree.Conditional():
            then, condition = _expression(node.then, OR, indent), _expression(node.condition, OR, indent)
            return f"{then} if {condition} else {_expression(node.otherwise, CONDITIONAL, indent)}", CONDITIONAL
        case tree.Pipe():
            stages = "".join(f" |> {_stage(stage, indent)}" for stage in node.stages)
            return _expression(node.value, CONDITIONAL, indent) + stages, PIPE
        case tree.List():
            return _axes(node.axes), POSTFIX
        case tree.Arrow():
            return f"{_side(node.source)} -> {_side(node.target, named=True)}", POSTFIX
        case tree.Scope() | tree.Repeat() | tree.Scan():
            return _region(node, indent), OPERAND


def _chain(node: tree.Chain, indent: str) -> tuple[str, int]:
    level = _LEVELS[node.operators[0].text]
    left, right = (OPERAND, NEGATIVE) if level == POWER else (level + 1, level + 1)
    parts = [_expression(node.operands[0], left, indent)]
    for operator, operand in zip(node.operators, node.operands[1:], strict=True):
        parts += [operator.text, _expression(operand, right, indent)]
    return " ".join(parts), level


def _stage(node: tree.Expr, indent: str) -> str:
    if isinstance(node, tree.Labelled):
        return f"{_expression(node.value, POSTFIX, indent)} as {node.label.text}"
    return _expression(node, POSTFIX, indent)


def _list(values: Iterable[tree.Expr], indent: str) -> str:
    return ", ".join(_expression(value, PIPE, indent) for value in values)


def _argument(node: tree.Argument, equals: str = "=", indent: str = "") -> str:
    value = _expression(node.value, PIPE, indent)
    return f"{node.name.text}{equals}{value}" if node.name else value


def _entry(node: tree.SubscriptEntry, indent: str) -> str:
    def optional(value: tree.Expr | None) -> str:
        return "" if value is None else _expression(value, PIPE, indent)

    if node.axis is None:
        return optional(node.index)
    axis = node.axis.size
    assert axis is not None
    if node.below is not None:
        return f"{_expression(axis, UNION, indent)} < {_expression(node.below, UNION, indent)}"
    if not node.is_slice:
        return f"{_expression(axis, PIPE, indent)}={optional(node.index)}"
    target = f" -> {_axis(node.target)}" if node.target else ""
    return f"{_expression(axis, PIPE, indent)}={optional(node.start)}:{optional(node.stop)}{target}"


def _number(value: int | float) -> str:
    digits, mark, exponent = repr(value).partition("e")
    return f"{digits}e{int(exponent)}" if mark else digits


def _string(value: str) -> str:
    for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        value = value.replace(character, escape)
    return f'"{value}"'
