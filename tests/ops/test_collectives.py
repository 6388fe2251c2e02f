"""Collectives on several devices, each a thread: what they give, and that each gradient is the transpose."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from attndsl.ops import (
    OPS,
    AllGather,
    AllReduce,
    AllToAll,
    Call,
    Collective,
    Mismatch,
    Op,
    Rank,
    ReduceScatter,
    Shard,
    Shift,
)
from attndsl.ops.collectives import Vary
from attndsl.running.ranks import Member, Parted, on_ranks
from attndsl.sizes import Size
from attndsl.types import FLOAT, INT, Axis, Type

SIZES = {"B": 3, "T": 8, "D": 4}
B, T, D = (Axis.of(Size.symbol(name)) for name in SIZES)
PARTS = 2


def part(axis: Axis) -> Axis:
    return Axis(axis.name, axis.size / PARTS)


WHOLE, CUT = Type(FLOAT, (B, T, D)), Type(FLOAT, (B, part(T), D))
COLLECTIVES: dict[str, tuple[Collective, Type]] = {
    "all_reduce": (AllReduce("model", PARTS), WHOLE),
    "largest": (AllReduce("model", PARTS, "max"), WHOLE),
    "vary": (Vary("model", PARTS), WHOLE),
    "all_gather": (AllGather("model", PARTS, part(T), T), CUT),
    "all_gather, varying": (AllGather("model", PARTS, part(T), T, varying=True), CUT),
    "reduce_scatter": (ReduceScatter("model", PARTS, T, part(T)), WHOLE),
    "shard": (Shard("model", PARTS, T, part(T)), WHOLE),
    "all_to_all": (AllToAll("model", PARTS, part(T), T, D, part(D)), CUT),
    "shift": (Shift("model", PARTS), CUT),
}
MESH = (("data", 2), ("model", PARTS))


def call(op: Op, given: Type, member: Member) -> Call:
    return Call((given,), op.infer(given), SIZES, "float64", communicator=member)


def on_all(op: Op, given: Type, arrays: list[np.ndarray]) -> list[np.ndarray]:
    return on_ranks(MESH, lambda rank, member: op.evaluate(call(op, given, member), arrays[rank]))


def arrays(type: Type, seed: int) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.standard_normal(type.shape(SIZES)) for _ in range(4)]


def test_each_collective_is_tried() -> None:
    """They need other devices, so they are not among the samples of all primitives."""
    tried = {type(op) for op, _ in COLLECTIVES.values()} | {Rank}
    assert tried == {op for op in OPS.values() if op.across_devices}


@pytest.mark.parametrize("name", COLLECTIVES)
def test_results_have_the_inferred_type(name: str) -> None:
    op, given = COLLECTIVES[name]
    for array in on_all(op, given, arrays(given, 0)):
        assert array.shape == op.infer(given).shape(SIZES)


def test_each_gives_what_it_says() -> None:
    """Ranks 0 and 1 are one group along `model`, 2 and 3 the other."""
    whole, cut = arrays(WHOLE, 1), arrays(CUT, 2)
    for first, second in ((0, 1), (2, 3)):
        both = whole[first] + whole[second]
        np.testing.assert_array_equal(on_all(COLLECTIVES["all_reduce"][0], WHOLE, whole)[first], both)
        largest = np.maximum(whole[first], whole[second])
        np.testing.assert_array_equal(on_all(COLLECTIVES["largest"][0], WHOLE, whole)[second], largest)
        gathered = np.concatenate([cut[first], cut[second]], 1)
        np.testing.assert_array_equal(on_all(COLLECTIVES["all_gather"][0], CUT, cut)[second], gathered)
        scattered = on_all(COLLECTIVES["reduce_scatter"][0], WHOLE, whole)
        np.testing.assert_array_equal(np.concatenate(scattered[first : second + 1], 1), both)
        sharded = on_all(COLLECTIVES["shard"][0], WHOLE, whole)
        np.testing.assert_array_equal(sharded[second], whole[second][:, 4:])
        exchanged = on_all(COLLECTIVES["all_to_all"][0], CUT, cut)
        np.testing.assert_array_equal(np.concatenate(exchanged[first : second + 1], 2), gathered)
        handed = on_all(COLLECTIVES["shift"][0], CUT, cut)
        np.testing.assert_array_equal(handed[first : second + 1], [cut[second], cut[first]])
    assert on_ranks(MESH, lambda rank, member: int(Rank("data").evaluate(_bare(member)))) == [0, 0, 1, 1]
    assert on_ranks(MESH, lambda rank, member: int(Rank("model").evaluate(_bare(member)))) == [0, 1, 0, 1]


def _bare(member: Member) -> Call:
    return Call((), Type(INT), SIZES, communicator=member)


WHOLE_INPUT = ("vary", "shard")  # what all devices have alike; `all_gather` gives it too, as others do after it
SUMS = ("all_reduce", "all_gather")  # their results are whole, and so are the gradients that they get


@pytest.mark.parametrize("name", [name for name, (op, _) in COLLECTIVES.items() if op.differentiable])
def test_gradients_are_transposes(name: str) -> None:
    """The sum over the devices of <result, cotangent> is that of <operand, gradient>, where what is whole counts
    once."""
    op, given = COLLECTIVES[name]
    draw, output = np.random.default_rng(3), op.infer(given)
    x = [draw.standard_normal(given.shape(SIZES)) for _ in range(4)]
    up = [draw.standard_normal(output.shape(SIZES)) for _ in range(4)]
    if name in WHOLE_INPUT:
        x[1::2] = x[0::2]
    if name in SUMS:
        up[1::2] = up[0::2]

    def both(rank: int, member: Member) -> tuple[np.ndarray, np.ndarray]:
        told = call(op, given, member)
        result = op.evaluate(told, x[rank])
        (found,) = op.gradient(told, up[rank], result, x[rank])
        assert found is not None
        return result, found

    found = on_ranks(MESH, both)
    left = sum((result * up[i]).sum() for i, (result, _) in enumerate(found) if name not in SUMS or i % 2 == 0)
    right = sum((x[i] * gradient).sum() for i, (_, gradient) in enumerate(found) if name not in WHOLE_INPUT or i % 2)
    np.testing.assert_allclose(left, right, rtol=1e-12)
    if name in WHOLE_INPUT:
        np.testing.assert_array_equal(found[0][1], found[1][1])


def test_parts_must_be_parts() -> None:
    for wrong in (
        AllGather("model", 3, part(T), T),
        ReduceScatter("model", 3, T, part(T)),
        AllReduce("model", 2, "or"),
    ):
        with pytest.raises(Mismatch):
            wrong.infer(CUT if isinstance(wrong, AllGather) else WHOLE)


def test_a_device_alone_is_its_whole_group() -> None:
    told = Call((WHOLE,), WHOLE, SIZES, "float64")
    x = arrays(WHOLE, 4)[0]
    np.testing.assert_array_equal(AllReduce("model", 1).evaluate(told, x), x)
    with pytest.raises(RuntimeError, match="runs alone"):
        AllReduce("model", 2).evaluate(told, x)


@pytest.mark.parametrize(
    "work",
    [
        lambda rank, member: member.exchange("model", np.zeros(3 + (rank == 1))),
        lambda rank, member: rank == 1 or member.exchange("model", np.zeros(3)),
    ],
    ids=["another shape", "one that does not come"],
)
def test_devices_that_part_are_told(work: Callable[[int, Member], object]) -> None:
    with pytest.raises(Parted):
        on_ranks(MESH, work, timeout=0.5)


def test_the_error_of_the_device_that_failed_is_raised() -> None:
    def work(rank: int, member: Member) -> object:
        if rank == 3:
            raise ZeroDivisionError("rank 3")
        return member.exchange("data", np.zeros(2))

    with pytest.raises(ZeroDivisionError, match="rank 3"):
        on_ranks(MESH, work)


def test_exchanges_follow_one_another() -> None:
    """A device that is ahead does not overwrite what another has still to read."""

    def work(rank: int, member: Member) -> bool:
        rounds = (member.exchange("model", np.array([i * 10 + rank])) for i in range(200))
        first = rank // 2 * 2
        return all([int(a[0]) for a in found] == [i * 10 + first, i * 10 + first + 1] for i, found in enumerate(rounds))

    assert all(itertools.chain(on_ranks(MESH, work)))


def test_what_is_handed_on_comes_from_the_device_before() -> None:
    """Of more than two, where before and behind are not the same; the gradient goes back."""
    op, given = Shift("stages", 3), Type(INT)

    def work(rank: int, member: Member) -> list[int]:
        told = Call((given,), given, {}, communicator=member)
        x = np.asarray(rank)
        return [int(op.evaluate(told, x)), int(op.backward(told, x, x, x))]

    assert on_ranks((("stages", 3),), work) == [[2, 1], [0, 2], [1, 0]]
