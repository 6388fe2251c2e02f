"""What a device holds in a step of training, as `inspect` predicts it and as it is measured.

    python scripts/memory.py                 six models by thirteen layouts
    python scripts/memory.py llama data      those whose names have these words
    python scripts/memory.py --write         all, and put them into docs/planning.md

Each row is one process on the CPU, of a group in which the others are not there: what it would get from them is not
needed to know how much it holds. Measured are the bytes of all tensors that are there at once, when they are the most.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("ATTNDSL_KERNELS", "onednn")  # others hold other copies: timings are not to decide

from attndsl.elaborate import elaborate, open_spec
from attndsl.layouts import choose_layout
from attndsl.planning.memory import DeviceMemory
from attndsl.planning.request import plan_on_paper
from attndsl.recipe.recipe import Recipe
from attndsl.running.inputs import example_inputs
from attndsl.running.processes import Launch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "planning.md"
TABLE = re.compile(r"(<!-- memory -->\n)(.*?)(<!-- /memory -->\n)", re.DOTALL)
KINDS = ("weights", "gradients", "states", "activations", "working")
PLAN = "precision=fp32,kernels=eager,loss=chunked"
"""How a process computes on a CPU."""


@dataclass(frozen=True)
class Model:
    """A small model, of which both weights and activations matter, and the axes that a layout can lay on devices."""

    spec: str
    settings: Mapping[str, Any]
    sizes: Mapping[str, int]
    inner: str
    loops: str = "layer"
    stages: int = 2
    experts: str = "n"
    tokens: str = "T"


MODELS = {
    "gpt_nano": Model("gpt_nano", {}, {"B": 8, "T": 128}, "heads, 4*width, vocab", loops="h"),
    "bert": Model("bert:nano", {"width": 256, "heads": 8, "vocab": 1024}, {"B": 8, "T": 128}, "heads, hidden, vocab"),
    "t5": Model("t5:nano", {"width": 256, "heads": 8, "head": 32, "hidden": 1024, "vocab": 1024, "depth": 3},
                {"B": 8, "S": 128, "T": 128}, "heads, hidden, vocab", loops="block", stages=3),
    "mixtral": Model("mixtral:nano", {"width": 256, "heads": 8, "kv_heads": 4, "hidden": 512, "depth": 3},
                     {"B": 8, "T": 128}, "heads, kv_heads, hidden, vocab", stages=3),
    "vit": Model("vit:nano", {"size": 32, "width": 256, "heads": 8, "labels": 16, "p": 0.0},
                 {"B": 8, "Y": 16, "X": 16}, "heads, hidden"),
    "llama": Model("llama:nano", {"width": 256, "heads": 8, "kv_heads": 4, "hidden": 704, "vocab": 1024},
                   {"B": 8, "T": 128}, "heads, kv_heads, hidden, vocab"),
}  # fmt: skip

ALONE = "data=1; B on data; parameters whole"
LAYOUTS = {
    "one device": "",
    "one device, recomputed": "",
    "data, parameters whole": "data=4; B on data; parameters whole",
    "data": "data=4; B on data",
    "data, recomputed": "data=4; B on data",
    "model": "model=4; INNER on model; parameters whole",
    "data × model": "data=2, model=2; B on data; INNER on model",
    "sequence": "data=2, model=2; B on data; INNER on model; TOKENS on model",
    "context": "data=2, context=2; B on data; TOKENS on context",
    "experts": "data=2; B on data; EXPERTS on data",
    "stages": "stages=STAGES; LOOPS on stages in 4 microbatches; parameters whole",
    "stages × data": "stages=STAGES, data=2; LOOPS on stages in 4 microbatches; B on data",
    "stages × model": "stages=STAGES, model=2; LOOPS on stages in 4 microbatches; INNER on model; parameters whole",
}


@dataclass
class Row:
    """One model by one layout; bytes by kind."""

    model: str
    layout: str
    measured: Mapping[str, int] = field(default_factory=dict)
    predicted: DeviceMemory | None = None
    refused: str = ""

    @property
    def error(self) -> float:
        assert self.predicted is not None
        return self.predicted.total / sum(self.measured.values()) - 1


@contextmanager
def alone(devices: int) -> Iterator[None]:
    """A group of so many processes, of which this is the first and the others are not there."""
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=devices)
    try:
        yield
    finally:
        dist.destroy_process_group()


def row(name: str, kind: str) -> Row:
    from attndsl.diagnostics import AttnError

    model = MODELS[name]
    spec = open_spec(model.spec)
    graph = elaborate(spec, dict(model.settings))
    text = LAYOUTS[kind]
    for word in ("inner", "tokens", "experts", "loops", "stages"):
        text = text.replace(word.upper(), str(getattr(model, word)))
    again = kind.endswith("recomputed")
    choices = [PLAN, *(["recompute=full"] if again else [])]
    try:
        layout = choose_layout(text or ALONE, spec, graph)
        measured = measure(graph, layout, Recipe(seed=1, recompute=again), model.sizes)
        if "stages" not in layout.mesh.names:  # with these it says itself how many rows are computed at a time
            rows = model.sizes["B"] // (layout.mesh.size("data") if "data" in layout.mesh.names else 1)
            choices.append(f"micro_batch={rows}")
        found: Any = plan_on_paper(
            spec, graph, machine_name="a100-80x8", nodes=None, layout=text or ALONE,
            choices=",".join(choices), sizes=model.sizes,
        )  # fmt: skip
    except AttnError as problem:
        return Row(name, kind, refused=problem.diagnostics[0].message)
    return Row(name, kind, measured, found.memory)


def measure(graph: Any, layout: Any, recipe: Recipe, sizes: Mapping[str, int]) -> dict[str, int]:
    """The bytes that the first of the devices holds, by kind, in the second step."""
    from attndsl.backends.pytorch.processes import TorchProcesses
    from attndsl.backends.pytorch.trainer import TorchTrainer

    batch = example_inputs(graph, dict(sizes), seed=1)
    gc.freeze()  # what is there already need not be looked through
    with alone(layout.mesh.devices):
        processes = TorchProcesses(Launch(0, layout.mesh.devices)) if layout.mesh.devices > 1 else None
        trainer = TorchTrainer(graph, recipe, processes=processes, layout=layout)
        trainer.watches = False
        trainer.step([batch], 0)
        gc.collect()
        trainer.watches = True
        trainer.step([batch], 1)
    found = trainer.fullest
    del trainer
    gc.collect()
    return found


def table(rows: list[Row]) -> str:
    lines = [f"{'model':10} {'layout':24} {'measured':>9} {'predicted':>9}  error   "
             + "  ".join(f"{kind:>13}" for kind in KINDS)]  # fmt: skip
    for each in rows:
        if each.refused or each.predicted is None:
            lines.append(f"{each.model:10} {each.layout:24} {each.refused}")
            continue
        parts = "  ".join(
            f"{each.measured.get(kind, 0) / 2**20:6.1f} {getattr(each.predicted, kind) / 2**20:6.1f}" for kind in KINDS
        )
        whole, found = sum(each.measured.values()) / 2**20, each.predicted.total / 2**20
        lines.append(f"{each.model:10} {each.layout:24} {whole:7.1f} M {found:7.1f} M {each.error:+6.1%}   {parts}")
    return "\n".join(lines)


def markdown(rows: list[Row]) -> str:
    """A column for each layout, a row for each model."""
    lines = [f"| | {' | '.join(LAYOUTS)} |", f"|---|{'---:|' * len(LAYOUTS)}"]
    for name in dict.fromkeys(each.model for each in rows):
        cells = ["–" if each.refused else f"{sum(each.measured.values()) / 2**20:.1f} {each.error:+.1%}"
                 for each in rows if each.model == name]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main(words: list[str]) -> None:
    warnings.filterwarnings("ignore")
    if write := "--write" in words:
        words = []
    rows = []
    for name in MODELS:
        for kind in LAYOUTS:
            if all(word in f"{name} {kind}" for word in words):
                rows.append(row(name, kind))
                print(table(rows[-1:]).splitlines()[-1] if len(rows) > 1 else table(rows), flush=True)
    if write:
        text = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(TABLE.sub(lambda found: found[1] + markdown(rows) + found[3], text), encoding="utf-8")
    if not (errors := [abs(each.error) for each in rows if not each.refused]):
        sys.exit(f"nothing was measured; there are the models {', '.join(MODELS)} and the layouts {', '.join(LAYOUTS)}")
    print(
        f"\n{len(errors)} measured; the error is {sum(errors) / len(errors):.1%} in the mean, {max(errors):.1%} at most"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
