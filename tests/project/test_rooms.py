"""The rooms of the package stand in an order: each imports only what stands below it, inside functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# From the lowest to the highest; a module at the top of the package is a room of its own.
ROOMS = (
    # What everything stands on.
    "records", "addresses", "lazy", "shipped", "diagnostics", "habits", "sizes", "storage", "choices",
    "tables",
    # From text to graph.
    "types", "syntax", "highlighting", "formatting", "ops", "graph", "values", "elaborate",
    # What reads a graph without running it.
    "masks", "passes", "layouts", "inspection", "planning", "drawing", "differences", "typesetting",
    # Running one.
    "optimizers", "running", "backends.numpy_reference", "backends.pytorch", "comparison",
    # Training one, and using what was trained.
    "data", "decoding", "objectives", "recipe", "lints", "weights", "onnx_export", "runs", "training", "generation",
    "verification", "attention_maps",
    # For people.
    "api", "editing", "model_page", "__init__", "language_server", "cli", "__main__",
)  # fmt: skip


def imported(file: Path) -> Iterator[tuple[int, str]]:
    """The rooms that a file imports from, with the line, wherever it says so (`attndsl.graph.core` is in `graph`)."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "attndsl" else [f"attndsl.{a.name}" for a in node.names]
        else:
            continue
        yield from ((node.lineno, room(name.split(".")[1:])) for name in names if name.startswith("attndsl."))


def room(parts: list[str]) -> str:
    found = ".".join(parts[:2] if parts[0] == "backends" else parts[:1])
    return "__init__" if found == "__version__" else found


def files() -> Iterator[tuple[str, Path]]:
    """Every file of the package with the room that it is in."""
    for top in (ROOT / "attndsl", ROOT / "backends"):
        for file in sorted(top.rglob("*.py")):
            inside = file.relative_to(ROOT).with_suffix("").parts
            if inside != ("backends", "__init__") and inside[:2] != ("attndsl", "backends"):
                yield room(list(inside if top.name == "backends" else inside[1:])), file


def test_every_room_has_its_place() -> None:
    assert sorted(ROOMS) == sorted({own for own, _ in files()})


def test_no_room_imports_one_above_it() -> None:
    place = {name: number for number, name in enumerate(ROOMS)}
    upwards = [
        f"{file.relative_to(ROOT)}:{line}: {own} imports {other}"
        for own, file in files()
        for line, other in imported(file)
        if other != own and place[other] > place[own]
    ]
    assert not upwards, "\n".join(upwards)


def test_a_backend_is_known_to_nobody_but_the_methods_that_are_called_after_it() -> None:
    """All else finds it through `attndsl.running.backends`."""
    users = {
        own for own, file in files() for _, other in imported(file) if other.startswith("backends.") and own != other
    }
    assert users == {"api"}
