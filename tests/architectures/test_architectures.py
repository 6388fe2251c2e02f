"""Architectures that are not shipped, each a page in the language, against an independent computation.

To add one: `NAME.attn` in this folder, and `NAME.py` beside it that defines `FAMILIES` as those of `tests.parity` do.
Outputs, the loss and the gradients of every parameter are compared on every backend, with and without passes, in both
precisions; and each is drawn.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.parity.harness import ALLOWED, BACKENDS, Family, Trial

pytestmark = [pytest.mark.torch, pytest.mark.oracle]

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.attn") if path.with_suffix(".py").exists())
FAMILIES: list[Family] = [
    family for name in NAMES for family in importlib.import_module(f"tests.architectures.{name}").FAMILIES
]
TRIALS = [(family, config) for family in FAMILIES for config in family.configs]


@pytest.fixture(scope="module")
def trials() -> dict[tuple[str, str], Trial]:
    return {}


@pytest.mark.parametrize("dtype", ALLOWED)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("family", "config"), TRIALS, ids=[f"{family.name}: {config}" for family, config in TRIALS])
def test_outputs_loss_and_gradients_agree(
    family: Family, config: str, backend: str, dtype: str, trials: dict[tuple[str, str], Trial],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    key = family.name, config
    if key not in trials:
        trials[key] = Trial(family, family.configs[config], tmp_path_factory.mktemp("architecture"))
    beyond = trials[key].differences(backend, dtype).beyond(ALLOWED[dtype])
    assert not beyond, f"{backend} in {dtype} differs:\n" + "\n".join(beyond)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_it_is_a_page_that_is_drawn(family: Family) -> None:
    from attndsl.drawing import draw
    from attndsl.elaborate import load

    path = Path(family.spec)
    assert len(path.read_text(encoding="utf-8").splitlines()) < 120
    assert "->" in draw(load(str(path)), depth=2)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.auto], ids=lambda family: family.name)
def test_it_goes_back(family: Family, tmp_path: Path) -> None:
    """Exported again, the published module reads all of it, and has the same parameters."""
    from attndsl.weights import export_huggingface

    trial = Trial(family, next(iter(family.configs.values())), tmp_path)
    export_huggingface(tmp_path / "out", trial.graph, trial.arrays, trial.section)
    again, said = family.reload(trial.oracle, tmp_path / "out")
    assert not any(said.values())
    for name, array in trial.oracle.state_dict().items():
        assert array.equal(again.state_dict()[name]), name
