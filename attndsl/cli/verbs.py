"""The table of verbs. A verb's module is imported when it is asked for, so that one verb never pays for another."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import ModuleType


class Verb(NamedTuple):
    """`module` has `configure(parser)`, which adds the arguments, and `run(args) -> int`, which gives the exit code."""

    name: str
    summary: str
    example: str
    group: str

    @property
    def module(self) -> ModuleType:
        return importlib.import_module(f"attndsl.cli.{self.name}")


READ, WRITE, RUN, LEARN, USE = "read a spec", "write a spec", "run a model", "train a model", "use a trained model"

VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("check", "check that specs are right, and count their parameters", "check gpt2 my.attn", READ),
        Verb("list", "list the shipped specs and their variants", "list", READ),
        Verb("show", "print a shipped spec's text, to read or to start from", "show gpt2 > my.attn", READ),
        Verb("explain", "explain the code of a message, with a wrong and a right program", "explain E0203", READ),
        Verb(
            "inspect",
            "print the layers: shapes, parameters, FLOPs, memory",
            "inspect gpt2:medium --size B=1,T=1024",
            READ,
        ),
        Verb("render", "draw the architecture as papers do", "render gpt2 -o gpt2.svg", READ),
        Verb("diff", "say what changes in meaning from one model to another", "diff HEAD:my.attn my.attn", READ),
        Verb("watch", "follow a file in a browser: diagram, layers, masks, errors", "watch my.attn", WRITE),
        Verb("fmt", "put files into the one layout of specs", "fmt my.attn", WRITE),
        Verb("lsp", "serve an editor, which starts this: diagnostics, types, completion", "lsp", WRITE),
        Verb(
            "completion",
            "complete verbs, specs, options and their values in a shell",
            "completion bash >> ~/.bashrc",
            WRITE,
        ),
        Verb(
            "compile",
            "print the graph, or the PyTorch module that it becomes",
            "compile gpt2 --emit python -o gpt2.py",
            RUN,
        ),
        Verb(
            "run", "run a model once, on arrays from a file", "run gpt2 --weights gpt2/ --inputs in.npz -o out.npz", RUN
        ),
        Verb(
            "compare",
            "compare one backend with another: every output, every gradient",
            "compare gpt_nano --gradients",
            RUN,
        ),
        Verb(
            "verify",
            "show that a model is right: every pass, backend, gradient and way to call it",
            "verify gpt2",
            RUN,
        ),
        Verb(
            "train",
            "train a model on text, tables or pictures",
            "train gpt_nano --data book.txt --out runs/book",
            LEARN,
        ),
        Verb(
            "sweep",
            "train with every combination of some settings and seeds",
            "sweep gpt_nano --data book.txt --set lr=3e-4,1e-3 --seeds 3 --jobs 2",
            LEARN,
        ),
        Verb(
            "runs",
            "compare training runs: settings, cost, losses, curves",
            "runs runs/ --sort best --plot curves.svg",
            LEARN,
        ),
        Verb("evaluate", "measure a trained model on its held-out data", "evaluate runs/book --set length=64", LEARN),
        Verb("export", "export a trained model for other tools", "export runs/book --to huggingface book-hf", LEARN),
        Verb("generate", "write text with a trained model", 'generate runs/book --prompt "Once upon"', USE),
        Verb(
            "predict",
            "predict the class of a text or a picture, tags, masked words",
            'predict runs/mail --text "Buy now"',
            USE,
        ),
        Verb("embed", "turn texts or pictures into vectors", "embed runs/bert --data lines.txt -o vectors.npz", USE),
        Verb("attend", "draw what a model attends to", 'attend runs/bert --text "It is cold" -o attention.html', USE),
    )
}
