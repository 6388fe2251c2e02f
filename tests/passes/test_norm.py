"""Layer norm, RMS norm and the activations: spellings, near misses, and that the numbers stay."""

from __future__ import annotations

import pytest

from attndsl.graph import Graph
from attndsl.ops import Gelu, LayerNorm, RMSNorm, Silu
from attndsl.passes import explain, optimize
from attndsl.passes.expand import Expand

SPEC = """
block spelled(eps=1e-5)(x: [*, T, D]) -> [*, T, D] {
  param scale: [D] = uniform(0.5, 1.5)
  param shift: [D] = normal(1)
  param other: [D] = normal(1)
%s
}
model M(width=8) {
  input x: [B, T, width]
  repeat h in 2 { x += spelled(x + 0.5 * x ^ 2) as n }
  output y = x
}
"""
BODY = SPEC[: SPEC.index("%s")].count("\n") + 1

BOTH = {"scaled": True, "shifted": True, "eps": 1e-5}

LAYER_NORMS: dict[str, tuple[str, dict[str, object]]] = {
    "the standard block": ("\n  return layer_norm(x) as inner", BOTH),
    "times rsqrt": (
        """
  d = x - mean(x, over=D)
  return d * rsqrt(mean(d ^ 2, over=D) + eps) * scale + shift""",
        BOTH,
    ),
    "divided by sqrt, shift first": (
        """
  d = x - mean(x, over=D)
  return shift + scale * d / sqrt(eps + mean(d * d, over=D))""",
        BOTH,
    ),
    "to the power of -0.5, the deviation written twice": (
        """
  m = mean(x, over=D)
  return (x - m) * (mean((x - m) ^ 2, over=D) + eps) ^ -0.5 * scale + shift""",
        BOTH,
    ),
    "one over sqrt, scaled before it is applied": (
        """
  m = mean(x, over=D)
  r = 1 / sqrt(mean((m - x) ^ 2, over=D) + eps)
  rs: [*, T, D] = r * scale
  return (x - m) * rs + shift""",
        BOTH,
    ),
    "variance as mean of squares less squared mean": (
        """
  m = mean(x, over=D)
  v = mean(x ^ 2, over=D) - m ^ 2
  return (x - m) / sqrt(v + eps) * scale + shift""",
        BOTH,
    ),
    "sums divided by the number": (
        """
  m = sum(x, over=D) / D
  v = sum((x - m) ^ 2, over=D) * (1 / D)
  return (x - m) / sqrt(v + eps) * scale + shift""",
        BOTH,
    ),
    "the sum of squares as a dot product": (
        """
  d = x - mean(x, over=D)
  return d / sqrt(dot(d, d, over=D) / D + eps) * scale + shift""",
        BOTH,
    ),
    "multiplied out": (
        """
  m = mean(x, over=D)
  a: [*, T, D] = rsqrt(mean((x - m) ^ 2, over=D) + eps) * scale
  return x * a + (shift - m * a)""",
        BOTH,
    ),
    "the other way round": (
        """
  d = mean(x, over=D) - x
  return shift - d * rsqrt(mean(d ^ 2, over=D) + eps) * scale""",
        BOTH,
    ),
    "two scales and two shifts": (
        """
  d = x - mean(x, over=D)
  return d * rsqrt(mean(d ^ 2, over=D) + eps) * scale * other * 2 + shift - other""",
        BOTH,
    ),
    "one plus scale": (
        """
  d = x - mean(x, over=D)
  return d * rsqrt(mean(d ^ 2, over=D) + eps) * (1 + scale) + shift""",
        BOTH,
    ),
    "no scale, no shift": (
        """
  d = x - mean(x, over=D)
  return d * rsqrt(mean(d ^ 2, over=D) + eps)""",
        {"scaled": False, "shifted": False},
    ),
    "no shift": (
        """
  d = x - mean(x, over=D)
  return scale * d * rsqrt(mean(d ^ 2, over=D) + eps)""",
        {"scaled": True, "shifted": False},
    ),
    "over the sequence": (
        """
  d = x - mean(x, over=T)
  return d * rsqrt(mean(d ^ 2, over=T) + 0.1)""",
        {"scaled": False, "shifted": False, "eps": 0.1},
    ),
    "over two axes": (
        """
  d = x - mean(x, over=[T, D])
  return d * rsqrt(mean(d ^ 2, over=[T, D]) + eps)""",
        {"scaled": False, "shifted": False},
    ),
}

RMS_NORMS: dict[str, tuple[str, dict[str, object]]] = {
    "the standard block": ("\n  return rms_norm(x) as inner", {"scaled": True, "eps": 1e-6}),
    "times rsqrt": ("\n  return x * rsqrt(mean(x ^ 2, over=D) + eps) * scale", {"scaled": True}),
    "divided by sqrt": ("\n  return scale * x / sqrt(eps + mean(x * x, over=D))", {"scaled": True}),
    "to the power of -0.5": ("\n  return scale * (x * (mean(x * x, over=D) + eps) ^ -0.5)", {"scaled": True}),
    "a sum divided by the number": ("\n  return x / sqrt(sum(x ^ 2, over=D) / D + eps) * scale", {"scaled": True}),
    "a dot product": ("\n  return x / (dot(x, x, over=D) * (1 / D) + eps) ^ 0.5 * scale", {"scaled": True}),
    "the root scaled first": (
        """
  r = 1 / sqrt(mean(x ^ 2, over=D) + eps)
  rs: [*, T, D] = r * scale
  return x * rs""",
        {"scaled": True},
    ),
    "no scale": ("\n  return x * rsqrt(mean(x ^ 2, over=D) + eps)", {"scaled": False}),
    "one plus scale": ("\n  return x * rsqrt(mean(x ^ 2, over=D) + eps) * (1 + scale)", {"scaled": True}),
    "no eps": ("\n  return x * rsqrt(mean(x ^ 2, over=D)) * scale", {"eps": 0.0}),
    "shifted after": ("\n  return x * rsqrt(mean(x ^ 2, over=D) + eps) * scale + shift", {"scaled": True}),
    "of deviations": (
        """
  d = x * other - scale
  return d * rsqrt(mean(d ^ 2, over=D) + eps)""",
        {"scaled": False},
    ),
}

# name: (the spelling, a part of the reason, the culprit's line counted from the first of the spelling)
NEAR_MISSES: dict[str, tuple[str, str, int]] = {
    "eps outside the root": (
        """
  d = x - mean(x, over=D)
  return d / (sqrt(mean(d ^ 2, over=D)) + eps) * scale + shift""",
        "eps is added outside the root",
        2,
    ),
    "eps added to one over the root": (
        """
  d = x - mean(x, over=D)
  return d * (rsqrt(mean(d ^ 2, over=D)) + eps) * scale + shift""",
        "eps is added outside the root",
        2,
    ),
    "RMS, eps outside the root": (
        """
  r = sqrt(mean(x ^ 2, over=D)) + eps
  return x / r * scale""",
        "eps is added outside the root",
        1,
    ),
    "no root": (
        """
  d = x - mean(x, over=D)
  return d / (mean(d ^ 2, over=D) + eps) * scale + shift""",
        "what is divided by is not the root of the variance",
        2,
    ),
    "mean over another axis": (
        """
  d = x - mean(x, over=T)
  return d * rsqrt(mean(d ^ 2, over=D) + eps) * scale + shift""",
        "the mean is over [T] and the variance over [width]",
        1,
    ),
    "variance over another axis": (
        """
  m = mean(x, over=D)
  v = mean(x ^ 2, over=T)
  difference: [*, T, D] = (x - m) / sqrt(v + eps)
  return difference * scale + shift""",
        "what is divided by the root is not what the variance is of",
        3,
    ),
    "mean squares over another axis than the mean": (
        """
  m: [*, T, D] = mean(x, over=D) * scale
  v = mean(x ^ 2, over=D) - mean(x, over=[T, D]) ^ 2
  return x / sqrt(v + eps) * scale""",
        "the mean is over [T, width] and the mean of squares over [width]",
        2,
    ),
    "the variance of something else": (
        """
  z = x * other
  d = x - mean(x, over=D)
  e = z - mean(z, over=D)
  return d * rsqrt(mean(e ^ 2, over=D) + eps) * scale + shift""",
        "what is divided by the root is not what the variance is of",
        4,
    ),
    "not centred above": (
        """
  d = x - mean(x, over=D)
  return x * rsqrt(mean(d ^ 2, over=D) + eps) * scale""",
        "what is divided by the root is not the deviation from the mean",
        2,
    ),
    "not centred below": (
        """
  d = x - mean(x, over=D)
  return d * rsqrt(mean(x ^ 2, over=D) + eps) * scale""",
        "what is divided by the root is not what the variance is of",
        2,
    ),
    "a sum that is not a mean": (
        """
  return x * rsqrt(sum(x ^ 2, over=D) + eps) * scale""",
        "a sum of squares over [width] is not a mean",
        1,
    ),
    "divided by another number": (
        """
  return x * rsqrt(sum(x ^ 2, over=D) / (D - 1) + eps) * scale""",
        "a sum of squares over [width] is not a mean",
        1,
    ),
    "fourth powers": (
        """
  d = x - mean(x, over=D)
  return d * rsqrt(mean(d ^ 4, over=D) + eps)""",
        "the mean that is under the root is not of the squared deviations",
        2,
    ),
    "a scale with other axes": (
        """
  gate = sigmoid(x)
  d = x - mean(x, over=D)
  gated = rsqrt(mean(d ^ 2, over=D) + eps) * gate
  return d * gated + shift""",
        "the scale has [B, T], and the norm is over [width]",
        1,
    ),
    "half of the squared mean": (
        """
  m = mean(x, over=D)
  return (x - m) * rsqrt(mean(x ^ 2, over=D) - 0.5 * m ^ 2 + eps) * scale""",
        "what is under the root is more than a variance and a constant",
        2,
    ),
    "negative eps": (
        """
  return x * rsqrt(mean(x ^ 2, over=D) - eps) * scale""",
        "-1e-05, which is negative, is added to the variance",
        1,
    ),
}

ACTIVATIONS: dict[str, tuple[str, object]] = {
    "gelu": ("gelu(x)", Gelu(False)),
    "gelu, halved last": ("x * (erf(x / sqrt(2)) + 1) / 2", Gelu(False)),
    "gelu, halved inside": ("x * (0.5 + 0.5 * erf(x * 2 ^ -0.5))", Gelu(False)),
    "gelu, multiplied out": ("x / 2 + erf(sqrt(0.5) * x) * x * 0.5", Gelu(False)),
    "gelu by tanh": ("gelu_tanh(x)", Gelu(True)),
    "gelu by tanh, factored": ("x * 0.5 * (tanh(sqrt(2 / pi) * x * (1 + 0.044715 * x * x)) + 1)", Gelu(True)),
    "silu": ("silu(x)", Silu()),
    "silu by exp": ("x / (1 + exp(-x))", Silu()),
    "silu by one over exp": ("x * (1 / (exp(-x) + 1))", Silu()),
}
OTHER_CURVES = {
    "other constants": (
        "0.5 * x * (1 + tanh(0.8 * (x + 0.044715 * x ^ 3)))",
        "not those of `gelu`: 0.8 and 0.035772 instead of",
    ),
    "not halved": ("x * (1 + erf(x / sqrt(2)))", "not those of `gelu`: 1 and 1 instead of 0.5 and 0.5"),
    "quick gelu": ("x * sigmoid(1.702 * x)", "not those of `silu`: 1.702 instead of 1"),
}


def norms(graph: Graph) -> list[LayerNorm | RMSNorm]:
    return [node.op for node in graph.body.walk() if isinstance(node.op, (LayerNorm, RMSNorm))]


SPELLINGS = [(LayerNorm, name, *LAYER_NORMS[name]) for name in LAYER_NORMS]
SPELLINGS += [(RMSNorm, name, *RMS_NORMS[name]) for name in RMS_NORMS]


@pytest.mark.parametrize(("kind", "name", "text", "expected"), SPELLINGS, ids=lambda value: str(value)[:40])
def test_spelling_becomes_a_norm(kind, name, text, expected, spec, difference):
    before = spec(SPEC.replace("%s", text))
    after, reports = optimize(before)
    (op,) = norms(after)
    assert type(op) is kind
    assert {field: getattr(op, field) for field in expected} == expected
    assert not {node.op.name for node in after.body.walk()} & {"mean", "rsqrt", "sqrt", "sum"}
    assert difference(before, after) < 1e-10
    assert "norm: `" in explain(reports)


@pytest.mark.parametrize(("kind", "name", "text", "expected"), SPELLINGS, ids=lambda value: str(value)[:40])
def test_expanded_twin(kind, name, text, expected, spec, difference):
    after, _ = optimize(spec(SPEC.replace("%s", text)))
    apart, _ = Expand().run(after)
    assert not norms(apart)
    assert difference(after, apart) < 1e-10
    assert norms(optimize(apart)[0]) == norms(after)


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_near_miss_stays(name, spec, difference):
    text, reason, line = NEAR_MISSES[name]
    before = spec(SPEC.replace("%s", text))
    after, reports = optimize(before)
    assert not norms(after)
    (miss,) = [miss for report in reports for miss in report.misses]
    assert reason in miss.reason
    assert miss.where is not None
    assert miss.where.line == BODY + line
    assert miss.reason in explain(reports)
    assert difference(before, after) < 1e-10


def test_two_norms_of_the_same(spec, difference):
    """A parallel block: what the two share is not an obstacle."""
    before = spec(SPEC.replace("%s", "\n  return layer_norm(x) as one + layer_norm(x) as two"))
    after, _ = optimize(before)
    assert [op.shifted for op in norms(after)] == [True, True]
    assert difference(before, after) < 1e-10


def test_a_scale_for_each_position_leaves_the_norm(spec, difference):
    """Adaptive norms: the norm fuses, what scales each position stays behind."""
    text = """
  d = x - mean(x, over=D)
  return d * rsqrt(mean(d ^ 2, over=D) + eps) * (1 + sigmoid(x)) + x"""
    before = spec(SPEC.replace("%s", text))
    after, reports = optimize(before)
    (op,) = norms(after)
    assert (op.scaled, op.shifted) == (False, False)
    assert not [miss for report in reports for miss in report.misses]
    assert difference(before, after) < 1e-10


def test_eps_decides(spec):
    text = "\n  return x * rsqrt(mean(x ^ 2, over=D) + 0.25) * scale"
    (op,) = norms(optimize(spec(SPEC.replace("%s", text)))[0])
    assert op.eps == 0.25


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, spec, difference):
    text, op = ACTIVATIONS[name]
    before = spec(SPEC.replace("%s", f"  return {text}"))
    after, _ = optimize(before)
    assert [node.op for node in after.body.walk() if isinstance(node.op, (Gelu, Silu))] == [op]
    assert not {node.op.name for node in after.body.walk()} & {"erf", "tanh", "sigmoid", "exp"}
    assert difference(before, after) < 1e-10
    apart, _ = Expand().run(after)
    assert difference(after, apart) < 1e-10


@pytest.mark.parametrize("name", OTHER_CURVES)
def test_other_curves_stay(name, spec):
    text, reason = OTHER_CURVES[name]
    after, reports = optimize(spec(SPEC.replace("%s", f"  return {text}")))
    assert not [node for node in after.body.walk() if isinstance(node.op, (Gelu, Silu))]
    (miss,) = [miss for report in reports for miss in report.misses]
    assert reason in miss.reason
