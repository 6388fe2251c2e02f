"""What fits where somebody types: each row is a part of a program with the cursor in it, what must be offered, and
what must not."""

from __future__ import annotations

from importlib import util
from pathlib import Path

import pytest

from attndsl.editing import Workspace, completions, is_known

_spec = util.spec_from_file_location("marked", Path(__file__).with_name("marked.py"))
assert _spec is not None and _spec.loader is not None  # noqa: PT018
marked = util.module_from_spec(_spec)
_spec.loader.exec_module(marked)


@pytest.fixture(scope="module")
def known() -> Workspace:
    """The model as it was checked before anything was typed."""
    workspace = Workspace()
    workspace.write(marked.PATH, marked.MODEL)
    workspace.analysis(marked.PATH)
    return workspace


@pytest.mark.parametrize(
    ("old", "new", "offered", "left_out"),
    [
        # After a pipe: what can be applied to its value.
        ("as ln_1\n", "as ln_1 |> ‸\n", "wide layer_norm attention softmax", "embedding causal M x"),
        ("|> gelu", "|> ge‸", "gelu gelu_tanh wide", "embedding"),
        ("x = wte(tokens)", "x = tokens |> ‸", "embedding wte", "layer_norm gelu attention wide"),
        # Arguments: names of parameters, then values of their kind.
        ("(heads, mask=causal)", "(heads, ‸)", "mask= kv_heads= dropout= heads x", "eps="),
        ("mask=causal", "mask=‸", "causal full window none", "gelu layer_norm= true"),
        ("mask=causal", "mask=causal, position=‸", "alibi none rotary", "causal full"),
        ("mask=causal", "mask=causal, bias=‸", "true false", "causal gelu"),
        ("mask=causal", "mask=causal, init=‸", "normal zeros xavier", "causal gelu"),
        ("wide(4)", "wide(‸)", "factor= x", "mask="),
        ("over=width)", "‸)", "over=", "mask="),
        # Axes of the tensor at hand.
        ("over=width)", "over=‸)", "B T width vocab", "heads depth x layer_norm"),
        ("output logits", "y = softmax(x, over=‸\n  output logits", "B T width", "vocab heads x"),
        ("output logits", "y: [B, ‸\n  output logits", "B T width vocab", "layer_norm x"),
        ("output logits", "y = rearrange(x, [‸\n  output logits", "B T width", "vocab layer_norm"),
        # Members, names, statements.
        ("wte.table", "wte.‸", "table", "x B layer_norm"),
        ("repeat h in depth", "repeat h in ‸", "depth width x", "B="),
        ("  output logits", "  ‸\n  output logits", "repeat output layer x", "model variant causal"),
        ("return linear(y, D)", "return ‸", "y x factor D linear", "tokens wte vocab"),
        ("input tokens: int", "input tokens: ‸", "int float bool", "x causal"),
        # Sections.
        ("{ depth=1 }", "{ depth=1, ‸ }", "vocab width heads", "depth B tokens"),
        ("optimizer = adamw", "optimizer = ‸", "adamw sgd lion", "warmup_cosine next_token clip"),
        ("batches = next_token", "batches = ‸", "next_token classify", "adamw"),
        ("adamw(lr=1e-3)", "adamw(lr=1e-3, ‸)", "betas= decay=", "lr= warmup="),
        ("train M {", "train M:‸ {", "small", "M depth"),
        ("variant M:small", "variant ‸", "M", "small depth"),
        ("  optimizer", "  ‸\n  optimizer", "schedule clip tokens", "batches layer"),
        ("/// A small one.", "use std.‸\n", "masks rotary", "gelu M"),
        ("/// A small one.", "‸\n", "model block variant use", "x repeat"),
    ],
)
def test_what_fits_is_offered_and_nothing_else(known, old: str, new: str, offered: str, left_out: str) -> None:
    text, offset = marked.model_with(old, new)
    analysis = known.analysis(marked.PATH)
    if not is_known(analysis, text, offset):
        analysis = marked.analysed(text)
    labels = [it.label for it in completions(analysis, text, offset)]
    assert len(labels) == len(set(labels))
    assert [name for name in offered.split() if name not in labels] == []
    assert [name for name in left_out.split() if name in labels] == []


@pytest.mark.parametrize("new", ['use "my‸.attn"', "# a comm‸ent", "/// a d‸oc"])
def test_nothing_is_offered_inside_a_text_or_a_comment(known, new: str) -> None:
    text, offset = marked.model_with("/// A small one.", new)
    assert completions(known.analysis(marked.PATH), text, offset) == []


def test_asking_changes_nothing_that_was_known(known) -> None:
    analysis = known.analysis(marked.PATH)
    recorder = analysis.models[0].recorder
    before = (dict(recorder.parameters), dict(recorder.scopes), len(recorder.builder.nodes), dict(recorder.values))
    names = [value.names for node in analysis.models[0].graph.body.walk() for value in node.outputs]
    for new in ("as ln_1 |> attention(heads) as attn |> ‸", "as ln_1 |> linear(3) as ln_f |> ‸"):
        text, offset = marked.model_with("as ln_1", new)
        assert completions(analysis, text, offset)
    assert before == (recorder.parameters, recorder.scopes, len(recorder.builder.nodes), recorder.values)
    assert names == [value.names for node in analysis.models[0].graph.body.walk() for value in node.outputs]


def test_an_analysis_serves_as_long_as_nothing_above_the_statement_changed(known) -> None:
    analysis = known.analysis(marked.PATH)
    text, offset = marked.model_with("as ln_1\n", "as ln_1 |> ‸\n")
    assert is_known(analysis, text, offset)
    assert not is_known(analysis, text.replace("width=64", "width=128"), offset + 1)
