"""States: what a read sees, where each layer's own goes, and that the graph is a function of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.elaborate import elaborate, open_text
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.passes import optimize
from attndsl.running.program import Results

X = np.arange(1.0, 7.0).reshape(2, 3)

HEAD = "model M(width=3, depth=4) {\n  input x: [B, width]\n"


def calls(body: str, times: int = 3, states: Mapping[str, np.ndarray] | None = None) -> list[Results]:
    """What a model gives, called again and again with the states that the call before gave; the optimised graph and one
    that was written as text and read back give the same."""
    graph = elaborate(open_text(f"{HEAD}{body}\n}}\n"), {})
    optimized = optimize(graph)[0]
    read = parse_text(to_text(optimized))
    verify(read)
    programs = [NumpyProgram(each, dtype="float64", seed=1) for each in (graph, optimized, read)]
    found: list[Results] = []
    for _ in range(times):
        first, *others = [program.run({"x": X}, states=states) for program in programs]
        for other in others:
            assert other.keys() == first.keys()
            assert other.states.keys() == first.states.keys()
            for name in first:
                np.testing.assert_allclose(other[name], first[name], atol=1e-12)
            for name in first.states:
                np.testing.assert_allclose(other.states[name], first.states[name], atol=1e-12)
        states = first.states
        found.append(first)
    return found


def test_a_read_sees_the_value_at_entry_before_and_after_the_write():
    found = calls("state s: [B, width] = 2\n a = s + 0\n s <- x + s\n output y = s - a\n output z = s")
    for i, results in enumerate(found):
        assert (results["y"] == 0).all()
        np.testing.assert_array_equal(results["z"], 2 + i * X)
        np.testing.assert_array_equal(results.states["s"], 2 + (i + 1) * X)


def test_a_state_that_is_not_written_stays():
    found = calls("state s: [width] = range(width) + 1.0\n output y = x * s")
    assert all((results.states["s"] == [1, 2, 3]).all() for results in found)


@pytest.mark.parametrize("axes", ["", "width", "B, width"])
def test_each_layer_of_nested_repeats_has_its_own_whatever_its_axes(axes: str):
    """Layers are stacked in front of the last axis, which a number lacks."""
    body = f"""repeat g in 2 {{
      repeat h in depth {{
        repeat k in 3 {{
          state s: [{axes}] = g + 2
          s <- 10 * s + h + k / 4
        }}
      }}
    }}
    output y = x"""
    states = calls(body, 2)[-1].states
    assert len(states) == 24
    for address, state in states.items():
        g, h, k = map(int, address.split(".")[1:6:2])
        assert state.shape == tuple({"B": 2, "width": 3}[axis] for axis in axes.split(", ") if axis)
        np.testing.assert_allclose(state, 10 * (10 * (g + 2) + h + k / 4) + h + k / 4)


def test_ints_bools_and_scalars_are_kept():
    body = """state n: int[] = 0
      state odd: bool[B] = zeros
      n <- n + 1
      odd <- not odd
      output y = x * n
      output z = odd"""
    found = calls(body)
    assert [int(results.states["n"]) for results in found] == [1, 2, 3]
    assert [results["z"].tolist() for results in found] == [[False] * 2, [True] * 2, [False] * 2]
    assert found[0].states["odd"].dtype == bool


def test_each_layer_has_its_own_and_begins_by_its_index():
    body = """repeat h in depth {
        state s: [B, width] = h + 1
        x = x + s
        s <- x
      }
      output y = x"""
    first, second = calls(body, 2)
    np.testing.assert_array_equal(first["y"], X + 10)
    assert list(first.states) == [f"h.{i}.s" for i in range(4)]
    np.testing.assert_array_equal(first.states["h.2.s"], X + 6)
    np.testing.assert_array_equal(second["y"], X + sum(X + n for n in (1, 3, 6, 10)))


def test_cases_of_a_repeat_have_states_of_their_own():
    body = """repeat h in depth {
        if h % 2 == 1 {
          state s: [B, width] = zeros
          s <- x + s
          x = x + s
        } else if h == 2 {
          state s: [width] = ones
          x = x * s
        }
      }
      output y = x"""
    found = calls(body)
    assert sorted(found[0].states) == ["h.1.s", "h.2.s", "h.3.s"]
    assert found[0].states["h.2.s"].shape == (3,)
    np.testing.assert_array_equal(found[1]["y"], X + X + X)


def test_states_of_nested_repeats_and_of_blocks():
    body = """repeat h in depth {
        repeat g in 2 {
          x = x |> delayed as d
        }
      }
      output y = x"""
    block = "block delayed(x: [*, D]) -> [*, D] {\n  state last: [*, D] = zeros\n  last <- x\n  return x + last\n}\n"
    graph = elaborate(open_text(f"{HEAD}{body}\n}}\n{block}"), {"width": 3, "depth": 3})
    program, states = NumpyProgram(optimize(graph)[0], dtype="float64"), None
    assert [info.address for info in graph.states] == ["h.*.g.*.d.last"]
    want = [np.zeros_like(X)] * 6
    for _ in range(3):
        results = program.run({"x": X}, states=states)
        value, after = X, []
        for last in want:
            after.append(value)
            value = value + last
        want, states = after, results.states
        np.testing.assert_array_equal(results["y"], value)
        for i, address in enumerate(f"h.{h}.g.{g}.d.last" for h in range(3) for g in range(2)):
            np.testing.assert_array_equal(states[address], want[i])


def test_an_unrolled_repeat_and_a_scope_have_addresses_of_their_own():
    body = """repeat stage, n in [1, 2] {
        state s: [B] = n
        s <- s * 2
        x = x * s
      }
      y = scope last { state s: [B] = zeros
        s <- s + 1
        return x + s
      }
      output z = y"""
    found = calls(body)
    assert list(found[0].states) == ["stage.0.s", "stage.1.s", "last.s"]
    np.testing.assert_array_equal(found[2]["z"], X * 4 * 8 + 2)


def test_what_is_written_is_brought_to_the_type():
    (found,) = calls("state s: [width, B] = zeros\n s <- mean(x, over=width)\n output y = x + s", 1)
    np.testing.assert_array_equal(found.states["s"], np.broadcast_to(X.mean(1), (3, 2)))


def test_the_written_value_has_no_gradient_into_another_call():
    graph = elaborate(
        open_text(
            f"{HEAD}param w: [width] = ones\n state s: [B, width] = zeros\n s <- x * w\n"
            "output loss = sum(s * w, over=[B, width])\n}\n"
        ),
        {},
    )
    program = NumpyProgram(graph, dtype="float64")
    states = program.run({"x": X}).states
    given = {"x": X, "s": states["s"]}
    _, gradients, _ = program.gradients(given, {"loss": np.ones(())})
    np.testing.assert_array_equal(gradients["w"], states["s"].sum(0))


@pytest.mark.parametrize("depth", [0, 1])
def test_few_layers(depth):
    text = f"{HEAD}repeat h in depth {{ state s: [B] = zeros\n s <- s + 1\n x += s }}\n output y = x\n}}\n"
    graph = elaborate(open_text(text), {"depth": depth})
    results = NumpyProgram(graph).run({"x": X})
    assert list(results.states) == [f"h.{i}.s" for i in range(depth)]
    assert NumpyProgram(graph).run({"x": X}, states=results.states)["y"].shape == (2, 3)
