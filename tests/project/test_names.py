"""A public class, and a file, is the only one of its name, so that a name says which is meant."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The tree's classes are called as the language calls things, and are written `tree.Model` wherever they are used; the
# helpers of generated modules are text.
QUALIFIED = ("attndsl/syntax/tree.py", "backends/pytorch/helpers.py")


def files() -> list[Path]:
    found = [file for top in ("attndsl", "backends") for file in sorted((ROOT / top).rglob("*.py"))]
    return [file for file in found if file.relative_to(ROOT).parts[:2] != ("attndsl", "backends")]


def test_no_two_public_classes_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for file in files():
        where = file.relative_to(ROOT).as_posix()
        if where in QUALIFIED:
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(where)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice


def test_the_trees_classes_are_written_with_its_name() -> None:
    users = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in files()
        if "syntax" not in file.parts
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module == "attndsl.syntax.tree"
        and any(alias.name[0].isupper() for alias in node.names)
    ]
    assert not users


def test_no_name_is_given_to_many_files() -> None:
    """Two or three of a name may be what two backends, or some rooms, have alike; more say nothing. A room's classes
    may have a base."""
    names = Counter(file.name for file in files())
    del names["__init__.py"], names["base.py"]
    assert {name for name, count in names.items() if count > 3} == set()
