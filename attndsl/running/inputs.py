"""What a model is given: checked against its declarations before anything runs, or made up for a trial."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import AttnError, Diagnostic, Label, did_you_mean, error
from attndsl.graph import Bound, Graph, InputInfo
from attndsl.lazy import np
from attndsl.ops.arrays import generator
from attndsl.running.misfit import another_order, in_order, misfit
from attndsl.sizes import Size, solve
from attndsl.sizes.constraints import RELATIONS

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

KINDS = {"float": "f", "float32": "f", "int": "iu", "bool": "b"}
"""The kinds of NumPy's dtypes that a dtype of the language takes."""


def as_arrays(graph: Graph, inputs: object) -> dict[str, Array]:
    """What Python has (lists, tensors, arrays) as arrays by the names of the inputs. Raises E0802 for what is not:
    rows of several lengths; E0803 where there are no names."""
    if not isinstance(inputs, Mapping):
        names = ", ".join(f'"{info.name}": …' for info in graph.inputs if not info.optional)
        raise error(
            "E0803", f"the inputs are given by name, but this is a {type(inputs).__name__}",
            help=f"give them as `{{{names}}}`",
        )  # fmt: skip
    declared, found = {info.name: info for info in graph.inputs}, {}
    for name, given in inputs.items():
        try:
            found[name] = np.asarray(_on_the_host(given) if hasattr(given, "detach") else given)
        except (ValueError, TypeError):
            info = declared.get(name)
            shown = f" `{info.value.type}`" if info else ""
            raise error(
                "E0802", f"`{name}` is not an array{shown}", info.span if info else None,
                help="give all rows one length: fill the shorter ones, and say with a mask where they end",
            ) from None  # fmt: skip
    return found


def _on_the_host(tensor: Any) -> Any:
    """A tensor as NumPy can read it, which has no bfloat16."""
    tensor = tensor.detach().cpu()
    return tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor


def check_inputs(graph: Graph, arrays: Mapping[str, Array]) -> dict[str, int]:
    """What `check_shapes` gives and raises, and E0801 for a value out of its declared range."""
    sizes = check_shapes(graph, arrays)
    given = [(info, np.asarray(arrays[info.name])) for info in graph.inputs if info.name in arrays]
    mistakes = [wrong for info, array in given for wrong in _values(info, array, sizes)]
    if mistakes:
        raise AttnError(*mistakes)
    return sizes


def check_shapes(graph: Graph, arrays: Mapping[str, Array], *, rules: bool = True) -> dict[str, int]:
    """The value of every size, those of the hyperparameters and those that the arrays' shapes bind; their values are
    not looked at. Without `rules` the constraints are not either: whoever goes on with states has seen to them.

    Raises `AttnError` with every mistake found: a name that is unknown or missing (E0803), a rank, dtype or length
    that does not fit (E0802), a constraint that the sizes break (its own code, with the message of the checker).
    """
    declared = {info.name: info for info in graph.inputs}
    mistakes = [_unknown(name, declared) for name in arrays if name not in declared]
    mistakes += [_missing(info) for info in graph.own_inputs if not info.optional and info.name not in arrays]
    given = {info.name: (info, np.asarray(arrays[info.name])) for info in graph.inputs if info.name in arrays}
    mistakes += [wrong for info, array in given.values() for wrong in _kind(info, array)]
    if mistakes:
        raise AttnError(*mistakes)
    sizes, mistakes = _bind(graph, given)
    mistakes += [rule.failure(sizes) for rule in graph.constraints if rules and rule.holds(sizes) is False]
    if mistakes:
        raise AttnError(*mistakes)
    return sizes


def _label(info: InputInfo) -> Label | None:
    return Label(info.span, "declared here") if info.span else None


def _missing(info: InputInfo) -> Diagnostic:
    way = f"give it, or declare it `{info.value.type} optional` if there are outputs that do without it"
    return Diagnostic(
        "E0803",
        f"the input `{info.name}` is missing",
        _label(info),
        notes=(f"it is `{info.value.type}`",),
        helps=(way,),
    )


def _unknown(name: str, declared: Mapping[str, InputInfo]) -> Diagnostic:
    names = ", ".join(f"`{known}`" for known in declared) or "none"
    return Diagnostic(
        "E0803", f"there is no input `{name}`", notes=(f"the inputs are {names}",), helps=did_you_mean(name, declared)
    )


def _kind(info: InputInfo, array: Array) -> Iterator[Diagnostic]:
    type = info.value.type
    if array.ndim != type.rank:
        message = f"`{info.name}` has {array.ndim} axes, but `{type}` has {type.rank}"
        ways = ("`array[None]` puts an axis in front: a batch of one",) if array.ndim == type.rank - 1 else ()
        yield Diagnostic("E0802", message, _label(info), notes=(f"its shape is {list(array.shape)}",), helps=ways)
    if array.dtype.kind not in KINDS[type.dtype]:
        help = f"convert it first: `array.astype({type.dtype!r})`"
        yield Diagnostic(
            "E0802", f"`{info.name}` holds {array.dtype}, but is declared as `{type}`", _label(info), helps=(help,)
        )


# ---------------------------------------------------------------- sizes


def _bind(graph: Graph, given: Mapping[str, tuple[InputInfo, Array]]) -> tuple[dict[str, int], list[Diagnostic]]:
    """The sizes that the shapes bind, found by solving each axis for its one unknown, and what does not fit."""
    sizes = dict(graph.sizes)
    binders: dict[str, str] = {}  # which input bound a size, for the message
    waiting = [
        (info, at, axis.size, array.shape[at])
        for info, array in given.values()
        for at, axis in enumerate(info.value.type.axes)
    ]
    wrong: dict[str, list[Diagnostic]] = {}
    progress = True
    while waiting and progress:
        progress, later = False, []
        for item in waiting:
            info, at, size, length = item
            unknown = size.symbols - sizes.keys()
            if len(unknown) > 1:
                later.append(item)
                continue
            name = next(iter(unknown), None)
            if name is not None:
                found = _solved(size, length, name, sizes)
                if found is None:
                    later.append(item)
                    continue
                sizes[name], binders[name] = found, info.name
            progress = True
            if size.known(sizes) != length or (name is not None and sizes[name] < 0):
                wrong.setdefault(info.name, []).append(misfit(info, at, length, sizes, binders, name))
        waiting = later
    mistakes: list[Diagnostic] = []
    for key, found_wrong in wrong.items():
        info, array = given[key]
        elsewhere = {name: value for name, value in sizes.items() if binders.get(name) != key}
        order = another_order(info, array.shape, elsewhere)
        mistakes += [in_order(info, array.shape, order)] if order is not None else found_wrong
    for info, at, size, length in waiting:
        names = ", ".join(f"`{name}`" for name in sorted(size.symbols - sizes.keys()))
        message = f"`{info.name}` is {length} long along `{size}`, which does not say what {names} is"
        mistakes.append(Diagnostic("E0802", message, _label(info), notes=(f"axis {at + 1} of `{info.value.type}`",)))
    return sizes, mistakes


def _solved(size: Size, length: int, unknown: str, sizes: Mapping[str, int]) -> int | None:
    known = {name: Size.of(sizes[name]) for name in size.symbols if name in sizes}
    solution = solve(size.substitute(known), Size.of(length), unknown)
    if solution is None or solution.constant is None:
        return None
    value = solution.constant
    return value.numerator // value.denominator  # where it is not a whole number, the comparison that follows says so


def chosen_outputs(graph: Graph, outputs: Sequence[str] | None, inputs: Mapping[str, Array]) -> tuple[str, ...]:
    """The outputs to compute: all that the given inputs allow, if `outputs` is None. The states always are among them.
    E0803 for one that does not exist or lacks an input."""
    declared = {info.name: info for info in graph.own_outputs}
    if outputs is None:
        outputs = [name for name, info in declared.items() if info.needs <= inputs.keys()]
    outputs = [name for name in outputs if name not in graph.state_names]
    for name in outputs:
        if name not in declared:
            raise error("E0803", f"there is no output `{name}`", help=did_you_mean(name, declared))
        info = declared[name]
        for missing in sorted(info.needs - inputs.keys()):
            raise error("E0803", f"the output `{name}` needs the input `{missing}`, which is not given", info.span)
    return (*outputs, *graph.state_names)


# ---------------------------------------------------------------- values


def _values(info: InputInfo, array: Array, sizes: Mapping[str, int]) -> Iterator[Diagnostic]:
    from_zero = not any(bound.relation in (">", ">=", "==") for bound in info.bounds)  # no other lower bound is written
    for bound in info.bounds:
        limit = bound.limit.exact(sizes)
        wrong = ~RELATIONS[bound.relation](array, int(limit) if limit.denominator == 1 else float(limit))
        if from_zero:
            wrong |= array < 0
        if wrong.any():
            yield _out_of_range(info, array, bound, tuple(int(i) for i in np.argwhere(wrong)[0]), sizes)


def _out_of_range(
    info: InputInfo, array: Array, bound: Bound, place: tuple[int, ...], sizes: Mapping[str, int]
) -> Diagnostic:
    value, limit = array[place].item(), str(bound.limit)
    at = f"[{', '.join(map(str, place))}]" if place else ""
    now = "" if limit.isdigit() else f" ({bound.limit.exact(sizes)})"
    range = f"it must be {bound.relation} `{limit}`{now}"
    if value < 0 and bound.relation in ("<", "<="):
        range += " and not negative"
    label = Label(bound.span, f"required here, of `{info.name}`")
    return Diagnostic("E0801", f"`{info.name}{at}` is {value}, and {range}", label)


# ---------------------------------------------------------------- examples


def example_inputs(graph: Graph, sizes: Mapping[str, int] | None = None, seed: int = 0) -> dict[str, Array]:
    """Arrays for every input, optional ones too, and no states: ints within their bounds, bools mostly True (no row all
    False), floats normal; drawn by (seed, name). Free sizes that are not given are small: 2 for `B`, else at most 16,
    as large as the constraints allow. Raises what `check_inputs` raises where the sizes break a constraint (E0803 for
    a size that is not free).
    """
    values = example_sizes(graph, sizes or {})
    arrays = {info.name: _example(info, values, generator("example", seed, info.name)) for info in graph.own_inputs}
    check_inputs(graph, arrays)
    return arrays


def example_sizes(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """All sizes: the hyperparameters', those given, and small ones for the rest."""
    free = graph.free_sizes
    for name, value in sizes.items():
        if name not in free:
            shown = ", ".join(f"`{known}`" for known in free) or "none"
            helps = (
                (f"`--set {name}={value}` sets a hyperparameter",) if name in graph.sizes else did_you_mean(name, free)
            )
            message = f"`{name}` is not a size that the inputs bind"
            raise AttnError(Diagnostic("E0803", message, notes=(f"these are {shown}",), helps=helps))
        if not isinstance(value, (int, np.integer)):
            raise AttnError(Diagnostic("E0802", f"the size `{name}` is `{value}`, but a size is a whole number"))
        if value < 0:
            raise AttnError(Diagnostic("E0802", f"the size `{name}` is {value}; it must not be negative"))
    values = {**graph.sizes, **sizes}

    def broken() -> list[Diagnostic]:
        return [rule.failure(values) for rule in graph.constraints if rule.holds(values) is False]

    if mistakes := broken():
        raise AttnError(*mistakes)
    rest = [name for name in free if name not in sizes]

    def search(at: int) -> bool:
        if at == len(rest):
            return True
        first = 2 if rest[at] == "B" else 16
        for value in (*range(first, 0, -1), *range(first + 1, 17), 0):
            values[rest[at]] = value
            if not broken() and search(at + 1):
                return True
        del values[rest[at]]
        return False

    if not search(0):
        values.update({name: 2 if name == "B" else 16 for name in rest})
        raise AttnError(*broken())
    return values


def _floats(info: InputInfo, shape: tuple[int, ...], sizes: Mapping[str, int], draw: numpy.random.Generator) -> Array:
    """Normal numbers; even ones between two bounds, and as far as normal ones from a single bound."""
    limits = [(bound.relation, float(bound.limit.exact(sizes))) for bound in info.bounds]
    low = max((limit for relation, limit in limits if relation in (">", ">=", "==")), default=None)
    high = min((limit for relation, limit in limits if relation in ("<", "<=", "==")), default=None)
    if low is not None and high is not None:
        return draw.uniform(low, high, shape)
    normal = draw.standard_normal(shape, np.float32)
    if low is not None:
        return np.asarray(low + abs(normal))
    return normal if high is None else np.asarray(high - abs(normal))


def _example(info: InputInfo, sizes: Mapping[str, int], draw: numpy.random.Generator) -> Array:
    type = info.value.type
    shape = type.shape(sizes)
    if type.is_float:
        return np.asarray(_floats(info, shape, sizes, draw), np.float32)
    if type.dtype == "bool":
        flags = np.asarray(draw.random(shape) < 0.85)
        if flags.ndim and flags.shape[-1]:
            flags[..., 0] = True
        return flags
    lows, ends = [0], []
    for bound in info.bounds:
        limit = bound.limit.exact(sizes)
        if bound.relation == "<":
            ends.append(math.ceil(limit))
        elif bound.relation in ("<=", "=="):
            ends.append(math.floor(limit) + 1)
        if bound.relation == ">":
            lows.append(math.floor(limit) + 1)
        elif bound.relation in (">=", "=="):
            lows.append(math.ceil(limit))
    low = max(lows)
    return np.asarray(draw.integers(low, max(min(ends, default=low + 16), low + 1), shape))
