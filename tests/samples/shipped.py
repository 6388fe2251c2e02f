"""Every shipped model, small and with dropout, and layouts for it: what can be divided of it, by the usual rules."""

from __future__ import annotations

import re
from functools import cache

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec, shipped
from attndsl.elaborate.spec import Spec
from attndsl.graph import Graph
from attndsl.layouts import choose_layout
from attndsl.layouts.laid_out import lay_out
from attndsl.ops import Repeat
from attndsl.verification.reducing import few_places, reduced

SMALL = {
    "vocab": 16, "source_vocab": 16, "codes": 16, "width": 16, "hidden": 16, "heads": 4, "kv_heads": 2, "labels": 4,
    "text_width": 16, "text_heads": 4, "text_hidden": 16, "n": 4, "top": 2, "groups": 2, "top_groups": 1, "depth": 2,
    "decoder_depth": 2, "text_depth": 2, "dense": 1, "head": 4, "expert_hidden": 8, "char_width": 4, "pattern": 2,
}  # fmt: skip
"""What is small, and can be divided; the rest is as small as it can be."""
OTHERWISE = {
    "gpt_neox": {"width": 32},
    "phi3": {"width": 64},
    "elmo": {"width": 8, "labels": 0, "highways": 1},
    "dvae": {"stages": 2},
    "gemma3": {"depth": 4},
    "gpt_nano": {"depth": 4},
}
DROPPED = 0.1
"""The share that is dropped where a hyperparameter `p` or `p_…` is 0: what is drawn must be what one process draws."""
STAGED = {"elmo": ["layer"]}
"""The repeats that a layout is to divide into stages; those of the others are all that stand in no other loop."""
DIVIDED = ("heads", "text_heads", "hidden", "text_hidden", "4*width", "expert_hidden", "vocab", "labels", "codes")
EXPERTS = {"mixtral": "expert", "deepseek_v3": "expert"}


@cache
def small(name: str) -> tuple[Spec, Graph]:
    spec = open_spec(name)
    known = elaborate(spec, {}).sizes
    wanted = {key: value for key, value in {**SMALL, **OTHERWISE.get(_base(name), {})}.items() if key in known}
    return spec, reduced(spec, {**wanted, **dropped(name)}, 4000)[0]


@cache
def dropped(name: str) -> dict[str, float]:
    """What is set, so that it drops something."""
    known = elaborate(open_spec(name), {}).hyperparameters
    return {key: DROPPED for key, value in known.items() if key.partition("_")[0] == "p" and value == 0}


def _base(name: str) -> str:
    return name.partition(":")[0]


def trained() -> list[str]:
    """The shipped specs, each with the variants that are trained at a size that a minute suffices for."""
    names = []
    for name in shipped():
        spec = open_spec(name)
        nano = [variant for variant in spec.trained_variants if variant.startswith("nano")]
        names += [f"{name}:{variant}" for variant in nano] or [name]
    return names


def rows(name: str, count: int = 4) -> dict[str, int]:
    """Lengths of its inputs that so many devices can divide."""
    graph = small(name)[1]
    asked = {size: count for size in ("B", "N", "T", "S") if size in graph.free_sizes}
    if _base(name) == "vit":
        asked |= {"Y": 1, "X": 3}  # with the token of the class they are four
    return few_places(graph, asked)


@cache
def written(text: str, name: str) -> str | None:
    """The layout for a model that has some of the axes; None where it has none. `MODEL` in it stands for all axes that
    the devices along `model` can divide, `EXPERTS` for that of the experts, `LAYERS` for the repeats whose layers
    stages can have."""
    layers = [node.op.path for node in small(name)[1].body.nodes if isinstance(node.op, Repeat)]
    text = text.replace("LAYERS", ", ".join(STAGED.get(_base(name), layers)) or "none")
    count = re.search(r"model=(\d+)", text)
    axes = [axis for axis in DIVIDED if count is not None and _fits(f"{count[0]}; {axis} on model", name)]
    text = text.replace("MODEL", f"{', '.join(axes)} on model").replace("EXPERTS", EXPERTS.get(_base(name), "none"))
    return text if _fits(text, name) else None


@cache
def _fits(text: str, name: str) -> bool:
    spec, graph = small(name)
    try:
        lay_out(graph, choose_layout(text, spec, graph))
    except AttnError as problem:
        return problem.diagnostics[0].code not in ("E1002", "E1004", "E1005")
    return True
