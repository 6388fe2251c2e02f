"""Every operator's lowering against its NumPy meaning, on the operator's own samples."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl import ops
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.pytorch.backend import BACKEND
from attndsl.running.inputs import example_inputs
from tests.samples.devices import ROUNDING, on_each_device
from tests.samples.graphs import GRAPHS, GraphBuilder
from tests.samples.ops import SAMPLES, Sample

pytestmark = pytest.mark.torch

CASES = [
    pytest.param(sample, id=f"{name}-{i}") for name, samples in SAMPLES.items() for i, sample in enumerate(samples)
]


def _inputs(sample: Sample, dtype: str) -> dict[str, np.ndarray]:
    return {f"x{i}": array for i, array in enumerate(sample.arrays(dtype))}


def test_every_operator_has_a_lowering_or_a_reason_for_none() -> None:
    from attndsl.backends.pytorch.lowerings import LOWERINGS, WITHOUT_LOWERING

    assert not LOWERINGS.keys() & WITHOUT_LOWERING.keys()
    assert set(ops.OPS.values()) <= LOWERINGS.keys() | WITHOUT_LOWERING.keys()


def test_every_operator_but_loops_and_parameters_has_samples() -> None:
    across = {name for name, op in ops.OPS.items() if op.across_devices}
    assert ops.OPS.keys() - SAMPLES.keys() - across == {"repeat", "scan", "parameter"}


@pytest.mark.parametrize("device", on_each_device(BACKEND))
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("sample", CASES)
def test_in_the_models_dtype(sample: Sample, dtype: str, device: str) -> None:
    """Results in it, as exact as that allows. Ints and constants must not bring in torch's default float, nor NumPy's
    double."""
    import torch

    from attndsl.backends.pytorch import TorchProgram

    graph = sample.graph()
    program = TorchProgram(graph, dtype=dtype, device=device)
    given = program.tensors(_inputs(sample, "float32"))
    before = torch.get_default_dtype()
    if not any(tensor.is_floating_point() for tensor in given.values()):
        torch.set_default_dtype(program.torch_dtype)  # nothing else in such a model says what its floats are
    try:
        with torch.backends.cudnn.flags(allow_tf32=False):
            result = program.module(**given)["y"]
    finally:
        torch.set_default_dtype(before)
    kinds = {"float": program.torch_dtype, "int": torch.int64, "bool": torch.bool}
    assert result.dtype == kinds[sample.output.dtype]
    if isinstance(sample.op, ops.Uniform):  # each backend draws with its own generator
        return
    rounded = {name: tensor.cpu().double().numpy() for name, tensor in given.items()}
    rounded |= {name: tensor.cpu().numpy() for name, tensor in given.items() if not tensor.is_floating_point()}
    meant = NumpyProgram(graph, dtype="float64").run(rounded)["y"]
    largest = max(1.0, np.abs(meant[np.isfinite(meant)]).max(initial=0.0))
    found = result.double().cpu().numpy()
    np.testing.assert_allclose(found, meant, rtol=0, atol=4 * ROUNDING[dtype] * largest)


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_agree_with_the_reference(name: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = GRAPHS[name]()
    inputs = example_inputs(graph)
    mine, meant = TorchProgram(graph, dtype="float64", seed=5), NumpyProgram(graph, dtype="float64", seed=5)
    assert list(mine.parameters()) == list(meant.parameters())
    for address, array in meant.parameters().items():
        np.testing.assert_array_equal(mine.parameters()[address], array)
    results = meant.run(inputs)
    for output, array in mine.run(inputs).items():
        np.testing.assert_allclose(array, results[output], rtol=1e-12, atol=1e-12)
    draw = np.random.default_rng(1)
    upstream = {name: draw.standard_normal(array.shape) for name, array in results.items() if array.dtype == "float64"}
    for found, wanted in zip(mine.gradients(inputs, upstream), meant.gradients(inputs, upstream), strict=True):
        assert found.keys() == wanted.keys()
        for address, array in wanted.items():
            np.testing.assert_allclose(found[address], array, rtol=1e-10, atol=1e-11, err_msg=address)


@pytest.mark.parametrize("relation", [ops.Lt, ops.Le, ops.Gt, ops.Ge, ops.Eq, ops.Ne], ids=lambda op: op.name)
def test_a_number_is_compared_from_either_side(relation: type[ops.Op]) -> None:
    from attndsl.backends.pytorch import TorchProgram

    b = GraphBuilder("sides")
    x, two = b.input("x", "float T"), b.constant(2.0)
    b.output("left", b.emit(relation(), two, x))
    b.output("right", b.emit(relation(), x, two))
    inputs, graph = {"x": np.array([1.0, 2.0, 3.0], np.float32)}, b.graph()
    meant = NumpyProgram(graph).run(inputs)
    for name, array in TorchProgram(graph).run(inputs).items():
        np.testing.assert_array_equal(array, meant[name], name)
