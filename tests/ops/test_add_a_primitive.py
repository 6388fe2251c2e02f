"""The page "Add a primitive" does what it says: with its class, lowering and samples everything else follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import attndsl as package
from attndsl import ops
from attndsl.backends.pytorch import lowerings
from attndsl.elaborate import primitives
from attndsl.inspection import inspect
from attndsl.onnx_export import body as onnx_body
from attndsl.onnx_export import reductions as onnx_reductions
from attndsl.ops import reductions
from attndsl.running import backends
from attndsl.typesetting import elements
from tests.conftest import Finished
from tests.docs.contributing import Shown, read_page
from tests.ops import test_samples as all_samples
from tests.ops import test_traits as all_traits
from tests.running import test_operators as all_operators
from tests.samples import ops as sample_ops
from tests.typesetting import test_equations as all_equations

PAGE = read_page("add-a-primitive.md")
NAME = "vector_norm"


@pytest.fixture(scope="module")
def added() -> Iterator[type[ops.Op]]:
    """The page's primitive, as if it stood in the five files that the page names; taken out again afterwards."""
    patch = pytest.MonkeyPatch()
    before = {id(module): set(vars(module)) for module in (reductions, lowerings)}
    exec(PAGE.files["attndsl/ops/reductions.py"], vars(reductions))
    op: type[ops.Op] = reductions.VectorNorm  # type: ignore[attr-defined]
    patch.setitem(ops.OPS, op.name, op)
    patch.setattr(ops, op.__name__, op, raising=False)
    exec(PAGE.files["backends/pytorch/lowerings.py"], vars(lowerings))
    ((key, lowering),) = eval(f"{{{PAGE.files['LOWERINGS']}}}", vars(lowerings)).items()
    patch.setitem(lowerings.LOWERINGS, key, lowering)
    ((key, formula),) = eval(f"{{{PAGE.files['attndsl/typesetting/elements.py']}}}", vars(elements)).items()
    patch.setitem(elements.RULES, key, formula)
    ((key, rule),) = eval(f"{{{PAGE.files['attndsl/onnx_export/reductions.py']}}}", vars(onnx_reductions)).items()
    patch.setitem(onnx_body.RULES, key, rule)
    listing = {**vars(sample_ops), "r": reductions, "found": []}
    exec(PAGE.files["tests/samples/ops.py"], listing)
    patch.setitem(sample_ops.SAMPLES, op.name, listing["found"])
    yield op
    patch.undo()
    for module in (reductions, lowerings):
        for name in set(vars(module)) - before[id(module)]:
            delattr(module, name)


def test_it_is_gone_where_it_was_not_added() -> None:
    assert NAME not in ops.OPS
    assert not hasattr(reductions, "VectorNorm")
    assert primitives.rule_of(NAME) is None


def test_it_is_known_by_its_class_alone(added: type[ops.Op]) -> None:
    rule = primitives.rule_of(NAME)
    assert rule is not None
    assert (rule.operands, rule.keywords) == ((1, 1), ("over",))
    assert rule.doc == "the length of x as a vector along axes: the root of the sum of its squares"
    all_samples.test_every_op_has_samples()
    all_samples.test_ops_are_documented_values()
    all_traits.test_declarations_are_complete(NAME)
    all_equations.test_every_primitive_has_one_rule(NAME)
    all_equations.test_every_sample_of_a_primitive_is_a_formula(NAME)


def test_what_holds_of_all_primitives_holds_of_it(added: type[ops.Op]) -> None:
    from tests.pytorch import test_lowerings as all_lowerings

    backend = backends.find("torch")
    all_lowerings.test_every_operator_has_a_lowering_or_a_reason_for_none()
    for sample in sample_ops.SAMPLES[NAME]:
        all_samples.test_meaning_has_the_inferred_type(sample, "float32")
        all_samples.test_operands_are_left_alone(sample)
        all_traits.test_what_draws_is_said(sample)
        all_operators.test_a_result_is_what_the_operator_means(backend, "cpu", sample)
        all_lowerings.test_in_the_models_dtype(sample, "float16", "cpu")
        if sample.types[0].dtype == "float":
            all_samples.test_gradients_have_the_operands_types(sample, "float64")
            all_samples.test_only_the_needed_gradients_are_given(sample)
            all_traits.test_gradients_read_only_what_is_kept(sample, "all")
            all_operators.test_a_gradient_is_the_operators(backend, "cpu", sample)
            if sample.smooth:
                all_samples.test_gradients_agree_with_differences(sample)


def test_its_rule_for_onnx_is_right(added: type[ops.Op]) -> None:
    from tests.onnx_export import test_rules

    test_rules.test_every_operator_has_a_rule_or_a_reason_for_none()
    for needed in ("onnx", "onnxruntime"):
        pytest.importorskip(needed)
    from tests.onnx_export import test_operators as all_rules

    for sample in sample_ops.SAMPLES[NAME]:
        for known in (True, False):
            all_rules.test_a_result_is_what_the_operator_means(sample, known)


@pytest.mark.parametrize("shown", PAGE.commands, ids=lambda shown: " ".join(shown.arguments[:3]))
def test_every_command_of_the_page_does_what_is_shown(
    added: type[ops.Op], shown: Shown, attndsl: Callable[..., Finished], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unit.attn").write_text(PAGE.files["unit.attn"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = attndsl(*shown.arguments)
    assert done.code == 0, done.err
    assert [line for line in shown.lines if line not in done.out.splitlines()] == []


def test_it_is_counted_drawn_and_kept(added: type[ops.Op]) -> None:
    from attndsl.drawing.output import scene_of

    model = package.parse(PAGE.files["unit.attn"])
    scene = scene_of(model.graph)
    assert ["vector norm over width"] in [list(box.lines) for box in scene.boxes]
    bare = "model M(width=8) {\n  input x: [B, width]\n  output z = vector_norm(linear(x, width) as a, over=width)\n}"
    totals = inspect(package.parse(bare).graph, {"B": 5}).totals
    assert totals.activation_bytes == 4 * (5 * 8 + 5)  # what goes in and what comes out
    assert totals.flops - totals.contraction_flops == 5 * 8 + 5 * 8  # the bias, and an operation for each element


def test_its_mistakes_are_told_in_its_name(added: type[ops.Op]) -> None:
    with pytest.raises(package.AttnError, match="`vector_norm` takes numbers"):
        package.parse("model M(width=2) {\n  input x: bool[B, width]\n  output z = vector_norm(x, over=width)\n}")
    with pytest.raises(package.AttnError, match="`vector_norm` has no argument `axis`"):
        package.parse("model M(width=2) {\n  input x: [B, width]\n  output z = vector_norm(x, axis=width)\n}")


def test_a_file_that_was_written_with_it_runs(added: type[ops.Op]) -> None:
    from attndsl.graph.reader import parse_text
    from attndsl.graph.text import to_text

    graph = package.parse(PAGE.files["unit.attn"]).graph
    assert to_text(parse_text(to_text(graph))) == to_text(graph)
    x = np.ones((1, 2, 8), np.float32)
    found = package.parse(PAGE.files["unit.attn"]).run({"x": x}, backend="torch")
    np.testing.assert_allclose(np.linalg.norm(found["unit"], axis=-1), 1, rtol=1e-4)
