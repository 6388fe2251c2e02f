"""Scans that correct what they carry by what they read of it (delta rules): in chunks they give what steps give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.ops import SolveTriangular
from attndsl.passes import optimize
from attndsl.passes.incremental import incremental
from tests.passes.test_chunk_scans import (
    CHUNK,
    HEAD,
    LENGTHS,
    MATRIX,
    as_precise_in_chunks,
    both,
    drawn,
    lengths,
    spec,
    the_same_in_chunks,
)

BETA = """  beta = 2 * sigmoid(sum(f, over=heads))
  a = sigmoid(f[heads=0])
  unit = k * rsqrt(sum(k ^ 2, over=keys) + 1e-6)
"""
HEADS = """
  output y = scan t in T with S: [B, heads, keys, values] = 0.5 {
    %s
    emit dot(S, q[T=t], over=keys)
  }
}
"""
SPELLINGS = {
    "the delta rule (Schlag et al., 2021)": MATRIX
    % "S: [B, values, keys] = S + beta[T=t] * (v[T=t] - dot(S, unit[T=t], over=keys)) * unit[T=t]",
    "multiplied out": MATRIX
    % "S: [B, values, keys] = S - beta[T=t] * dot(S, k[T=t], over=keys) * k[T=t] / 4 + beta[T=t] * v[T=t] * k[T=t]",
    "as a sum of products": MATRIX
    % "S: [B, values, keys] = S - unit[T=t] * sum(beta[T=t] * unit[T=t] * S, over=keys) + v[T=t] * k[T=t]",
    "normalised in the step, from the other side": """
  output y = scan t in T with S: [B, keys, values] = 0.5 {
    key = k[T=t] / sqrt(sum(k[T=t] ^ 2, over=keys) + 1e-6)
    found = dot(key, S, over=keys)
    S: [B, keys, values] = S - key * (found - v[T=t]) * beta[T=t]
    emit dot(q[T=t], S, over=keys)
  }
}
""",
    "a decay after the correction (Yang et al., 2025)": MATRIX
    % "S: [B, values, keys] = a[T=t] * (S - beta[T=t] * dot(S, unit[T=t], over=keys) * unit[T=t]) + v[T=t] * unit[T=t]",
    "a decay before it": MATRIX
    % """faded = a[T=t] * S
    S: [B, values, keys] = faded + beta[T=t] * (v[T=t] - dot(faded, unit[T=t], over=keys)) * unit[T=t]""",
    "heads, each with its decay": HEADS
    % """gate = sigmoid(f[T=t])
    now: [B, heads, keys, values] = gate * unit[T=t] * v[T=t]
    S: [B, heads, keys, values] = gate * (S - beta[T=t] * unit[T=t] * dot(S, unit[T=t], over=keys)) + now""",
    "decays that differ along what is kept": MATRIX
    % """faded = sigmoid(v[T=t]) * S
    S: [B, values, keys] = faded - beta[T=t] * dot(faded, unit[T=t], over=keys) * unit[T=t] - k[T=t]""",
    "read by one vector and written by another": MATRIX
    % "S: [B, values, keys] = 0.9 * S + 0.2 * dot(S, q[T=t], over=keys) * tanh(v[T=t]) * u + v[T=t] * k[T=t]",
    "two corrections in a step (Siems et al., 2025)": MATRIX
    % """S: [B, values, keys] = S - beta[T=t] * dot(S, unit[T=t], over=keys) * unit[T=t]
    S: [B, values, keys] = a[T=t] * S + 0.3 * (v[T=t] - dot(S, g[T=t], over=keys)) * g[T=t]""",
    "padding, a normaliser, and what a step finds": """
  y_, z_ = scan t in T with S: [B, values, keys] = 0.1, z: [B, keys] = 1.0 {
    found = dot(S, unit[T=t], over=keys)
    S2: [B, values, keys] = a[T=t] * S + beta[T=t] * (v[T=t] - found) * unit[T=t]
    S = where(valid[T=t], S2, S)
    z = where(valid[T=t], a[T=t] * z + k[T=t], z)
    emit where(valid[T=t], silu(dot(S, q[T=t], over=keys) - found), 0), dot(z, q[T=t], over=keys)
  }
  output y = y_
  output z = z_
}
""",
    "a vector, and its last value alone": """
  h = sum(x, over=T)
  scan t in T {
    h = h - 0.1 * beta[T=t] * sum(h * x[T=t], over=width) * x[T=t] + x[T=t]
  }
  output y = h
}
""",
    "the same correction in all steps": """
  output y = scan t in T with S: [B, keys] = 0.5 {
    S: [B, keys] = S - 0.5 * sum(S, over=keys) * u
    emit S
  }
}
""",
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_chunks_give_what_steps_give(name: str) -> None:
    graph = spec(HEAD + BETA + SPELLINGS[name])
    optimized, reports = optimize(graph)
    (report,) = (report for report in reports if report.name == "chunk-scans")
    assert report.count == 1, report.misses
    assert "T" not in lengths(optimized)
    assert any(isinstance(node.op, SolveTriangular) for node in optimized.body.walk())
    for length in (0, 1, CHUNK + 1):
        assert max(both(graph, drawn(graph, length))) < 1e-11, length


@pytest.mark.parametrize("name", SPELLINGS)
def test_chunks_on_pytorch(name: str) -> None:
    pytest.importorskip("torch")
    from attndsl.backends.pytorch import TorchProgram

    graph = spec(HEAD + BETA + SPELLINGS[name])
    for length in (1, CHUNK + 5):
        assert max(both(graph, drawn(graph, length), TorchProgram)) < 1e-11, length


MISSES = {
    "a full matrix in each step": (
        "S: [B, values, keys] = S - dot(S, full[T=t], over=keys) + v[T=t] * k[T=t]",
        "what it carries is multiplied with a matrix",
    ),
    "a matrix of parameters": (
        "S: [B, values, keys] = 0.5 * linear(S, keys) + v[T=t] * k[T=t]",
        "what it carries is multiplied with a matrix",
    ),
    "corrections along different axes": (
        "S: [B, values, keys] = S - dot(S, unit[T=t], over=keys) * unit[T=t] - dot(S, v[T=t], over=values) * v[T=t]",
        "what it carries is multiplied with a matrix",
    ),
    "a decay of its own for each key": (
        "S: [B, values, keys] = g[T=t] * S - dot(S, unit[T=t], over=keys) * unit[T=t]",
        "what it carries is multiplied with a matrix, and fades differently along `keys`",
    ),
    "a rate that depends on the state": (
        "S: [B, values, keys] = S - tanh(dot(S, k[T=t], over=keys)) * dot(S, k[T=t], over=keys) * k[T=t]",
        "its steps run one after another, not in chunks: `mul` of two values that depend on it is not linear",
    ),
    "a correction by its square": (
        "S: [B, values, keys] = S - dot(S, k[T=t], over=keys) ^ 2 * k[T=t]",
        "its steps run one after another, not in chunks: `pow` is not linear",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSES)
def test_near_misses(name: str) -> None:
    step, reason = MISSES[name]
    full = "  full: [B, T, keys, back=keys] = cos(g) + sin(rearrange(g, [keys] -> [back=keys]))\n"
    step = step.replace("dot(S, full[T=t], over=keys)", "rearrange(dot(S, full[T=t], over=keys), [back] -> [keys])")
    optimized, reports = optimize(spec(HEAD + BETA + full + MATRIX % step))
    (report,) = (report for report in reports if report.name == "chunk-scans")
    assert [miss.reason for miss in report.misses] == [reason]
    assert "T" in lengths(optimized)


@st.composite
def corrected(draw: st.DrawFn) -> str:
    """A scan that reads of its state up to twice in a step and adds to it."""
    axes = draw(st.permutations(["values", "keys"] + ["heads"] * draw(st.integers(0, 1))))
    type = f"[B, {', '.join(axes)}]"
    gates = ["1.0", "-0.7", "a[T=t]", "sigmoid(v[T=t])", "u", "valid[T=t]"] + ["tanh(f[T=t])"] * ("heads" in axes)
    vectors = ["unit[T=t]", "g[T=t] / 2", "u", "q[T=t] / 4"]
    lines = []
    for n in range(draw(st.integers(1, 2))):
        seen = draw(st.sampled_from(["S", "faded"])) if n == 0 else "S"
        read, written = draw(st.sampled_from(vectors)), draw(st.sampled_from(vectors))
        rate = draw(st.sampled_from(["0.3", "beta[T=t] / 2", "-0.2 * sigmoid(v[T=t])"]))
        gate = draw(st.sampled_from([gate for gate in gates if gate != "u"]))
        lines.append(f"faded: {type} = {gate} * S")
        found = f"dot({seen}, {read}, over=keys)"
        lines.append(f"n{n}: {type} = faded - {rate} * {found} * {written} + v[T=t] * k[T=t]")
        lines.append(f"S = {draw(st.sampled_from([f'n{n}', f'where(valid[T=t], n{n}, S)']))}")
    lines.append(
        f"emit {draw(st.sampled_from(['dot(S, q[T=t], over=keys)', 'tanh(S)', 'sum(S, over=[values, keys])']))}"
    )
    body = "\n".join(f"    {line}" for line in lines)
    head = f"  y = scan t in T with S: {type} = 0.5 {{"
    return f"{HEAD}{BETA}{head}\n{body}\n  }}\n  output y_ = y\n}}\n"


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(corrected(), LENGTHS)
def test_random_corrections(text: str, length: int) -> None:
    the_same_in_chunks(text, length)


@pytest.mark.parametrize("same", [False, True])
def test_single_precision(same: bool) -> None:
    """The same key in all steps has the triangle whose powers are the largest: it is solved, and not summed up."""
    text = SPELLINGS["the delta rule (Schlag et al., 2021)"].replace("beta[T=t]", "0.9")
    text = text.replace("unit[T=t]", "unit[T=0]") if same else text
    as_precise_in_chunks(spec(HEAD + BETA + text), 2e-5)


def test_a_text_is_read_on_from_what_is_carried() -> None:
    text = HEAD.replace(
        "input x: [B, T, width]", "input tokens: int[B, T] where tokens < 7\n  x = embedding(tokens, 7, width)"
    )
    text = text.replace("  input valid: bool[B, T] optional = true\n", "")
    graph = spec(text + BETA + SPELLINGS["a decay after the correction (Yang et al., 2025)"])
    whole = NumpyProgram(optimize(graph)[0], dtype="float64", seed=1)
    program = NumpyProgram(incremental(graph), dtype="float64", parameters=whole.parameters())
    tokens = np.random.default_rng(0).integers(0, 5, (2, 90))
    states, parts = program.begin({"tokens": tokens}), []
    for first, last in ((0, 70), (70, 71), (71, 90)):
        given_ = {"tokens": tokens[:, first:last], "new": np.full(2, last - first)}
        found, states = program.advance(given_, states, ("y",))
        parts.append(found["y"])
    np.testing.assert_allclose(np.concatenate(parts, 1), whole.run({"tokens": tokens})["y"], atol=1e-11)


def test_the_written_module_solves_its_triangle_for_both_sides() -> None:
    pytest.importorskip("torch")
    from attndsl.backends.pytorch import TorchProgram

    source = TorchProgram(spec(HEAD + BETA + SPELLINGS["the delta rule (Schlag et al., 2021)"])).source
    assert source.count("torch.linalg.solve_triangular(") == 2
    assert "range(T)" not in source
