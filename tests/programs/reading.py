"""Read the texts of a program in pieces, and say where that is not what the program says of whole texts."""

from __future__ import annotations

import traceback

import numpy as np

import attndsl
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.graph.verify import verify
from attndsl.passes.incremental import derived
from attndsl.running.initial import initial_parameters
from attndsl.running.inputs import example_inputs
from attndsl.running.program import Program as Runs
from attndsl.verification.texts import Texts
from tests.programs.holding import apart
from tests.programs.writer import Program

REFUSED = "refused with a reason"


def reading_differences(program: Program, *, torch: bool = True, splits: int = 2) -> list[str]:
    """Every way in which texts that are read on by `program` are not what they are as a whole, in words; `REFUSED`
    alone where it cannot be read on. Each of the `splits` reads the same texts in other pieces."""
    try:
        graph = attndsl.parse(program.text).graph
        inputs = example_inputs(graph, program.sizes, seed=program.seed)
    except AttnError as problem:
        return [f"the checker refuses it: {problem}"]
    try:
        made = derived(graph)
    except AttnError as problem:
        codes = {found.code for found in problem.diagnostics}
        return [REFUSED] if codes == {"E0761"} else [f"said {problem}"]
    except Exception:
        return [f"crash: {traceback.format_exc()}"]
    draw = np.random.default_rng(program.seed)
    longest = program.sizes["T"]
    lengths = [longest, *(int(draw.integers(1, longest + 1)) for _ in range(program.sizes["B"] - 1))]
    parameters = dict(initial_parameters(graph, program.seed))
    try:
        verify(made.graph)
        texts = Texts(graph, made, inputs, lengths)
        expected = texts.whole(NumpyProgram(graph, dtype="float64", parameters=parameters))
    except AttnError:  # the program itself fails, of an int to a negative power
        return []
    except Exception:
        return [f"crash: {traceback.format_exc()}"]
    found: list[str] = []
    for name, make in _ways(torch).items():
        try:
            step = make(made.graph, dtype="float64", parameters=parameters)
            source = make(made.sources, dtype="float64", parameters=parameters) if made.sources else None
            for _ in range(splits):
                found += [f"{name}: {what}" for what in _unlike(texts, expected, step, source, draw)]
        except Exception:
            found.append(f"{name}: crash: {traceback.format_exc()}")
    return found


def _ways(torch: bool) -> dict[str, type]:
    ways: dict[str, type] = {"numpy": NumpyProgram}
    if torch:
        from attndsl.backends.pytorch import TorchProgram

        ways["torch"] = TorchProgram
    return ways


def _unlike(
    texts: Texts, expected: list[dict[str, np.ndarray]], step: Runs, source: Runs | None, draw: np.random.Generator
) -> list[str]:
    reader = texts.reader(step, source, int(draw.integers(1, max(texts.lengths) + 1)))
    for call, heard in enumerate(texts.read(reader, expected, draw)):
        for each in heard:
            if what := apart(each.output, each.expected, each.found):
                at = f"text {each.text} of {texts.lengths}, call {call} of {reader.segment} tokens, to the {each.end}th"
                return [f"{what}; {at}"]
    return []
