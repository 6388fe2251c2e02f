"""A model that would repeat its bodies without end is refused before it runs, and checked, counted and drawn as any."""

from __future__ import annotations

import pytest

import attndsl
from attndsl.diagnostics import AttnError
from attndsl.running.rounds import MOST_ROUNDS

TEXT = """model M(n=2, m=1) {
  input x: [B]
  repeat h in n {
    repeat g in m {
      x = tanh(x)
    }
  }
  output y = x
}
"""


@pytest.mark.parametrize("settings", [{"n": 2**40}, {"n": 2**14, "m": 2**14}], ids=["long", "nested"])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_too_many_rounds_are_refused(backend: str, settings: dict[str, int]) -> None:
    model = attndsl.parse(TEXT, settings)
    assert model.inspect().totals is not None
    with pytest.raises(AttnError, match=r"E0813.*`M` has [\d,]+ iterations of repeats") as caught:
        model.run(backend=backend)
    assert f"at most {MOST_ROUNDS:,} can be run" in str(caught.value)


def test_others_are_run() -> None:
    assert attndsl.parse(TEXT, n=200, m=20).run({"x": [0.5]}, backend="numpy")["y"].shape == (1,)
