"""Nothing but the registry and a backend's own folder knows a backend by its name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from attndsl.running.backends import backends

ROOT = Path(__file__).resolve().parents[2]
NAMES = {name for backend in backends().values() for name in backend.names}
SPELLED = re.compile(rf"(--backend|--against|--reference|backend=['\"]?) ?({'|'.join(sorted(NAMES))})\b")

PACKAGES = {
    "attndsl/lazy.py",
    "attndsl/habits/table.py",
}  # where a text that is called as a backend is means the package


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string of a module that is not a docstring, with its line."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def test_no_text_is_the_name_of_a_backend() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text[:60]!r}"
        for path in sorted((ROOT / "attndsl").rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in PACKAGES
        and not path.relative_to(ROOT).as_posix().startswith("attndsl/backends/")
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8")))
        if text in NAMES or SPELLED.search(text)
    ]
    assert not found, "ask `attndsl.running.backends` instead:\n" + "\n".join(found)
