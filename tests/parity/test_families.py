"""Every family of `tests/parity/families` against its published implementation; `harness` says what is compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attndsl.elaborate import elaborate, load
from attndsl.weights import export_huggingface, load_weights
from tests.parity.harness import (
    ALLOWED,
    COMPARED,
    NOISE_OF_PUBLISHED,
    Family,
    Published,
    Trial,
    empty_oracle,
    families,
    largest_difference,
    published_settings,
    tensors_of,
)

pytestmark = [pytest.mark.torch, pytest.mark.oracle]

FAMILIES = families()


def configurations(wanted: Callable[[Family], bool]) -> pytest.MarkDecorator:
    """The trials of the families that have something, one trial per configuration whatever is asked of it."""
    found = [(family, name) for family in FAMILIES if wanted(family) for name in family.configs]
    return pytest.mark.parametrize("trial", found, indirect=True, ids=[f"{family}: {name}" for family, name in found])


@pytest.fixture(scope="module")
def trials() -> dict[tuple[str, str], Trial]:
    return {}


@pytest.fixture
def trial(
    request: pytest.FixtureRequest, trials: dict[tuple[str, str], Trial], tmp_path_factory: pytest.TempPathFactory
) -> Trial:
    family, name = request.param
    key = (family.name, name)
    if key not in trials:
        trials[key] = Trial(family, family.configs[name], tmp_path_factory.mktemp(family.name))
    return trials[key]


def assert_agrees(trial: Trial, backend: str, dtype: str) -> None:
    beyond = trial.differences(backend, dtype).beyond(ALLOWED[dtype])
    assert not beyond, f"{backend} in {dtype} differs:\n" + "\n".join(beyond)


def test_families_have_names_of_their_own() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)


@configurations(lambda family: True)
@pytest.mark.parametrize(("backend", "dtype"), COMPARED)
def test_outputs_loss_and_gradients_agree(trial: Trial, backend: str, dtype: str) -> None:
    assert_agrees(trial, backend, dtype)


@configurations(lambda family: True)
def test_exported_again_the_oracle_loads_it(trial: Trial) -> None:
    """Nothing missing, nothing left over; every tensor is the one that was saved, and every answer the same."""
    import torch
    import transformers

    place = trial.folder / "ours"
    export_huggingface(place, trial.graph, trial.arrays, trial.section)
    back, info = trial.family.reload(trial.oracle, place)
    assert not any(info.values()), info
    if trial.family.auto is not None:
        assert type(getattr(transformers, trial.family.auto).from_pretrained(place)) is type(trial.oracle)
    before, after = map(trial.family.canonical, (trial.oracle.state_dict(), back.eval().state_dict()))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name
    for name, batch in trial.batches.items():
        with torch.no_grad():
            found = trial.family.ask(back, tensors_of(batch, "float32"))
        for output, value in found.items():
            right, counted = trial.theirs("float32")[name].outputs[output], trial.family.counted(batch).get(output)
            assert largest_difference(value.numpy(), right, counted) < ALLOWED["float32"], (name, output)


@configurations(lambda family: bool(family.hub))
def test_the_hubs_own_layouts_are_the_same_parameters(trial: Trial) -> None:
    for name, layout in trial.family.hub.items():
        place = trial.write(name, *layout(*trial.saved_tensors()))
        graph = elaborate(trial.spec, trial.settings(place))
        assert graph.hyperparameters == trial.graph.hyperparameters
        arrays = load_weights(place, graph, trial.sections)
        assert arrays.keys() == trial.arrays.keys()
        for address, array in arrays.items():
            np.testing.assert_array_equal(array, trial.arrays[address], address)


@configurations(lambda family: family.defaults is not None)
def test_optional_inputs_left_out_mean_their_defaults(trial: Trial) -> None:
    program = trial.program("numpy", "float64")
    assert trial.family.defaults is not None
    for batch in trial.batches.values():
        defaults = trial.family.defaults(trial.config, batch)
        given = program.run({**batch, **defaults})
        left_out = program.run({name: array for name, array in batch.items() if name not in defaults})
        assert given.keys() == left_out.keys()
        for output, array in given.items():
            np.testing.assert_array_equal(left_out[output], array, output)


@pytest.mark.parametrize(
    ("family", "published"),
    [pytest.param(f, p, id=f"{f}: {p.variant or 'as the spec is'}") for f in FAMILIES for p in f.published],
)
def test_the_published_parameter_counts(family: Family, published: Published) -> None:
    """The oracle's, ours, and those of the hyperparameters that the published configuration comes to."""
    model = empty_oracle(family, published.config)
    assert family.count(model) == published.count, "the oracle's"
    graph = load(family.spec + (f":{published.variant}" if published.variant else ""), published.settings)
    assert graph.parameter_count == published.count, "ours"
    settings = published_settings(family, model)
    read = {name: value for name, value in settings.items() if isinstance(value, int)}
    assert read == {name: graph.hyperparameters[name] for name in read}, "read off the published configuration"


@pytest.mark.slow
@pytest.mark.parametrize("family", [f for f in FAMILIES if f.smallest is not None], ids=str)
def test_the_smallest_published_size_agrees(family: Family, tmp_path: Path) -> None:
    """Each backend and each precision once: all pairs agree at small sizes, and what is large is the same program."""
    trial = Trial(family, family.smallest, tmp_path, short=True, noise=NOISE_OF_PUBLISHED)
    assert_agrees(trial, "numpy", "float64")
    assert_agrees(trial, "torch", "float32")
