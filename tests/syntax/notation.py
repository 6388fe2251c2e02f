"""Short ways to say what a text parses to."""

from __future__ import annotations

from attndsl.diagnostics import Source
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.syntax.printer import to_outline, to_text

DECLARATIONS = ["model", "block", "mask", "bias", "variant", "weights", "train", "layout", "maps", "use"]
STATEMENTS = ["layer", "param", "state", "scope", "repeat", "scan", "input", "output", "require"]
KEYWORDS = [
    *DECLARATIONS,
    *STATEMENTS,
    "config",
    "prefix",
    "ignore",
    "in",
    "where",
    "optional",
    "with",
    "from",
    "for",
    "on",
    "parameters",
    "whole",
]
"""Words that are keywords only where they start something."""


def parsed(text: str) -> tree.File:
    """The tree of a text without mistakes."""
    file, found = parse(Source("test.attn", text))
    assert not found, [f"{d.primary.span if d.primary else ''} {d.message}" for d in found]
    return file


def mistakes(text: str) -> list[tuple[str, int]]:
    """The code and the line of every mistake in a text."""
    _, found = parse(Source("test.attn", text))
    return [(d.code, d.primary.span.line if d.primary else 0) for d in found]


def body(text: str) -> tuple[tree.Statement, ...]:
    """The statements of a model's body."""
    (model,) = parsed(f"model M {{\n{text}\n}}\n").declarations
    assert isinstance(model, tree.Model)
    return model.body


def shape(node: tree.Tree) -> str:
    """The tree without its places, to compare two."""
    return to_outline(node, positions=False)


def grouped(text: str) -> str:
    """An expression with parentheses round everything that was parsed as a unit: `a + b * c` → `(a + (b * c))`."""
    (statement,) = body(f"it = {text}")
    assert isinstance(statement, tree.Assign)
    return _group(statement.value)


def _group(node: tree.Expr) -> str:
    match node:
        case tree.Chain():
            parts = [_group(node.operands[0])]
            for operator, operand in zip(node.operators, node.operands[1:], strict=True):
                parts += [operator.text, _group(operand)]
            return f"({' '.join(parts)})"
        case tree.Unary():
            return f"({node.operator} {_group(node.operand)})"
        case tree.Conditional():
            return f"({_group(node.then)} if {_group(node.condition)} else {_group(node.otherwise)})"
        case tree.Pipe():
            return "(" + " |> ".join(map(_group, (node.value, *node.stages))) + ")"
        case tree.Labelled():
            return f"({_group(node.value)} as {node.label.text})"
        case tree.Call():
            arguments = (f"{a.name.text}={_group(a.value)}" if a.name else _group(a.value) for a in node.arguments)
            return f"{_group(node.callee)}({', '.join(arguments)})"
        case tree.Attribute():
            return f"{_group(node.base)}.{node.name.text}"
        case _:
            return to_text(node)
