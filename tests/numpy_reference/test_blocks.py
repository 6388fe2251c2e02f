"""Chains of operations, run on blocks of rows and on several threads, give what the operations give one by one."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram, blocks
from attndsl.backends.numpy_reference.blocks import Block, at, for_each, hollow
from attndsl.backends.numpy_reference.plan import plan
from attndsl.elaborate import load
from attndsl.graph import Axis
from attndsl.ops import Call
from attndsl.passes import optimize
from attndsl.running.inputs import example_inputs
from attndsl.sizes import Size
from attndsl.types import Type
from tests.samples.graphs import GRAPHS
from tests.std.meaning import written

SMALL = {"depth": 2, "width": 16, "heads": 2, "vocab": 20}


@pytest.fixture(params=[1, 3])
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of a few elements, on one thread and on three."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(request.param))
    monkeypatch.setattr(blocks, "BLOCK", 20)
    blocks._pool.cache_clear()
    yield
    blocks._pool().shutdown()
    blocks._pool.cache_clear()


def programs() -> dict[str, NumpyProgram]:
    graphs = {name: make() for name, make in GRAPHS.items()} | {"bert": load("bert", SMALL)}
    return {
        f"{name} {kind}": NumpyProgram(each, dtype="float64", seed=1)
        for name, graph in graphs.items()
        for kind, each in (("plain", graph), ("optimised", optimize(graph)[0]))
    }


def test_every_element_is_in_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 8)
    axes = tuple(Axis(name, Size.of(n)) for name, n in (("a", 3), ("b", 5), ("c", 7)))
    for shape in itertools.product((0, 1, 2, 5), (1, 3, 9), (1, 4, 40)):
        call = Call((), Type("float", axes), {})
        axes = tuple(Axis(name, Size.of(n)) for name, n in zip("abc", shape, strict=True))
        for count in range(4):
            pieces = blocks.blocks(call, axes[:count], int(np.prod(shape)))
            seen = np.zeros(shape, int)
            for block in pieces:
                assert block.keys() <= set(axes[:count])
                seen[at(block, axes)] += 1
                if len(pieces) > 1 and count == 3:
                    assert seen[at(block, axes)].size <= 8
            assert (seen == 1).all()


@pytest.mark.usefixtures("tiny")
def test_blocks_change_no_value() -> None:
    for name, program in programs().items():
        inputs = example_inputs(program.graph, {}, seed=2)
        before = {key: array.copy() for key, array in inputs.items()}
        for training in (False, True):
            found = program.run(inputs, training=training, seed=4)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(blocks, "BLOCK", 1 << 20)
                expected = program.run(inputs, training=training, seed=4)
            for output, array in expected.items():
                np.testing.assert_allclose(found[output], array, rtol=1e-12, atol=1e-13, err_msg=f"{name} {output}")
        for key, array in inputs.items():
            np.testing.assert_array_equal(array, before[key])


@pytest.mark.usefixtures("tiny")
def test_blocks_change_no_gradient() -> None:
    for name, program in programs().items():
        inputs = example_inputs(program.graph, {}, seed=2)
        outputs = {o.name: o.value.type for o in program.graph.outputs if o.value.type.is_float}
        cotangents = {key: np.ones(program.run(inputs)[key].shape) for key in outputs}
        found = program.gradients(inputs, cotangents, training=True)
        again = program.gradients(inputs, cotangents, training=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(blocks, "BLOCK", 1 << 20)
            expected = program.gradients(inputs, cotangents, training=True)
        for one, two, other in zip(found, again, expected, strict=True):
            assert one.keys() == other.keys()
            for key, array in other.items():
                np.testing.assert_array_equal(one[key], two[key])  # whichever thread was quicker
                np.testing.assert_allclose(one[key], array, rtol=1e-9, atol=1e-11, err_msg=f"{name} {key}")


@pytest.mark.usefixtures("tiny")
def test_what_is_looked_at_is_what_it_is_without_blocks() -> None:
    program = NumpyProgram(load("gpt2", SMALL), seed=1)
    inputs = example_inputs(program.graph, {}, seed=2)
    looked = ("h.1.mlp.gelu_tanh", "h.0.ln_1.y", "h.0.mlp.up")
    found = program.run(inputs, dump=looked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", 1 << 20)
        expected = program.run(inputs, dump=looked)
    for address in looked:
        np.testing.assert_array_equal(found[address], expected[address])


def test_chains_are_what_follows_a_product() -> None:
    """A bias, an activation and a residual are one chain, in the product's memory where nothing else reads that."""
    text = """
model M(width=8) {
  input x: [B, T, width]
  param w: [width, out=width]
  param b: [out=width]
  h = dot(x, w, over=width)
  output y = tanh(h + b) * 2 + b
  output z = h
  output first = h[T=0]
}
"""
    for wanted, spared in ((["y"], True), (["y", "z"], False), (["y", "first"], False)):
        graph = written(text)
        found = plan(graph.body, [o.value for o in graph.outputs if o.name in wanted])
        (chain,) = [step for step in found.steps if step.rows]
        assert [planned.node.op.name for planned in chain.nodes] == ["add", "tanh", "mul", "add"]
        assert [axis.name for axis in chain.rows] == ["B", "T", "out"]
        assert len(chain.made) == 1
        assert bool(chain.spare) is spared


def test_a_long_chain_needs_no_more_than_its_ends() -> None:
    steps = "\n".join(f"  x = tanh(x) * 1.5 + {i}" for i in range(8))
    graph = written(f"model M {{\n  input x: [B, D]\n{steps}\n  output y = x\n}}")
    x = np.ones((64, 1 << 14), np.float32)
    program = NumpyProgram(graph)
    tracemalloc.start()
    program.run({"x": x})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.6 * x.nbytes  # the result, and a few blocks


def test_what_no_gradient_reads_is_forgotten() -> None:
    """Sums keep nothing: in training, too, no more of them is there at a time than two."""
    steps = "\n".join(f"  x = x + w + {i}" for i in range(20))
    graph = written(
        f"model M(D=1024) {{\n  input x: [B, D]\n  param w: [D]\n{steps}\n  output y = sum(x, over=[B, D])\n}}"
    )
    x = np.ones((1024, 1024), np.float32)
    program = NumpyProgram(graph)
    tracemalloc.start()
    program.gradients({"x": x}, {"y": np.ones(())})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * x.nbytes


@pytest.mark.parametrize("tiny", [2], indirect=True)
def test_every_block_is_taken_once_and_errors_come_through(tiny: None) -> None:
    pieces: list[Block] = [{} for _ in range(100)]
    seen, names = [], set()

    def work(number: int, block: Block) -> None:
        names.add(threading.current_thread().name)
        np.log(np.zeros(1000))  # no warning here either
        seen.append(number)

    for_each(pieces, work)
    assert sorted(seen) == list(range(100))

    def fail(number: int, block: Block) -> None:
        raise ValueError(number)

    with pytest.raises(ValueError, match=r"\d"):
        for_each(pieces, fail)


def test_a_hollow_array_takes_no_memory() -> None:
    whole = np.ones((100, 100), np.float32)
    assert hollow(whole).shape == whole.shape
    assert hollow(whole).dtype == whole.dtype
    assert hollow(whole).strides == (0, 0)
