"""Equations: one rule for each primitive, what they say of known models, and that they are well formed for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from attndsl.elaborate import elaborate, load, open_spec, open_text, shipped
from attndsl.ops import OPS, SYMBOLS
from attndsl.ops.fused import Fused
from attndsl.typesetting import Definition, Equations, equations, equations_in_latex, equations_in_markdown
from attndsl.typesetting.elements import RULES
from tests.conftest import Finished
from tests.programs.writer import Program
from tests.samples.ops import SAMPLES

SIGNS = re.compile(r"[\x01-\x05\x00]")


def every(found: Equations) -> Iterator[Definition]:
    yield found.model
    yield from found.blocks


def block(found: Equations, kind: str) -> list[tuple[str, str]]:
    (definition,) = [each for each in found.blocks if each.kind == kind]
    return [(line.left, line.right) for line in definition.lines]


def well_formed(found: Equations) -> None:
    """Groups, fences and environments close; no index is left without a name; what is called is defined, in which the
    indices that occur are explained."""
    known = {each.kind for each in found.blocks}
    for definition in every(found):
        letters = {letter for letter, _ in definition.indices}
        named = {only[1] for line in definition.lines if (only := re.match(r"([a-zA-Z])(?:$|[_^'])", line.left))}
        assert not letters & named, (definition.kind, letters & named)
        for line in definition.lines:
            for text in (line.left, line.right):
                assert not SIGNS.search(text), text
                depth = 0
                for sign in re.sub(r"\\[{}]", "", text):
                    depth += (sign == "{") - (sign == "}")
                    assert depth >= 0, text
                assert depth == 0, text
                assert text.count(r"\left") - text.count(r"\leftarrow") == text.count(r"\right"), text
                assert text.count(r"\begin{") == text.count(r"\end{"), text
                for called, primes in re.findall(
                    r"\\mathrm\{((?:[^{}]|\\_)*)\}('*)(?:\^\{[^{}]*\})?(?:_\{\\math[^(]*\})?\\left\(", text
                ):
                    assert called.replace(r"\_", "_") + primes in known, (called, text)


# ---------------------------------------------------------------- completeness


@pytest.mark.parametrize("name", OPS)
def test_every_primitive_has_one_rule(name: str) -> None:
    """A fused operator is what it is made of, a body is a loop, and what devices do together stands in no model."""
    op = OPS[name]
    assert (op in RULES) + issubclass(op, Fused) + op.bodies + op.across_devices == 1


def test_no_rule_is_of_something_else() -> None:
    assert RULES.keys() <= set(OPS.values())
    assert all(op in RULES for op in SYMBOLS.values())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_of_a_primitive_is_a_formula(name: str) -> None:
    for sample in SAMPLES[name]:
        graph = sample.graph()
        found = equations(graph)
        well_formed(found)
        assert any(re.match(r"y(?:$|_)", line.left) for line in found.model.lines)
        read = "".join(line.right for line in found.model.lines)
        assert all(f"{{x{i}}}" in read for i, _ in enumerate(sample.types)), (str(sample), read)


@pytest.mark.parametrize("spec", shipped())
def test_every_shipped_spec(spec: str) -> None:
    graph = load(spec, {})
    found = equations(graph)
    well_formed(found)
    said = "".join(line.left + line.right for each in every(found) for line in each.lines)
    for info in graph.parameters:
        own = info.address.rpartition(".")[2].replace("_", r"\_")
        assert own in said, info.address
    for output in graph.outputs:
        shown = output.name.replace("_", r"\_").replace("*", "{*}")
        assert any(shown in line.left for line in found.model.lines), output.name
    assert equations_in_markdown(found).count("$$") == 2 * (1 + len(found.blocks))
    assert equations_in_latex(found).count("\\[") == 1 + len(found.blocks)


def test_random_programs() -> None:
    for number in range(60):
        well_formed(equations(elaborate(open_text(Program.random(number).text), {})))


# ---------------------------------------------------------------- what they say


def test_attention_and_norms() -> None:
    found = equations(load("gpt2", {}))
    rows = dict(block(found, "attention"))
    width = r"\left(\mathit{width} / \mathit{heads}\right)\, h + e"
    assert rows[r"\mathit{score}_{h,t,s}"] == (
        rf"\left(\sum_{{e}} \mathrm{{linear}}_{{\mathrm{{q}}}}\left(x\right)_{{t,{width}}}\, "
        rf"\mathrm{{linear}}_{{\mathrm{{k}}}}\left(x\right)_{{s,{width}}}\right) \cdot 0.125"
    )
    assert r"\operatorname*{softmax}_{s:\ s \le t}\left(\mathit{score}_{t,s}\right)" in rows[r"\mathit{weight}_{t,s}"]
    ((_, linear),) = block(found, "linear")
    assert linear == r"\sum_{i} x_{i}\, \mathit{weight}_{i,o} + \mathit{bias}_{o}"
    assert len(block(found, "layer_norm")) == 2
    assert "mean" in block(found, "layer_norm")[0][1]


def test_a_repeat_is_a_recursion() -> None:
    lines = [(line.depth, line.left, line.right) for line in equations(load("gpt2", {})).model.lines]
    assert (0, "", r"\text{for } h = 0, \dots, \mathit{depth} - 1\text{:}") in lines
    assert lines[0][1] == "x^{(0)}"
    (step,) = [right for depth, left, right in lines if (depth, left) == (1, "x^{(h + 1)}")]
    assert step.startswith("Z + ")
    assert r"x^{(\mathit{depth})}" in lines[-2][2]


def test_a_scan_is_a_recursion_along_its_axis() -> None:
    text = "model M(D=4) {\n  input x: [B, T, D]\n  output y = recurrent(gru_cell(D))(x) as r\n}\n"
    found = equations(elaborate(open_text(text), {}))
    rows = block(found, "recurrent")
    assert ("", r"\text{for } t = 0, \dots, T - 1\text{:}") in rows
    assert any(re.search(r"x_\{t\}", right) for _, right in rows)
    text = text.replace("gru_cell(D))", "gru_cell(D), reverse=true)")
    assert "recurrent" in {each.kind for each in equations(elaborate(open_text(text), {})).blocks}


MASKED = """
model M(width=8) {{
  input x: [B, T, width]
  output y = attention(x, 2, mask={mask}) as attn
}}
"""


@pytest.mark.parametrize(
    ("mask", "formula"),
    [
        ("causal", r"s \le t"),
        ("window(4)", r"t \ge s \land t - s < 4"),
        ("prefix(3)", r"s < 3 \lor s \le t"),
        ("causal & strided(2)", r"s \le t \land t \ge s \land \left(t - s\right) \bmod 2 = 0"),
    ],
)
def test_a_mask_stands_below_the_softmax(mask: str, formula: str) -> None:
    found = equations(elaborate(open_text(MASKED.format(mask=mask)), {}))
    assert any(rf"softmax}}_{{s:\ {formula}}}" in right for _, right in block(found, "attention"))


def test_without_a_mask_there_is_no_condition() -> None:
    found = equations(elaborate(open_text(MASKED.format(mask="full")), {}))
    assert any(r"\operatorname*{softmax}_{s}" in right for _, right in block(found, "attention"))


def test_formulas_come_from_what_is_computed_and_not_from_names() -> None:
    """A block of the name `attention` that is none."""
    head = "block attention(heads, mask=full, dropout=0, out_init=none)(x: [*, T, D]) -> [*, T, D]"
    mine = f"{head} {{\n  return x * 2 + 1\n}}\n"
    found = equations(elaborate(open_text(open_spec("gpt_nano").source.text + mine), {}))
    ((_, right),) = block(found, "attention")
    assert right == r"x \cdot 2 + 1"
    assert not any("softmax_" in line.right for each in every(found) for line in each.lines)


def test_operands_come_in_the_order_in_which_they_are_used() -> None:
    """Queries before keys, though it is the keys whose axis gets another name first."""
    rows = dict(block(equations(load("deepseek_v3", {})), "latent_attention"))
    assert r"\mathrm{attend}\left(q, k, v\right)" in rows.values()


def test_two_forms_of_a_block_are_told_apart() -> None:
    found = equations(load("rnn_lm", {}))
    assert {"linear", "linear'"} <= {each.kind for each in found.blocks}


def test_layers_that_compute_the_same_share_a_definition() -> None:
    (linear,) = [each for each in equations(load("gpt2", {})).blocks if each.kind == "linear"]
    parts = ("attn.q", "attn.k", "attn.v", "attn.out", "mlp.up", "mlp.down")
    assert linear.layers == tuple(f"h.*.{part}" for part in parts)


def test_a_long_formula_is_cut() -> None:
    """What `check` accepts has equations: a sum as long as one may be written."""
    text = f"model M(D=4) {{\n  input x: [B, D]\n  output y = {' + '.join(['x * x'] * 400)}\n}}\n"
    found = equations(elaborate(open_text(text), {}))
    well_formed(found)
    assert sum(line.right.count(r"x \cdot x") for line in found.model.lines) == 400


# ---------------------------------------------------------------- the command


def test_the_command(attndsl: Callable[..., Finished]) -> None:
    page = attndsl("show", "gpt_nano", "--equations").out
    assert page.startswith("# GPTNano\n")
    assert page == attndsl("show", "gpt_nano", "--equations").out
    document = attndsl("show", "gpt_nano", "--equations", "--latex", "--set", "depth=2").out
    assert document.startswith("\\documentclass{article}\n")
    assert document.endswith("\\end{document}\n")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("gpt2", "--latex"), "add `--equations`"),
        (("gpt2", "--set", "depth=2"), "add `--equations`"),
        (("causal", "--equations"), "name a spec that uses it"),
    ],
)
def test_what_makes_no_sense_is_told(argv: tuple[str, ...], said: str, attndsl: Callable[..., Finished]) -> None:
    done = attndsl("show", *argv)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
