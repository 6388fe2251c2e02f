"""What somebody may have meant, and for how many mistakes that is looked for."""

from __future__ import annotations

import pytest

from attndsl.diagnostics import did_you_mean, few_suggestions, nearest
from attndsl.diagnostics.suggestions import MOST, SEARCHES

SLIPS = [("wdith", "width"), ("head", "heads"), ("tokns", "tokens"), ("layernorm", "layer_norm"), ("x", None)]


@pytest.mark.parametrize(("name", "meant"), SLIPS)
def test_the_nearest_name_is_found(name: str, meant: str | None) -> None:
    assert nearest(name, ["layer_norm", "tokens", "heads", "width", "attention"]) == meant


def test_it_is_found_among_very_many() -> None:
    names = [f"parameter_{number}" for number in range(10 * MOST)] + ["width", "tokens"]
    assert nearest("wdith", names) == "width"
    assert nearest("parameter_77", names) == "parameter_77"


def test_nobody_means_a_name_of_a_thousand_letters() -> None:
    assert nearest("q" * 1000, ["q" * 999]) is None


def test_suggestions_come_to_an_end() -> None:
    def asked() -> list[tuple[str, ...]]:
        return [did_you_mean("wdith", ["width"]) for _ in range(SEARCHES + 5)]

    with few_suggestions():
        found = asked()
        with few_suggestions():  # one inside another adds nothing
            assert did_you_mean("wdith", ["width"]) == ()
    assert found == [("did you mean `width`?",)] * SEARCHES + [()] * 5
    assert all(asked())


def test_candidates_are_not_even_looked_up_then() -> None:
    def endless():
        raise AssertionError("nobody reads these")
        yield

    with few_suggestions():
        for _ in range(SEARCHES):
            did_you_mean("wdith", ["width"])
        assert did_you_mean("wdith", endless()) == ()
