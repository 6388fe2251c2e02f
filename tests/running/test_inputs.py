"""What is checked of inputs before anything runs, and the inputs that are made up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.graph import Graph, InputInfo, Value
from attndsl.running.inputs import check_inputs, example_inputs
from attndsl.sizes import Constraint, Size
from tests.samples.graphs import GraphBuilder, decoder
from tests.samples.ops import size, typed
from tests.std.meaning import written


def graph_with(*types: str, **sizes: int) -> Graph:
    b = GraphBuilder("Given", **sizes)
    for i, type in enumerate(types):
        b.input(f"x{i}", type)
    return b.graph()


TOKENS = np.zeros((2, 5), np.int64)


def test_sizes_are_bound_by_the_shapes() -> None:
    sizes = check_inputs(decoder(), {"tokens": TOKENS})
    assert (sizes["B"], sizes["T"], sizes["vocab"]) == (2, 5, 11)


@pytest.mark.parametrize("order", [("float 2*N", "float N"), ("float N", "float 2*N"), ("float N*M", "float M")])
def test_sizes_are_solved_for(order: tuple[str, str]) -> None:
    graph = graph_with(*order)
    lengths = [12 if "*" in type else 6 if "M" not in type else 3 for type in order]
    sizes = check_inputs(graph, {f"x{i}": np.zeros(length) for i, length in enumerate(lengths)})
    assert sizes["N"] in (6, 4)


def mistakes(graph: Graph, **arrays: object) -> list[str]:
    with pytest.raises(AttnError) as problem:
        check_inputs(graph, {name: np.asarray(array) for name, array in arrays.items()})
    return [f"{d.code} {d.message}" for d in problem.value.diagnostics]


@pytest.mark.parametrize(
    ("shape", "message", "way"),
    [
        (
            (2, 3, 8, 6),
            "is 6 long along axis 4, `X*patch`, which is not a multiple of `patch` = 4",
            "4 and 8 would fit",
        ),
        ((2, 3, 3, 8), "is 3 long along axis 3, `Y*patch`, which is not a multiple of `patch` = 4", ": 4 would fit"),
        ((2, 1, 8, 8), "is 1 long along axis 2, `channels`, which is 3", "`channels=1`"),
        ((2, 8, 12, 3), "has its axes in another order: its shape is [2, 8, 12, 3]", "transpose(0, 3, 1, 2)"),
        ((3, 8, 8), "has 3 axes, but `float[B, channels, Y*patch, X*patch]` has 4", "`array[None]`"),
    ],
)
def test_pictures_that_do_not_fit(shape: tuple[int, ...], message: str, way: str) -> None:
    """Another size, another number of channels, channels last, no batch: what is wrong, and what to do."""
    graph = graph_with("float B channels Y*patch X*patch", channels=3, patch=4)
    assert check_inputs(graph, {"x0": np.zeros((2, 3, 8, 12))})["X"] == 3
    with pytest.raises(AttnError) as problem:
        check_inputs(graph, {"x0": np.zeros(shape)})
    (diagnostic,) = problem.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == ("E0802", f"`x0` {message}")
    assert way in diagnostic.helps[0]


def test_a_size_is_not_negative() -> None:
    graph = written("model M {\n input x0: [N + 3]\n output y = x0\n}\n")
    assert check_inputs(graph, {"x0": np.zeros(3)})["N"] == 0
    assert mistakes(graph, x0=np.zeros(2)) == ["E0802 `x0` is 2 long along axis 1, `N+3`, which is at least 3"]


def test_transposed_among_others() -> None:
    found = mistakes(decoder(), tokens=TOKENS, targets=TOKENS.T)
    assert found == ["E0802 `targets` has its axes in another order: its shape is [5, 2]"]


def test_refused() -> None:
    graph = decoder()
    assert mistakes(graph, tokens=TOKENS, target=TOKENS) == ["E0803 there is no input `target`"]
    assert mistakes(graph) == ["E0803 the input `tokens` is missing"]
    assert mistakes(graph, tokens=TOKENS[0]) == ["E0802 `tokens` has 1 axes, but `int[B, T]` has 2"]
    assert mistakes(graph, tokens=TOKENS * 1.0) == ["E0802 `tokens` holds float64, but is declared as `int[B, T]`"]
    assert mistakes(graph, tokens=TOKENS, targets=TOKENS[:, :4]) == [
        "E0802 `targets` is 4 long along axis 2, `T`, which is 5"
    ]
    assert mistakes(graph_with("float 2*N"), x0=np.zeros(5)) == [
        "E0802 `x0` is 5 long along axis 1, `2*N`, which is not a multiple of 2"
    ]
    assert mistakes(graph_with("float D", D=3), x0=np.zeros(5)) == [
        "E0802 `x0` is 5 long along axis 1, `D`, which is 3"
    ]
    assert mistakes(graph_with("float N*M"), x0=np.zeros(4)) == [
        "E0802 `x0` is 4 long along `M*N`, which does not say what `M`, `N` is"
    ]


def test_the_message_says_where_a_size_came_from() -> None:
    with pytest.raises(AttnError) as problem:
        check_inputs(decoder(), {"tokens": TOKENS, "targets": TOKENS[:, :4]})
    assert "T = 5, from the input `tokens`" in problem.value.diagnostics[0].notes


def test_several_mistakes_come_at_once() -> None:
    assert mistakes(decoder(), token=TOKENS, targets=TOKENS * 1.0) == [
        "E0803 there is no input `token`",
        "E0803 the input `tokens` is missing",
        "E0802 `targets` holds float64, but is declared as `int[B, T]`",
    ]
    with pytest.raises(AttnError) as problem:
        check_inputs(decoder(), {"token": TOKENS})
    assert problem.value.diagnostics[0].helps == ("did you mean `tokens`?",)


@pytest.mark.parametrize(("value", "said"), [(11, "is 11"), (-1, "is -1")])
def test_values_out_of_range(value: int, said: str) -> None:
    tokens = TOKENS.copy()
    tokens[1, 3] = value
    (message,) = mistakes(decoder(), tokens=tokens)
    assert message.startswith(f"E0801 `tokens[1, 3]` {said}, and it must be < `vocab` (11)")
    with pytest.raises(AttnError) as problem:
        check_inputs(decoder(), {"tokens": tokens})
    assert problem.value.diagnostics[0].primary is not None


def test_a_broken_constraint_says_what_the_checker_says() -> None:
    graph = decoder()
    values = {**graph.sizes, "B": 2, "T": 9}
    (rule,) = graph.constraints
    assert mistakes(graph, tokens=np.zeros((2, 9), int)) == [f"{rule.code} {rule.failure(values).message}"]


def test_examples() -> None:
    graph = decoder()
    arrays = example_inputs(graph, {"B": 3}, seed=1)
    assert arrays.keys() == {"tokens", "targets"}
    assert arrays["tokens"].shape == (3, 8)  # as long as the context allows
    assert arrays["tokens"].dtype == np.int64
    assert arrays["tokens"].min() >= 0
    assert 8 <= arrays["tokens"].max() < 11
    for name, array in example_inputs(graph, {"B": 3}, seed=1).items():
        np.testing.assert_array_equal(array, arrays[name])
    assert not np.array_equal(arrays["tokens"], example_inputs(graph, {"B": 3}, seed=2)["tokens"])
    assert not np.array_equal(arrays["tokens"], arrays["targets"])


def test_examples_of_each_dtype() -> None:
    graph = graph_with("float B N", "bool B N", "int N", "bool B")
    arrays = example_inputs(graph)
    assert [array.shape for array in arrays.values()] == [(2, 16), (2, 16), (16,), (2,)]
    assert arrays["x0"].dtype == np.float32
    assert 0.6 < arrays["x1"].mean() < 1
    assert arrays["x1"].any(axis=-1).all()


def test_example_sizes_follow_the_constraints() -> None:
    graph = graph_with("float N", "float M")
    place = GraphBuilder("x").place
    rules = (
        Constraint("<=", size("N") + size("M"), Size.of(10), place),
        Constraint("divides", size("N"), Size.of(3), place),
        Constraint(">", size("M"), size("N"), place),
    )
    graph = dataclasses.replace(graph, constraints=rules)
    lengths = [array.size for array in example_inputs(graph).values()]
    assert lengths == [3, 7]
    with pytest.raises(AttnError, match=r"`N` \(4\) is not divisible by 3"):
        example_inputs(graph, {"N": 4})


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"BB": 2}, "`BB` is not a size that the inputs bind"),
        ({"vocab": 2}, "`vocab` is not a size"),
        ({"B": -1}, "negative"),
    ],
)
def test_wrong_example_sizes(sizes: dict[str, int], words: str) -> None:
    with pytest.raises(AttnError) as problem:
        example_inputs(decoder(), sizes)
    assert words in problem.value.diagnostics[0].message


def test_scalars_and_empty_arrays_are_fine() -> None:
    graph = dataclasses.replace(graph_with(), inputs=(InputInfo("s", Value(typed("int"))),))
    assert check_inputs(graph, {"s": np.asarray(3)}) == {}
    assert check_inputs(decoder(), {"tokens": np.zeros((0, 5), int)})["B"] == 0
