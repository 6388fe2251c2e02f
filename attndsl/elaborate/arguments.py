"""What calls give a block, a mask or a bias: sorted by the parameters that it is for.

Not everything needs to be given at once. What is given stays with the value (`Arguments`), compile-time values and
tensors alike, and a later call adds to it: `rms_norm(eps=1e-5)`, `window(128)`, `adaptive(by=condition)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.diagnostics import AttnError, Label, Span, did_you_mean, error
from attndsl.elaborate.elsewhere import option_advice
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.tensors import lift
from attndsl.elaborate.values import Arguments, Evaluated, Several, describe, lacking
from attndsl.graph import Initializer, Value
from attndsl.syntax import tree
from attndsl.values import Nothing


def given_at(
    declared: tree.Declared, earlier: Arguments, positional: Sequence[Evaluated], keywords: Mapping[str, Evaluated],
    frame: Frame, call: Span,
) -> Arguments:  # fmt: skip
    """What was given `earlier`, and what this call gives. Compile-time values go to the hyperparameters and tensors to
    the tensors, each in order. Tensors that a later call gives by position stand before those of an earlier one, so
    that with `f = b(c)`, `x |> f` is `x |> b(c)`.

    Raises E0102 for a name that no parameter has, E0104 for one value too many, or a tensor that had to be known at
    compile time, E0107 for a tensor that is given again.
    """
    hyper, tensors = dict(earlier.settings), dict(earlier.tensors)
    for name, value in keywords.items():
        parameter = next((p for p in declared.parameters if p.name.text == name), None)
        if parameter is None:
            raise _unknown(declared, name, value, call, frame)
        if parameter.type is None:
            hyper[name] = _known(declared, parameter, value)
        elif name in tensors:
            raise error(
                "E0107",
                f"`{name}` of `{declared.name.text}` is given twice",
                value.span,
                other=Label(tensors[name].span, "given here already"),
                help="leave one of them out",
            )
        elif not (isinstance(value.value, Nothing) and parameter.is_optional):
            tensors[name] = value if _fills(declared, value) else lift(value, frame)
    for value in positional:
        if isinstance(value.value, Several):
            raise error("E0113", f"this gives {len(value.value.values)} results where one is needed", value.span)
    positional = [each for value in positional for each in value.each]
    free = [p for p in declared.hyperparameters if p.name.text not in hyper]
    given = [isinstance(a.value, Value) or _fills(declared, a) for a in positional]
    numbers = [a for a, is_tensor in zip(positional, given, strict=True) if not is_tensor]
    hyper.update({p.name.text: a for p, a in zip(free, numbers, strict=False)})
    waiting = (*(a for a, is_tensor in zip(positional, given, strict=True) if is_tensor), *earlier.waiting)
    unfilled = [p for p in declared.tensors if p.name.text not in tensors]
    if not declared.tensors and waiting and free[len(numbers) :]:
        _known(declared, free[len(numbers)], waiting[0])
    _fit(declared, numbers, len(free), "hyperparameter", len(declared.hyperparameters))
    if len(waiting) > len(unfilled):
        _applied_already(declared, free[len(numbers) :], waiting)
    _fit(declared, waiting, len(unfilled), "tensor", len(declared.tensors))
    return Arguments(hyper, tensors, waiting)


def _unknown(declared: tree.Declared, name: str, value: Evaluated, call: Span, frame: Frame) -> AttnError:
    names = [p.name.text for p in declared.parameters]
    return error(
        "E0102",
        f"`{declared.name.text}` has no argument `{name}`",
        value.span,
        other=Label(declared.name.span, "declared here"),
        help=option_advice(call, name, frame)
        or did_you_mean(name, names)
        or (f"it takes {', '.join(names)}" if names else "it takes none",),
    )


def _as_tensor(declared: tree.Declared, parameter: tree.Parameter, value: Evaluated) -> str | tuple[str, ...]:
    """What to write where a tensor is given for a hyperparameter."""
    if value.value.type.dtype == "bool":  # type: ignore[union-attr]
        return f"the mask of such keys is `keys({value.span.text})`"
    if isinstance(declared, tree.Block) and not declared.tensors:
        return f"a block takes a tensor with its type: `block {declared.name.text}({parameter.name.text}: [*]) -> [*]`"
    if parameter.is_optional:
        return f"where it takes a list of tensors, write `{parameter.name.text}=[{value.span.text}]`"
    return ()


def _known(declared: tree.Declared, parameter: tree.Parameter, value: Evaluated) -> Evaluated:
    """The value of a hyperparameter; raises E0104 where it is a tensor."""
    if isinstance(value.value, Value):
        raise error(
            "E0104",
            f"`{parameter.name.text}` of `{declared.name.text}` must be known at compile time, but this is "
            f"{describe(value.value)}",
            value.span,
            other=Label(parameter.span, "declared here"),
            help=_as_tensor(declared, parameter, value),
        )
    return value


def _fills(declared: tree.Declared, value: Evaluated) -> bool:
    """Whether this is an initialiser for a block that takes tensors of any axes, which may be applied to it as well."""
    types = [p.type for p in declared.tensors if p.type is not None]
    anything = all(type.dtype is None and [t.is_rest for t in type.axes.terms] == [True] for type in types)
    return isinstance(value.value, Initializer) and bool(types) and anything


def _fit(declared: tree.Declared, given: Sequence[Evaluated], room: int, what: str, total: int) -> None:
    if len(given) > room:
        raise error(
            "E0104",
            f"`{declared.name.text}` takes {total or 'no'} {what}{'s' if total != 1 else ''}",
            given[room].span,
            f"one too many: {describe(given[room].value)}",
            other=Label(declared.name.span, "declared here"),
            help=_second_list(declared)
            if what == "tensor" and isinstance(declared, tree.Block) and not total
            else f"it takes {', '.join(f'`{p.name.text}`' for p in declared.parameters) or 'none'}",
        )


def _applied_already(declared: tree.Declared, free: Sequence[tree.Parameter], tensors: Sequence[Evaluated]) -> None:
    """Raises E0104 where a call that made a tensor stands in the place of a block, as `attention(2, memory)` in
    `residual(attention(2, memory))`."""
    lacks = next((p for p in free if p.default is None), None)
    call = next((t for t in tensors if isinstance(t.expression, tree.Call)), None)
    if lacks is None or call is None:
        return
    raise error(
        "E0104",
        f"`{declared.name.text}` needs `{lacks.name.text}`, and this call has all its tensors already",
        call.span,
        str(call.type),
        other=Label(lacks.span, "declared here"),
        help="to give a block that keeps a tensor, give that by its name, as in `attention(2, memory=y)`",
    )


def _second_list(block: tree.Block) -> str:
    """What to write instead of `block sw(x) { … }`, whose one list is that of the hyperparameters."""
    names = ", ".join(f"{p.name.text}: [*]" for p in block.hyperparameters if p.default is None) or "x: [*]"
    return (
        f"tensors are declared in a second list, with their types: `block {block.name.text}()({names}) -> [*] {{ … }}`"
    )


def require_all(declared: tree.Declared, given: Arguments, span: Span, frame: Frame) -> None:
    """Raises E0103 where an argument that has no default is not given."""
    for parameter in lacking(declared, given):
        name, own = declared.name.text, parameter.name.text
        what = "" if parameter.type is None else "the tensor "
        raise error(
            "E0103",
            f"`{name}` needs {what}`{own}`",
            span,
            other=Label(parameter.span, "declared here"),
            help=f"give it by its name: `{name}(…, {own}={_own(declared, own, given, frame)})`",
        )


def _own(declared: tree.Declared, name: str, given: Arguments, frame: Frame) -> str:
    """What the argument `name` would be: the author's own value of that name, or the axis that a tensor has where the
    signature has that name."""
    if frame.viewpoint.in_user_file and frame.lookup(name) is not None:
        return name
    for parameter, value in zip(declared.tensors, (*given.tensors.values(), *given.waiting), strict=False):
        terms = parameter.type.axes.terms if parameter.type is not None else ()
        if terms and isinstance(terms[-1].size, tree.Name) and terms[-1].size.text == name and value.type.axes:
            return value.type.axes[-1].name
    return "…"
