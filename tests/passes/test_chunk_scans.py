"""Scans that are linear in what they carry give in chunks what they give step by step; others say why they do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph
from attndsl.ops import Scan
from attndsl.passes import optimize
from attndsl.passes.incremental import incremental

HEAD = """
model M(width=5, keys=4, values=3, heads=2) {
  input x: [B, T, width]
  input valid: bool[B, T] optional = true
  q = linear(x, keys, init=normal(0.5)) as q
  k = linear(x, keys, init=normal(0.5)) as k
  v = linear(x, values, init=normal(0.5)) as v
  g = sigmoid(linear(x, keys, init=normal(0.8)) as g)
  f = linear(x, heads, init=normal(0.8)) as f
  param u: [keys] = normal(0.5)
"""
MATRIX = """
  output y = scan t in T with S: [B, values, keys] = 0.5 {
    %s
    emit dot(S, q[T=t], over=keys)
  }
}
"""
SCANS = {
    "a running mean": """
  output y = scan t in T with h: [B, width] = 0.5 {
    h = 0.9 * h + 0.1 * x[T=t]
    emit h
  }
}
""",
    "a minimal GRU (Feng et al., 2024)": """
  z = sigmoid(linear(x, width) as z)
  output y = scan t in T with h: [B, width] = 0.5 {
    h = (1 - z[T=t]) * h + z[T=t] * x[T=t]
    emit h
  }
}
""",
    "a factor of any sign, and 0": """
  a = round(3 * f) / 2
  output y = scan t in T with h: [B, heads, width] = 0.5 {
    h: [B, heads, width] = a[T=t] * h + x[T=t]
    emit h
  }
}
""",
    "linear attention (Katharopoulos et al., 2020)": MATRIX % "S: [B, values, keys] = S + v[T=t] * k[T=t]",
    "retention (Sun et al., 2023)": MATRIX % "S: [B, values, keys] = 0.7 * S + v[T=t] * k[T=t]",
    "gated linear attention (Yang et al., 2024)": MATRIX % "S: [B, values, keys] = g[T=t] * S + v[T=t] * k[T=t]",
    "differences of two products": MATRIX % "S: [B, values, keys] = S / (1 + g[T=t]) - v[T=t] * k[T=t] + 0.1 * v[T=t]",
    "a sum over an axis that what is added lacks": """
  output y = scan t in T with S: [B, values, keys] = 0.5 {
    S: [B, values, keys] = 0.9 * S + k[T=t]
    emit sum(S, over=values)
  }
}
""",
    "what a step finds, and adds itself (Peng et al., 2023)": """
  output y = scan t in T with S: [B, values, keys] = 0.1 {
    kv: [B, values, keys] = v[T=t] * k[T=t]
    out = dot(S + u * kv, q[T=t], over=keys)
    S: [B, values, keys] = g[T=t] * S + kv
    emit silu(out)
  }
}
""",
    "a normaliser beside, and padding": """
  fade = sigmoid(sum(f, over=heads))
  y_, counts = scan t in T with S: [B, values, keys] = 0.1, z: [B, keys] = 1.0 {
    S2: [B, values, keys] = fade[T=t] * S + v[T=t] * k[T=t]
    S = where(valid[T=t], S2, S)
    z = where(valid[T=t], fade[T=t] * z + k[T=t], z)
    emit where(valid[T=t], dot(S, q[T=t], over=keys) / (1 + abs(dot(z, q[T=t], over=keys))), 0), t + sum(z, over=keys)
  }
  output y = y_
  output count = counts
}
""",
    "the last state alone": """
  h = sum(x, over=T)
  scan t in T {
    h = 0.5 * h + x[T=t]
  }
  output y = h
}
""",
    "from the last step on": """
  back = flip(x, over=T)
  y: [B, T, width] = scan t in T with h: [B, width] = 0.0 {
    h = 0.5 * h + back[T=t]
    emit h * tanh(x[T=t])
  }
  output z = flip(y, over=T)
}
""",
}
CHUNK = 64


def spec(text: str) -> Graph:
    return elaborate(open_text(text), {})


def both(graph: Graph, inputs: dict[str, np.ndarray], run: Callable[..., object] = NumpyProgram) -> tuple[float, float]:
    """How far outputs and gradients are from those of the graph as it is, next to the largest of these."""
    plain = NumpyProgram(graph, dtype="float64", seed=1)
    outputs = plain.run(inputs)
    rng = np.random.default_rng(1)
    upstream = {name: rng.standard_normal(array.shape) for name, array in outputs.items()}
    program = run(optimize(graph)[0], dtype="float64", seed=1)
    found = program.run(inputs)  # type: ignore[attr-defined]
    first = max(off(found[name], array) for name, array in outputs.items())
    pairs = zip(program.gradients(inputs, upstream)[1:], plain.gradients(inputs, upstream)[1:], strict=True)  # type: ignore[attr-defined]
    return first, max(off(one[name], array) for one, other in pairs for name, array in other.items())


def off(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max(initial=0) / (1 + np.abs(wanted).max(initial=0)))


def drawn(graph: Graph, length: int, rows: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(length)
    return {"x": rng.standard_normal((rows, length, 5)), "valid": rng.random((rows, length)) < 0.7}


def lengths(graph: Graph) -> set[str]:
    """The axes of the scans of a graph."""
    return {node.op.axis.name for node in graph.body.walk() if isinstance(node.op, Scan)}


@pytest.mark.parametrize("name", SCANS)
def test_chunks_give_what_steps_give(name: str) -> None:
    graph = spec(HEAD + SCANS[name])
    optimized, reports = optimize(graph)
    (report,) = (report for report in reports if report.name == "chunk-scans")
    assert report.count == 1, report.misses
    assert "T" not in lengths(optimized)
    for length in (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 9):
        assert max(both(graph, drawn(graph, length))) < 1e-12, length


@pytest.mark.parametrize("name", SCANS)
def test_chunks_on_pytorch(name: str) -> None:
    pytest.importorskip("torch")
    from attndsl.backends.pytorch import TorchProgram

    graph = spec(HEAD + SCANS[name])
    for length in (0, 3, CHUNK + 5):
        assert max(both(graph, drawn(graph, length), TorchProgram)) < 1e-12, length


@st.composite
def affine(draw: st.DrawFn) -> str:
    """A scan whose states are linear in themselves."""
    gates = {
        "0.5": (), "-0.8": (), "g[T=t]": ("keys",), "tanh(f[T=t])": ("heads",), "u": ("keys",),
        "sigmoid(v[T=t])": ("values",), "valid[T=t]": (), "round(q[T=t])": ("keys",), "(float(t) / 64 - 1)": (),
    }  # fmt: skip
    parts = {"v[T=t]": "values", "k[T=t]": "keys", "f[T=t]": "heads"}
    lines, emitted, states = [], [], []
    for n in range(draw(st.integers(1, 2))):
        axes = draw(st.lists(st.sampled_from(["values", "keys", "heads"]), min_size=1, max_size=3, unique=True))
        type = f"[B, {', '.join(axes)}]"
        states.append(f"s{n}: {type} = {draw(st.sampled_from(['0.0', '0.5']))}")
        fitting = [gate for gate, own in gates.items() if set(own) <= set(axes)]
        kept = [" * ".join([f"s{n}", *draw(st.lists(st.sampled_from(fitting), max_size=2))])]
        if draw(st.booleans()):
            kept.append(f"s{n} * 0.1 * {draw(st.sampled_from(fitting))}")
        added = [" * ".join(part for part, axis in parts.items() if axis in axes)] + [
            p for p, axis in parts.items() if axis in axes
        ]
        added = draw(st.lists(st.sampled_from(added), max_size=2, unique=True))
        sign = draw(st.sampled_from(["+", "-"]))
        lines.append(f"n{n}: {type} = {f' {sign} '.join([*kept, *added])}")
        lines.append(f"m{n} = {draw(st.sampled_from([f'n{n}', f'where(valid[T=t], n{n}, s{n})']))}")
        seen = draw(st.sampled_from([f"m{n}", f"s{n}", f"(s{n} + m{n})"]))
        over = draw(st.sampled_from(axes))
        read = {"values": "v", "keys": "q", "heads": "f"}[over]
        reads = [f"dot({seen}, {read}[T=t], over={over})", f"sum({seen}, over={over})", f"tanh({seen} * 0.3)"]
        emitted.append(draw(st.sampled_from(reads)))
        lines.append(f"s{n} = m{n}")
    names = [f"y{n}" for n in range(len(emitted))]
    body = "\n".join(f"    {line}" for line in [*lines, f"emit {', '.join(emitted)}"])
    outputs = "\n".join(f"  output o{name} = {name}" for name in names)
    return f"{HEAD}  {', '.join(names)} = scan t in T with {', '.join(states)} {{\n{body}\n  }}\n{outputs}\n}}\n"


LENGTHS = st.sampled_from([1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 83])


def the_same_in_chunks(text: str, length: int) -> None:
    """A spec with one scan, which is run in chunks, and gives what its steps give."""
    graph = spec(text)
    _, reports = optimize(graph)
    assert [report.count for report in reports if report.name == "chunk-scans"] == [1], reports
    assert max(both(graph, drawn(graph, length, rows=1))) < 1e-10, text


def as_precise_in_chunks(graph: Graph, least: float) -> None:
    """In float32 gradients in chunks are off those of float64 by `least`, or by four times as much as the loop's."""
    inputs = {key: a.astype(np.float32) if a.dtype.kind == "f" else a for key, a in drawn(graph, 150).items()}
    plain, chunked = (NumpyProgram(g, seed=1) for g in (graph, optimize(graph)[0]))
    exact = NumpyProgram(graph, dtype="float64", seed=1)
    upstream = {"y": np.ones_like(exact.run(inputs)["y"])}
    wanted, found, meant = (p.gradients(inputs, upstream) for p in (plain, chunked, exact))
    for one, other, true in zip(found, wanted, meant, strict=True):
        for key, array in true.items():
            assert off(one[key], array) <= max(4 * off(other[key], array), least), key


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(affine(), LENGTHS)
def test_random_linear_scans(text: str, length: int) -> None:
    the_same_in_chunks(text, length)


@pytest.mark.parametrize("name", ["retention (Sun et al., 2023)", "gated linear attention (Yang et al., 2024)"])
@pytest.mark.parametrize("fade", ["exp(-80 * g[T=t])", "where(t % 7 < 5, exp(-80 * g[T=t]), 1.0)", "0.0"])
def test_strong_decay_in_single_precision(name: str, fade: str) -> None:
    """Products that underflow are zeros: nothing is divided by them."""
    fade = fade.replace("g[T=t]", "sum(g[T=t], over=keys)") if "retention" in name else fade
    text = SCANS[name].replace("0.7 * S", f"{fade} * S").replace("g[T=t] * S", f"{fade} * S")
    as_precise_in_chunks(spec(HEAD + text), 2e-6)


MISSES = {
    "h = tanh(h + x[T=t])": "its steps run one after another, not in chunks: `tanh` is not linear",
    "h = h * h + x[T=t]": "its steps run one after another, not in chunks: "
    "`mul` of two values that depend on it is not linear",
    "h = linear(h, width) + x[T=t]": "what it carries is multiplied with a matrix",
    "h = 0.5 * h + flip(h, over=width)": "what it carries is taken apart by `flip`",
    "h = float(0.5 * h) + x[T=t]": "its steps run one after another, not in chunks: `cast` is not linear",
    "h = 0.5 * h + dropout(x[T=t], 0.5)": "`dropout` is not computed for all steps at once",
}


@pytest.mark.parametrize("step", MISSES)
def test_why_not(step: str) -> None:
    text = HEAD + "  output y = scan t in T with h: [B, width] = 0.5 {\n    STEP\n    emit h\n  }\n}".replace(
        "STEP", step
    )
    optimized, reports = optimize(spec(text))
    (report,) = (report for report in reports if report.name == "chunk-scans")
    assert [miss.reason for miss in report.misses] == [MISSES[step]]
    assert "T" in lengths(optimized)


def test_what_has_the_axis_of_the_steps_itself_goes_step_by_step() -> None:
    """In chunks it would have that axis twice."""
    text = (
        HEAD
        + """
  output y = scan t in T with h: [B, T, width] = 0.5 * x {
    h: [B, T, width] = h * f[T=t, heads=0] + x[T=t]
    emit sum(h, over=T)
  }
}"""
    )
    optimized, reports = optimize(spec(text))
    (report,) = (report for report in reports if report.name == "chunk-scans")
    said = "a step computes with `T`, the axis of the steps, as a whole"
    assert [miss.reason for miss in report.misses] == [said]
    assert "T" in lengths(optimized)


def test_states_of_which_each_step_is_coupled() -> None:
    text = (
        HEAD
        + """
  output y = scan t in T with h: [B, width] = 0.5, c: [B, width] = 0.0 {
    c = 0.5 * c + h
    h = 0.5 * h + x[T=t]
    emit c
  }
}
"""
    )
    (report,) = (report for report in optimize(spec(text))[1] if report.name == "chunk-scans")
    assert [miss.reason for miss in report.misses] == ["another carried value takes part in what is carried"]


def test_a_text_is_read_on_step_by_step() -> None:
    """The incremental graph is derived from scans as they are, and keeps them."""
    text = HEAD.replace(
        "input x: [B, T, width]", "input tokens: int[B, T] where tokens < 7\n  x = embedding(tokens, 7, width)"
    )
    text = text.replace("  input valid: bool[B, T] optional = true\n", "")
    graph = spec(text + SCANS["retention (Sun et al., 2023)"])
    derived = incremental(graph)
    assert optimize(derived)[1][-3].count == 0
    assert "T" in lengths(optimize(derived)[0])
    tokens = np.random.default_rng(0).integers(0, 5, (2, 90))
    whole = NumpyProgram(optimize(graph)[0], dtype="float64", seed=1)
    program = NumpyProgram(derived, dtype="float64", parameters=whole.parameters())
    states, parts = program.begin({"tokens": tokens}), []
    for first, last in ((0, 70), (70, 71), (71, 90)):
        given_ = {"tokens": tokens[:, first:last], "new": np.full(2, last - first)}
        found, states = program.advance(given_, states, ("y",))
        parts.append(found["y"])
    np.testing.assert_allclose(np.concatenate(parts, 1), whole.run({"tokens": tokens})["y"], atol=1e-12)


def test_a_known_length_needs_no_padding() -> None:
    text = HEAD.replace("heads=2", "heads=2, T=128") + SCANS["retention (Sun et al., 2023)"]
    for length in ("128", "100", "12"):
        graph = spec(text.replace("T=128", f"T={length}"))
        padded = any(
            axis.name == "padding" for n in optimize(graph)[0].body.walk() for v in n.inputs for axis in v.type.axes
        )
        assert padded == (length == "100")
        assert max(both(graph, drawn(graph, int(length)))) < 1e-12


def test_lengths_of_chunks_have_names_in_written_modules() -> None:
    pytest.importorskip("torch")
    from attndsl.backends.pytorch import TorchProgram

    source = TorchProgram(spec(HEAD + SCANS["retention (Sun et al., 2023)"])).source
    assert "        places = max(1, min(64, T))\n" in source
    assert source.count("min(64, T)") == 1
