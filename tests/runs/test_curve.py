"""The loss curve, the log, and how long things take in words."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.runs.curve import HEIGHT, POINTS, WIDTH, loss_curve, smoothed, thinned, ticks
from attndsl.runs.log import cut_log, read_log
from attndsl.training.console import duration

CURVE = [(float(step), 10.0 / step + 1) for step in range(1, 200)]


def numbers(svg: str) -> list[str]:
    return [element.text or "" for element in xml.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_curve_has_title_axes_ticks_and_legend() -> None:
    svg = loss_curve("GPT <2> & more", CURVE, CURVE[::50])
    texts = numbers(svg)
    assert {"GPT <2> & more", "steps", "loss", "training", "held out", "100"} <= set(texts)
    assert svg == loss_curve("GPT <2> & more", CURVE, CURVE[::50])


@pytest.mark.parametrize(
    ("training", "held_out"),
    [([], []), ([(1.0, 3.0)], []), ([(1.0, 3.0), (2.0, 3.0)], [(2.0, 3.0)]), ([], [(1e6, 1e-9)]), (CURVE * 20, [])],
)
def test_any_curve_can_be_drawn(training: list[tuple[float, float]], held_out: list[tuple[float, float]]) -> None:
    for element in xml.fromstring(loss_curve("t", training, held_out)).iter():
        for name, size in (("cx", WIDTH), ("cy", HEIGHT), ("x", WIDTH), ("y", HEIGHT)):
            assert 0 <= float(element.get(name, 0)) <= size


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_round_and_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 9
    assert all(low - span <= value <= low + 2 * span for value in found)


def test_smoothing_keeps_a_straight_line_and_thinning_its_ends() -> None:
    line = [(float(x), 2.0 * x) for x in range(5000)]
    assert [y for _, y in smoothed(line)[50:-50]] == pytest.approx([y for _, y in line[50:-50]])
    assert abs(smoothed(line)[-1][1] - line[-1][1]) <= 50
    thin = thinned(line)
    assert len(thin) == POINTS
    assert (thin[0], thin[-1]) == (line[0], line[-1])


def test_a_log_is_cut_back_to_a_step(tmp_path: Path) -> None:
    lines = [
        '{"step": 1, "loss": 3.0}',
        '{"step": 2, "loss": 2.5}',
        '{"step": 2, "held_out": 2}',
        '{"step": 3, "loss": 1}',
        '{"st',
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    assert len(read_log(tmp_path)) == 4
    assert len(cut_log(tmp_path, 2)) == 3
    assert (tmp_path / "log.jsonl").read_text() == "\n".join(lines[:3]) + "\n"
    assert read_log(tmp_path / "nowhere") == []


@pytest.mark.parametrize(("seconds", "text"), [(7, "0:07"), (750.4, "12:30"), (10931, "3:02:11"), (-1, "0:00")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
