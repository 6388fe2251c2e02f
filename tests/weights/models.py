"""Hand-made graphs and sections for the tests of weights: parameters only, nothing that computes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attndsl.diagnostics import AttnError, Source
from attndsl.graph import Axis, Graph, Initializer, ParameterInfo, Region, Type
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.syntax.parser import parse

GPT2 = """\
weights GPT2 from huggingface {
  config {
    require model_type == "gpt2"
    require architectures == "GPT2LMHeadModel" or true
    vocab = vocab_size, context = n_positions, depth = n_layer, width = n_embd, heads = n_head
    p = resid_pdrop or 0.1, eps = layer_norm_epsilon or 1e-5
    require embd_pdrop == resid_pdrop or absent, require attn_pdrop == resid_pdrop or absent
    require activation_function == "gelu_new" or activation_function == "gelu_pytorch_tanh" or absent
    require tie_word_embeddings == true or absent, require scale_attn_weights == true or absent
    require scale_attn_by_inverse_layer_idx == false or absent, require reorder_and_upcast_attn == false or absent
    require add_cross_attention == false or absent
    require absent or n_inner == 4 * n_embd, require absent or n_ctx == n_positions
    ignore initializer_range, summary_type, summary_use_proj, summary_activation
    ignore summary_proj_to_labels, summary_first_dropout
  }
  "lm_head.weight": [vocab, width] <- wte.table
  prefix "transformer." optional {
  ignore "h.{i}.attn.bias", "h.{i}.attn.masked_bias"
  "wte.weight": [vocab, width] <-> wte.table
  "wpe.weight": [context, width] <-> wpe.table
  "h.{i}.ln_1.weight" <-> h[i].ln_1.scale
  "h.{i}.ln_1.bias" <-> h[i].ln_1.shift
  "h.{i}.attn.c_attn.weight": [in, out] <-> concat(h[i].attn.q.weight, h[i].attn.k.weight, h[i].attn.v.weight, over=out)
  "h.{i}.attn.c_attn.bias" <-> concat(h[i].attn.q.bias, h[i].attn.k.bias, h[i].attn.v.bias, over=out)
  "h.{i}.attn.c_proj.weight": [in, out] <-> h[i].attn.out.weight
  "h.{i}.attn.c_proj.bias" <-> h[i].attn.out.bias
  "h.{i}.ln_2.weight" <-> h[i].ln_2.scale
  "h.{i}.ln_2.bias" <-> h[i].ln_2.shift
  "h.{i}.mlp.c_fc.weight": [in, out] <-> h[i].mlp.up.weight
  "h.{i}.mlp.c_fc.bias" <-> h[i].mlp.up.bias
  "h.{i}.mlp.c_proj.weight": [in, out] <-> h[i].mlp.down.weight
  "h.{i}.mlp.c_proj.bias" <-> h[i].mlp.down.bias
  "ln_f.weight" <-> ln_f.scale
  "ln_f.bias" <-> ln_f.shift
  }
}
"""

SMALL = {"vocab": 11, "context": 6, "depth": 2, "width": 8, "heads": 2, "p": 0.1, "eps": 1e-5}


def section_of(text: str) -> tree.Weights:
    file, found = parse(Source("spec.attn", text))
    if found:
        raise AttnError(*found)
    (section,) = (d for d in file.declarations if isinstance(d, tree.Weights))
    return section


def axis(text: str) -> Axis:
    """`width`, or `out=4*width` (factors of names and numbers)."""
    name, _, written = text.rpartition("=")
    size = Size.of(1)
    for factor in written.split("*"):
        size = size * (Size.of(int(factor)) if factor.isdecimal() else Size.symbol(factor))
    return Axis(name or str(size), size)


def parameter(address: str, *axes: str, layers: tuple[range | tuple[int, ...], ...] = ()) -> ParameterInfo:
    return ParameterInfo(address, Type("float", tuple(axis(a) for a in axes)), Initializer("zeros"), layers)


def graph_of(name: str, settings: Mapping[str, object], *parameters: ParameterInfo) -> Graph:
    sizes = {n: v for n, v in settings.items() if isinstance(v, int) and not isinstance(v, bool)}
    return Graph(name, dict(settings), sizes, (), (), parameters, (), {}, Region((), (), ()))


def gpt2_graph(**settings: object) -> Graph:
    values = {**SMALL, **settings}
    h = (range(values["depth"]),)  # type: ignore[arg-type]
    found = [parameter("wte.table", "vocab", "width"), parameter("wpe.table", "context", "width")]
    for norm in ("ln_1", "ln_2"):
        found += [parameter(f"h.*.{norm}.{part}", "width", layers=h) for part in ("scale", "shift")]
    for layer in ("q", "k", "v", "out"):
        found.append(parameter(f"h.*.attn.{layer}.weight", "in=width", "out=width", layers=h))
        found.append(parameter(f"h.*.attn.{layer}.bias", "out=width", layers=h))
    found.append(parameter("h.*.mlp.up.weight", "in=width", "out=4*width", layers=h))
    found.append(parameter("h.*.mlp.up.bias", "out=4*width", layers=h))
    found.append(parameter("h.*.mlp.down.weight", "in=4*width", "out=width", layers=h))
    found.append(parameter("h.*.mlp.down.bias", "out=width", layers=h))
    found += [parameter(f"ln_f.{part}", "width") for part in ("scale", "shift")]
    return graph_of("GPT2", values, *found)


def arrays_for(graph: Graph, seed: int = 0, dtype: str = "float32") -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        address: random.standard_normal([a.size.value(graph.sizes) for a in info.type.axes]).astype(dtype)
        for info in graph.parameters
        for address in info.addresses()
    }


def codes(raised: AttnError) -> list[str]:
    return [d.code for d in raised.diagnostics]
