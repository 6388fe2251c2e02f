"""The rooms of the package stand in an order: no two import each other, not even inside a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx

ROOT = Path(__file__).resolve().parents[2]


def imported(file: Path) -> Iterator[str]:
    """The rooms that a file imports from, wherever it says so (`attndsl.graph.core` stands in `attndsl.graph`)."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "attndsl" else [f"attndsl.{a.name}" for a in node.names]
        else:
            continue
        yield from (room(name.split(".")[1:]) for name in names if name.startswith("attndsl."))


def room(parts: list[str]) -> str:
    return ".".join(parts[:2] if parts[0] == "backends" else parts[:1])


def rooms() -> networkx.DiGraph:
    found = networkx.DiGraph()
    for top in (ROOT / "attndsl", ROOT / "backends"):
        for file in sorted(top.rglob("*.py")):
            inside = file.relative_to(ROOT).with_suffix("").parts
            own = room(list(inside if top.name == "backends" else inside[1:]))
            found.add_edges_from((own, other) for other in imported(file) if other != own)
    return found


def test_ops_know_neither_the_graph_nor_what_reads_it() -> None:
    assert set(rooms().successors("ops")) == {"diagnostics", "lazy", "sizes", "types"}
    assert set(rooms().successors("types")) == {"sizes"}


def test_no_rooms_import_each_other() -> None:
    circles = [set(found) for found in networkx.strongly_connected_components(rooms()) if len(found) > 1]
    assert all(circle == {"backends.numpy_reference", "backends.pytorch", "running"} for circle in circles), circles
