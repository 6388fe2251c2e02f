"""A language for neural architectures, and its compiler.

    >>> import attndsl
    >>> graph = attndsl.load("gpt2", {"depth": 2})
    >>> graph.parameter_count
    53559552

`load` checks a spec and gives its graph; everything else reads a graph: `attndsl.inspection`, `attndsl.drawing`,
`attndsl.comparison`, `attndsl.weights`, `attndsl.training`, and the backends in `attndsl.backends`. Whatever is wrong
with a spec, its settings or its files raises `AttnError`, which carries one diagnostic for each mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import AttnError, Diagnostic

if TYPE_CHECKING:
    from attndsl.elaborate import load, open_spec, shipped

__version__ = "0.1.0"
__all__ = ["AttnError", "Diagnostic", "__version__", "load", "open_spec", "shipped"]


def __getattr__(name: str) -> Any:
    # The checker is loaded at its first use, so that `import attndsl.diagnostics` costs nothing.
    if name in ("load", "open_spec", "shipped"):
        import attndsl.elaborate

        return getattr(attndsl.elaborate, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
