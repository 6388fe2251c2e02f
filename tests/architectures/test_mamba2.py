"""What Mamba-2 starts from, as published: a from 1 to 16, steps from 0.001 to 0.1 evenly in their logarithm."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from attndsl.elaborate import load
from attndsl.running.initial import initial_parameters

SPEC = str(Path(__file__).with_name("mamba2.attn"))


def test_first_values() -> None:
    settings = {"width": 4, "depth": 3, "heads": 600, "head": 1, "state": 2, "groups": 1, "vocab": 5}
    found = dict(initial_parameters(load(SPEC, settings)))
    for h in range(3):
        a, step = np.exp(found[f"h.{h}.mixer.a"]), np.log1p(np.exp(found[f"h.{h}.mixer.step"].astype(float)))
        assert 1 <= a.min() < 1.5
        assert 15.5 < a.max() <= 16
        assert 0.001 * (1 - 1e-4) <= step.min() < 0.0012
        assert 0.09 < step.max() <= 0.1 * (1 + 1e-4)
        assert abs(np.log(step).mean() - np.log(0.01)) < 0.2
        assert (found[f"h.{h}.mixer.skip"] == 1).all()
        assert 0.45 < np.abs(found[f"h.{h}.mixer.conv.weight"]).max() <= 0.5
    assert not np.array_equal(found["h.0.mixer.step"], found["h.1.mixer.step"])
