"""Collectives in torch, on processes that meet over gloo: what the reference gives, and its gradients."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from attndsl.graph import Graph, InputInfo, Node, OutputInfo, Region, Value
from attndsl.ops import OPS, Op, Rank
from attndsl.running.ranks import Member, on_ranks
from attndsl.types import Type
from tests.ops.test_collectives import COLLECTIVES, MESH, SIZES, arrays
from tests.training.crew import Crew, on_mesh

pytestmark = [pytest.mark.torch, pytest.mark.skipif(os.name != "posix", reason="needs fork")]


def graph(op: Op, given: Type) -> Graph:
    """y = op(x)."""
    x, y = Value(given), Value(op.infer(given))
    body = Region((x,), (Node(op, (x,), (y,)),), (y,))
    return Graph("Together", {}, SIZES, (InputInfo("x", x),), (OutputInfo("y", y),), (), (), {}, body)


def reference(op: Op, given: Type) -> list[Any]:
    """What each device has of y, and of the gradient of the sum of y * cotangent, by rank."""
    from attndsl.ops import Call

    x, up = arrays(given, 1), arrays(op.infer(given), 2)

    def both(rank: int, member: Member) -> list[np.ndarray[Any, Any]]:
        call = Call((given,), op.infer(given), SIZES, "float64", communicator=member)
        y = op.evaluate(call, x[rank])
        return [y, *(op.gradient(call, up[rank], y, x[rank]) if op.differentiable else ())]

    return on_ranks(MESH, both)


def on_torch(rank: int, mesh: Any) -> dict[str, list[np.ndarray[Any, Any]]]:
    from attndsl.backends.pytorch import TorchProgram

    found = {}
    for name, (op, given) in COLLECTIVES.items():
        program = TorchProgram(graph(op, given), dtype="float64", mesh=mesh)
        x, up = arrays(given, 1)[rank], arrays(op.infer(given), 2)[rank]
        y = program.run({"x": x})["y"]
        found[name] = [y, *(program.gradients({"x": x}, {"y": up})[2]["x"],)] if op.differentiable else [y]
    return found


def test_as_the_reference() -> None:
    assert {type(op) for op, _ in COLLECTIVES.values()} | {Rank} == {op for op in OPS.values() if op.across_devices}
    with Crew(4) as crew:
        told = crew.run(on_mesh, MESH, on_torch)
    for name, (op, given) in COLLECTIVES.items():
        for rank, wanted in enumerate(reference(op, given)):
            for found, right in zip(told[rank][name], wanted, strict=True):
                np.testing.assert_allclose(found, right, rtol=1e-12, err_msg=f"{name} on {rank}")
