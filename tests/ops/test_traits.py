"""What is declared of an op holds on its samples, and is declared where it could be."""

from __future__ import annotations

import ast
import inspect
import itertools
from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference.blocks import Block, at, gradient
from attndsl.drawing.kinds import LOOKS
from attndsl.elaborate.called import READERS
from attndsl.ops import OPS, OUTPUT, SYMBOLS, Call, Constant, Op
from attndsl.records import fields
from attndsl.types import Axis, Type
from tests.samples.ops import SAMPLES, Sample

ALL = [sample for samples in SAMPLES.values() for sample in samples]
GRADIENTS = [s for s in ALL if s.op.differentiable and s.types and s.output.dtype == "float"]


def call(sample: Sample) -> Call:
    return Call(sample.types, sample.output, sample.sizes, "float64", training=True)


def value(sample: Sample, *arrays: np.ndarray, told: Call | None = None) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(sample.op.evaluate(told or call(sample), *arrays))


def spoilt(array: np.ndarray) -> np.ndarray:
    return np.full_like(array, np.nan if array.dtype.kind == "f" else 0)


def having(trait: str) -> list[object]:
    return [pytest.param(s, id=str(s)) for s in ALL if getattr(s.op, trait) not in (False, None)]


@pytest.mark.parametrize("needed", ["all", "first", "last"])
@pytest.mark.parametrize("sample", GRADIENTS, ids=str)
def test_gradients_read_only_what_is_kept(sample: Sample, needed: str) -> None:
    """What is not kept is overwritten with NaN, or with zeros if it is not a float: the gradients must not notice."""
    count = len(sample.types)
    wanted = {"all": (True,) * count, "first": (True, *(False,) * (count - 1)), "last": (*(False,) * (count - 1), True)}
    told = Call(sample.types, sample.output, sample.sizes, "float64", training=True, needed=wanted[needed])
    if not any(map(told.needs, range(count))):
        return
    arrays = sample.arrays("float64")
    output = value(sample, *arrays)
    upstream = np.random.default_rng(3).standard_normal(output.shape)
    with np.errstate(all="ignore"):
        expected = sample.op.gradient(told, upstream, output, *arrays)
        kept = sample.op.kept(tuple(map(told.needs, range(count))))
        spoiled = [
            a if i in kept else np.full_like(a, np.nan if a.dtype.kind == "f" else 0) for i, a in enumerate(arrays)
        ]
        result = output if OUTPUT in kept else spoilt(output)
        found = sample.op.gradient(told, upstream, result, *spoiled)
    for one, other in zip(expected, found, strict=True):
        if one is not None:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("sample", having("pointwise"))
def test_pointwise_ops_look_at_one_place(sample: Sample) -> None:
    """Each place alone gives what all of them together give."""
    arrays = sample.arrays("float64")
    whole = value(sample, *arrays)
    axes = sample.output.axes
    for place in itertools.islice(np.ndindex(whole.shape), 6):
        at = dict(zip(axes, place, strict=True))
        alone = [a[tuple(at[axis] for axis in t.axes)] for a, t in zip(arrays, sample.types, strict=True)]
        types = tuple(Type(t.dtype) for t in sample.types)
        told = Call(types, sample.op.infer(*types), sample.sizes, "float64")
        np.testing.assert_array_equal(value(sample, *map(np.asarray, alone), told=told), whole[place])


@pytest.mark.parametrize("sample", having("moves"))
def test_ops_that_move_make_no_elements(sample: Sample) -> None:
    arrays = sample.arrays("float64")
    there = {0.0}.union(*(array.ravel().tolist() for array in arrays))  # zeros are padding
    assert set(value(sample, *arrays).ravel().tolist()) <= there
    marked = [np.arange(1, a.size + 1).reshape(a.shape).astype(a.dtype) for a in arrays]
    assert value(sample, *marked).shape == value(sample, *arrays).shape


@pytest.mark.parametrize("sample", having("view"))
def test_views_share_memory_where_they_can(sample: Sample) -> None:
    array, *others = sample.arrays("float64")
    result = value(sample, array, *others)
    if result.ndim and result.size and (sample.op.name != "flatten" or result.ndim == array.ndim):
        assert np.shares_memory(result, array)


@pytest.mark.parametrize("sample", having("hands_on"))
def test_gradients_are_handed_on_as_they_are(sample: Sample) -> None:
    output = sample.output
    told = Call(sample.types, output, sample.sizes, "float64")
    arrays = sample.arrays("float64")
    result = value(sample, *arrays)
    if not output.is_float:
        return
    upstream = np.random.default_rng(3).standard_normal(result.shape)
    found = sample.op.gradient(told, upstream, result, *arrays)
    for given, each in zip(sample.types, found, strict=True):
        if given == output:
            np.testing.assert_array_equal(each, upstream)


@pytest.mark.parametrize("sample", having("commutative"))
def test_commutative_ops_commute(sample: Sample) -> None:
    left, right = sample.arrays("float64")
    turned = Sample(sample.op, sample.types[::-1], {}, sample.sizes)
    order = [turned.output.axes.index(axis) for axis in sample.output.axes]
    np.testing.assert_array_equal(value(sample, left, right), np.transpose(value(turned, right, left), order))


@pytest.mark.parametrize("sample", having("associative"))
def test_associative_ops_associate(sample: Sample) -> None:
    first = sample.types[0]
    same = Sample(sample.op, (first, first), {}, sample.sizes)
    if same.output != first:  # two bools make an int
        return
    a, b, c = (Sample(sample.op, (first, first), {}, sample.sizes, label=str(i)).arrays("float64")[0] for i in range(3))
    left, right = value(same, value(same, a, b), c), value(same, a, value(same, b, c))
    np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sample", having("identity"))
def test_identities_change_nothing(sample: Sample) -> None:
    neutral = Constant(sample.op.identity)
    left = sample.types[0]
    types = (left, neutral.infer())
    if sample.op.infer(*types) != left:  # an int divided by 1 is a float
        return
    array, told = sample.arrays("float64")[0], Call((), neutral.infer(), {})
    e = neutral.evaluate(told)
    plain = Sample(sample.op, types, {}, sample.sizes)
    np.testing.assert_array_equal(value(plain, array, e), array)
    if sample.op.commutative:
        turned = Sample(sample.op, types[::-1], {}, sample.sizes)
        np.testing.assert_array_equal(value(turned, e, array), array)


@pytest.mark.parametrize("sample", [s for s in ALL if s.op.mirrored() is not None], ids=str)
def test_mirrored_ops_give_the_same_the_other_way_round(sample: Sample) -> None:
    other = sample.op.mirrored()
    assert other is not None
    assert other.mirrored() == sample.op
    left, right = sample.arrays("float64")
    turned = Sample(other, sample.types[::-1], {}, sample.sizes)
    order = [turned.output.axes.index(axis) for axis in sample.output.axes]
    np.testing.assert_array_equal(value(sample, left, right), np.transpose(value(turned, right, left), order))


@pytest.mark.parametrize("sample", ALL, ids=str)
def test_what_draws_is_said(sample: Sample) -> None:
    """Another seed gives the same exactly where nothing is drawn."""
    arrays = sample.arrays("float64")
    told = [Call(sample.types, sample.output, sample.sizes, "float64", training=True, seed=seed) for seed in range(4)]
    first, *others = (value(sample, *arrays, told=each) for each in told)
    same = all(np.array_equal(first, other, equal_nan=True) for other in others)
    idle = first.size == 0 or getattr(sample.op, "p", 1) == 0
    assert same != (sample.op.draws and not idle)


@pytest.mark.parametrize("name", OPS)
def test_declarations_are_complete(name: str) -> None:
    """An op is written in some way, has a look, and its attributes can be read from a call."""
    op = OPS[name]
    assert op.role in {"none", *LOOKS}
    assert not (op.called and op.symbol)
    assert not op.symbol or SYMBOLS[op.symbol] is op
    if op.called:
        assert all(attribute.type in READERS for attribute in fields(op))
        assert not any(operand.endswith(("?", "*")) for operand in op.operands)
    if op.bodies or not op.operands:
        assert not op.pointwise


def test_who_has_no_gradient_gives_none() -> None:
    stopped: type[Op] = OPS["stop_gradient"]
    assert not stopped.differentiable
    assert not any(OPS[name].differentiable for name in ("eq", "and", "argmax", "one_hot", "floor"))


ROOT = Path(__file__).resolve().parents[2]
LISTS = {  # that name ops by text, and no fact about them
    "attndsl/elaborate/primitives.py": "those that are written in a form of their own",
    "attndsl/values/operators.py": "functions of compile-time numbers",
    "attndsl/values/number.py": "those whose results are sizes",
    "attndsl/masks/index.py": "what a mask's formulas are made of",
    "attndsl/elaborate/index_functions.py": "what combines index functions",
    "attndsl/habits/table.py": "what functions are called in other libraries",
    "attndsl/drawing/captions.py": "words in the names of blocks",
    "attndsl/highlighting/colours.py": "operators that are words of the grammar",
    "attndsl/typesetting/notation.py": "functions of sizes",
    "backends/pytorch/opened.py": "functions of compile-time numbers",
}


def _texts(node: ast.AST) -> list[str]:
    items = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
    return [item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def test_facts_about_ops_are_told_by_no_list_of_names() -> None:
    """Outside `attndsl.ops` nothing asks for an op's name, and no table is keyed by the names of three ops or more."""
    asking, listing = [], set()
    for top in (ROOT / "attndsl", ROOT / "backends"):
        for file in top.rglob("*.py"):
            place = file.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Compare) and ast.unparse(node.left).endswith(".op.name"):
                    asking.append(f"{place}: {ast.unparse(node)}")
                texts = _texts(node)
                known = [text for text in texts if text in OPS]
                if len(known) >= 3 and 2 * len(known) >= len(texts):
                    listing.add(place)
    assert not asking
    assert listing == set(LISTS)


def test_what_may_raise_an_error_says_so() -> None:
    """An op whose meaning raises E0801 or E0805 by itself or by a helper `fails`; what a size decides (`max` over
    nothing, a size that is divided by zero) is held by the constraints of a checked model."""
    said = {name for name, op in OPS.items() if op.fails}
    found = {
        name
        for name, op in OPS.items()
        if any(text in inspect.getsource(op) for text in ("in_range(", "_no_zero(", '"E0801"', '"E0805"'))
    }
    assert said == found - {"size_of"}


ROWS = [(s, t) for s in ALL for t in (False, True) if s.types and s.op.rows(s.output, training=t)]


@pytest.mark.parametrize(("sample", "training"), ROWS, ids=str)
def test_rows_are_computed_one_by_one(sample: Sample, training: bool) -> None:
    """Of each part of the operands the op makes that part of the result, and of the gradients that part or a summand;
    what is put together is the whole."""
    told = Call(sample.types, sample.output, sample.sizes, "float64", training=training)
    arrays = sample.arrays("float64")
    whole = value(sample, *arrays, told=told)
    axis = sample.op.rows(sample.output, training=training)[-1]
    pieces = [{axis: slice(i, i + 1)} for i in range(whole.shape[sample.output.index(axis)])]

    def part(array: np.ndarray, axes: tuple[Axis, ...], block: Block) -> np.ndarray:
        return array[at(block, axes)]

    for block in pieces:
        parts = [part(array, type.axes, block) for array, type in zip(arrays, sample.types, strict=True)]
        np.testing.assert_allclose(value(sample, *parts, told=told), part(whole, sample.output.axes, block), rtol=1e-13)
    if sample in GRADIENTS and pieces:
        upstream = np.random.default_rng(3).standard_normal(whole.shape)
        expected = sample.op.gradient(told, upstream, whole, *arrays)
        for one, other in zip(expected, gradient(sample.op, told, pieces, upstream, whole, arrays), strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_allclose(other, one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sample", having("contracts"))
def test_products_are_new_arrays(sample: Sample) -> None:
    arrays = sample.arrays("float64")
    assert not any(np.shares_memory(value(sample, *arrays), array) for array in arrays)


@pytest.mark.parametrize("sample", [s for s in ALL if s.op.linear and s.output.is_float], ids=str)
def test_ops_are_linear_in_what_they_name(sample: Sample) -> None:
    """The result for sums of operands is the sum of the results, the other operands being the same."""
    rng, fixed = np.random.default_rng(0), sample.arrays("float64")
    for together in sample.op.linear:
        moved = [i for i in together if i < len(fixed)]
        if not all(sample.types[i].is_float for i in moved):
            continue
        other = [rng.standard_normal(a.shape) if i in moved else a for i, a in enumerate(fixed)]
        both = [a + 2 * b if i in moved else a for i, (a, b) in enumerate(zip(fixed, other, strict=True))]
        wanted = value(sample, *fixed) + 2 * value(sample, *other)
        np.testing.assert_allclose(value(sample, *both), wanted, rtol=1e-9, atol=1e-12)
        assert sample.op.is_linear(moved)
