"""A language for neural architectures, and its compiler.

    >>> import attndsl
    >>> model = attndsl.load("gpt2", depth=2)         # or "gpt2:medium", or "my.attn"
    >>> model.parameters
    53561088

A spec is checked when it is loaded, before a tensor exists; what is wrong with it raises `AttnError`, whose text is one
message for each mistake, with its place and how to fix it; what is allowed but was hardly meant is among
`model.warnings`. A `Model` can be

    model.summary(), model.draw(), model.save_drawing("gpt2.svg")     looked at (a notebook shows its diagram)
    model.with_(depth=6, act="silu")                                  changed, which gives another one
    model.torch(), model.source()                                     a `torch.nn.Module`, and its text
    model.numpy(), model.run({"tokens": ids})                         run, with arrays by the names of the spec
    model.compare(gradients=True)                                     compared with NumPy, array by array
    model.verify()                                                    shown to be right, claim by claim
    model.train("book.txt", "runs/book", steps=200)                   trained; `attndsl.open_run` reads a run again
    model.sweep("book.txt", lr=[1e-3, 3e-4], seeds=3)                 trained with each, and compared

    attndsl.load("gpt2", weights="folder/")      a published model: its sizes and its parameters
    attndsl.parse("model M(…) { … }")            a spec as a string
    attndsl.shipped()                            the specs that come with attndsl

The parts can be used by themselves: `attndsl.elaborate` (from text to graph), `attndsl.inspection`, `attndsl.drawing`,
`attndsl.comparison`, `attndsl.weights`, `attndsl.training`, `attndsl.generation`; `attndsl.running.backends` knows the
backends. Importing attndsl loads none of them, and neither NumPy nor PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.api.loading import load, parse
    from attndsl.api.model import Model
    from attndsl.api.swept import SweptModel, open_sweep
    from attndsl.api.trained import TrainedModel, open_run, resume
    from attndsl.elaborate import open_spec, shipped

__version__ = "0.1.0"
__all__ = [
    "AttnError",
    "Diagnostic",
    "Model",
    "SweptModel",
    "TrainedModel",
    "__version__",
    "load",
    "open_run",
    "open_spec",
    "open_sweep",
    "parse",
    "resume",
    "shipped",
]

# What is loaded at its first use, so that `import attndsl.diagnostics` costs nothing.
__getattr__, __dir__ = lazily(__name__)
