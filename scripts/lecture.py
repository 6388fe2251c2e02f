"""Run the cells of docs/lecture.ipynb in order, and keep what they show: `python scripts/lecture.py`.

The notebook is written in Jupyter or in a text editor; its outputs are those of this script, which needs neither, so
that a test can say whether they are still what the cells give.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
NOTEBOOK = ROOT / "docs" / "lecture.ipynb"
SHOWN = {"image/svg+xml": "_repr_svg_", "text/markdown": "_repr_markdown_"}
"""The forms in which a value may show itself, the best one first."""


def outputs(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """What each code cell shows, run one after the other in one namespace."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [_run("".join(cell["source"]), names) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def _run(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """As a notebook does it: what is printed, then the value of an expression at the end."""
    body = ast.parse(source).body
    last = body[-1] if body and isinstance(body[-1], ast.Expr) else None
    body = body if last is None else body[:-1]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last is not None else None
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append({"name": "stdout", "output_type": "stream", "text": _lines(printed.getvalue())})
    if value is not None:
        found.append({"data": _shown(value), "metadata": {}, "output_type": "display_data"})
    return found


def _shown(value: Any) -> dict[str, list[str]]:
    for form, method in SHOWN.items():
        if hasattr(value, method):
            return {form: _lines(getattr(value, method)())}
    return {"text/plain": _lines(repr(value))}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def text_of(notebook: dict[str, Any]) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, (cell, shown) in enumerate(zip(cells, outputs(notebook), strict=True), 1):
        cell["execution_count"], cell["outputs"] = number, shown
    NOTEBOOK.write_text(text_of(notebook), encoding="utf-8")
    print(f"ran {len(cells)} cells of {NOTEBOOK}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
