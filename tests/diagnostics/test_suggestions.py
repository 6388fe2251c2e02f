"""What an author may have meant, and for how many mistakes that is searched."""

from __future__ import annotations

import string
from itertools import product

import pytest

from attndsl.diagnostics import did_you_mean, few_suggestions, nearest
from attndsl.diagnostics.suggestions import LONGEST, MOST, SEARCHES, allowed_edits, edit_distance
from attndsl.elaborate import primitives
from attndsl.elaborate.files import standard_names

LIBRARY = sorted({*standard_names(), *primitives.names(), *primitives.CONSTANTS})

SLIPS = {
    "wdith": "width", "head": "heads", "tokns": "tokens", "atttention": "attention",  # letters
    "layernorm": "layer_norm", "LayerNorm": "layer_norm", "norm_layer": "layer_norm",  # another spelling
    "batch_size": "batch", "embed": "embedding", "norm": "layer_norm", "widths_of_all": "width",  # in part
}  # fmt: skip
STRANGERS = ["x", "ones", "nn", "residual", "pos", "valid", "q", "unrelated", "tokes_per_second"]
NAMES = ["layer_norm", "tokens", "heads", "width", "attention", "batch", "batches", "embedding", "none", "conv2d"]


@pytest.mark.parametrize(("name", "meant"), SLIPS.items())
def test_the_nearest_name_is_found(name: str, meant: str) -> None:
    assert nearest(name, NAMES) == meant


@pytest.mark.parametrize("name", STRANGERS)
def test_a_name_that_resembles_none_gets_no_suggestion(name: str) -> None:
    assert nearest(name, [*NAMES, "ones", "cos", "resize2d", "alibi", "k"]) is None


@pytest.mark.parametrize("name", LIBRARY)
def test_a_suggestion_is_close_and_never_the_name_itself(name: str) -> None:
    """Every name of the library, with one letter left out, put in, replaced or swapped: what is suggested differs from
    what was written, and is a known name that is at most so many letters away, or shares a whole word or beginning."""
    slips = {name, *(name[:i] + name[i + 1 :] for i in range(len(name)))}
    slips |= {name[:i] + name[i + 1 : i + 2] + name[i : i + 1] + name[i + 2 :] for i in range(len(name))}
    slips |= {name[:i] + letter + name[i + cut :] for i, cut, letter in product(range(len(name)), (0, 1), "zq")}
    for slip in slips:
        found = nearest(slip, LIBRARY)
        if found is None:
            continue
        assert found != slip
        assert found in LIBRARY
        near = edit_distance(slip, found, allowed_edits(slip, found)) is not None
        parts = set(slip.split("_")) & set(found.split("_"))
        assert near or parts or found.startswith(slip) or slip.replace("_", "") == found.replace("_", ""), (slip, found)


@pytest.mark.parametrize("name", [name for name in LIBRARY if len(name) > 4])
def test_a_slip_in_a_longer_name_is_found(name: str) -> None:
    for i in range(1, len(name)):
        slip = name[:i] + name[i + 1 :]
        if slip not in LIBRARY:
            assert nearest(slip, LIBRARY) is not None, slip


def test_the_distance_is_symmetric_and_counts_single_edits() -> None:
    words = ["width", "wdith", "witdh", "heads", "head", "", "a"]
    for a, b in product(words, words):
        assert edit_distance(a, b, 9) == edit_distance(b, a, 9)
        assert (edit_distance(a, b, 9) == 0) == (a == b)
    for letter in string.ascii_lowercase:
        assert edit_distance("attention", f"atten{letter}tion", 9) == 1
    assert edit_distance("wdith", "width", 1) == 1
    assert edit_distance("kitten", "sitting", 3) == 3
    assert edit_distance("kitten", "sitting", 2) is None


def test_it_is_found_among_very_many() -> None:
    names = [f"parameter_{number}" for number in range(10 * MOST)] + ["width", "tokens"]
    assert nearest("wdith", names) == "width"


def test_nobody_means_a_very_long_name() -> None:
    assert nearest("q" * 1000, ["q" * 999]) is None
    assert nearest("width", ["width" * LONGEST]) is None


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
        raise AssertionError("no search reads these")
        yield

    with few_suggestions():
        for _ in range(SEARCHES):
            did_you_mean("wdith", ["width"])
        assert did_you_mean("wdith", endless()) == ()
