"""Hyperparameters: defaults, variants and overrides, checked by one set of rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from attndsl.diagnostics import AttnError, Diagnostic, Label, Source, Span, did_you_mean, error
from attndsl.elaborate.elsewhere import hyperparameter_advice
from attndsl.elaborate.frames import POISON, Frame, Poisoned
from attndsl.elaborate.kinds import kind
from attndsl.elaborate.spec import Spec
from attndsl.elaborate.values import (
    ArrowValue,
    Axes,
    CompileTimeValue,
    Several,
    as_list,
    describe,
    shown,
)
from attndsl.graph import Value
from attndsl.records import Frozen, fields, replace
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.values import List, Nothing, Number, Text, named, to_setting

Setting = str | int | float | bool | list[Any] | tuple[Any, ...]
"""A value from outside: text of the language, or what Python has for it."""


def bind_hyperparameters(spec: Spec, settings: Mapping[str, Setting], frame: Frame) -> dict[str, CompileTimeValue]:
    """Bind every hyperparameter of the model in `frame`: what `settings` say, else the variant, else the default. Each
    sees those before it.

    An integer one is a symbol of its own in sizes, whatever its value. Raises `AttnError` with every wrong setting.
    """
    problems: list[Diagnostic] = []
    values: dict[str, CompileTimeValue] = {}
    parameters = {p.name.text: p for p in spec.model.hyperparameters}
    given: dict[str, _Given] = {}
    if spec.variant is not None:
        given = {key: _Given(s.value, s.value.span) for key, s in _settings(spec, spec.variant)}
    for key, text in settings.items():
        if key not in parameters:
            problems += _unknown(spec, key, None).diagnostics
            continue
        try:
            given[key] = _override(key, _text(text, parameters[key].default))
        except AttnError as problem:
            problems += problem.diagnostics
    for name, parameter in parameters.items():
        try:
            values[name] = _bind(parameter, given.get(name), spec, frame)
        except AttnError as problem:
            problems += problem.diagnostics
            frame.bind(name, POISON, parameter.name.span)
        except Poisoned:
            frame.bind(name, POISON, parameter.name.span)
    if not problems:
        problems = _check_variants(spec, parameters, frame)
    if problems:
        raise AttnError(*problems)
    return values


class _Given(Frozen):
    """A setting's expression; `outside` is the text of a `--set`."""

    value: tree.Expr
    span: Span
    outside: str | None = None


def _settings(spec: Spec, variant: tree.Variant) -> Iterator[tuple[str, tree.Argument]]:
    names = {p.name.text for p in spec.model.hyperparameters}
    for setting in variant.settings:
        assert setting.name is not None
        if setting.name.text not in names:
            raise _unknown(spec, setting.name.text, setting.name.span)
        yield setting.name.text, setting


def _unknown(spec: Spec, name: str, span: Span | None) -> AttnError:
    names = [p.name.text for p in spec.model.hyperparameters]
    return error(
        "E0402",
        f"`{spec.model.name.text}` has no hyperparameter `{name}`",
        span,
        other=Label(spec.model.name.span, "the model"),
        help=hyperparameter_advice(name, names) or did_you_mean(name, names) or f"it has {', '.join(names)}",
    )


def _check_variants(spec: Spec, parameters: Mapping[str, tree.Parameter], frame: Frame) -> list[Diagnostic]:
    """What is wrong with the variants that were not asked for: names, and kinds of values."""
    problems: list[Diagnostic] = []
    for variant in spec.variants:
        if variant is spec.variant:
            continue
        try:
            for key, setting in _settings(spec, variant):
                problems += misfits(parameters[key], setting.value, frame)
        except AttnError as problem:
            problems += problem.diagnostics
    return problems


def misfits(parameter: tree.Parameter, written: tree.Expr, frame: Frame) -> tuple[Diagnostic, ...]:
    """What is wrong with a value for a hyperparameter, written somewhere in the spec: it is of the kind of the default,
    whatever was chosen instead of that."""
    try:
        value = frame.evaluate(written)
        if parameter.default is not None:
            default = frame.evaluate(parameter.default)
            _checked(parameter.name.text, value, default, _Given(written, written.span), parameter)
    except AttnError as problem:
        return problem.diagnostics
    return ()


def _text(value: Setting | None, default: tree.Expr | None) -> str:
    """A setting as the language writes it. A text is written in it already; in a list of texts it gets quotes."""
    if isinstance(value, (list, tuple)):
        elements = default.values or () if isinstance(default, tree.List) else ()
        of_texts = any(isinstance(element, tree.String) for element in elements)
        parts = (to_setting(Text(each)) if of_texts and isinstance(each, str) else _text(each, None) for each in value)
        return f"[{', '.join(map(str, parts))}]"
    if value is None or isinstance(value, bool):
        return "none" if value is None else "true" if value else "false"
    return str(value)


def _override(key: str, text: str) -> _Given:
    """`--set key=text`, read as an expression of the language."""
    before, typed = "variant M:set { ", f"{key}={text}"
    file, problems = parse(Source("--set", f"{before}{typed} }}\n"))
    variant = next((d for d in file.declarations if isinstance(d, tree.Variant)), None)
    if problems or variant is None or len(variant.settings) != 1 or not text.strip():
        raise error(
            "E0403",
            f"`{key}={text}` cannot be read",
            None,
            help="write a number, true, false, or a block or mask of the language",
        )
    source = Source("--set", typed)  # what was typed, and nothing round it, is what messages show
    value = _moved(variant.settings[0].value, source, -len(before))
    return _Given(value, Span(source, len(key) + 1, len(typed)), text)


def _moved(node: Any, source: Source, by: int) -> Any:
    """A copy of a tree in which every span lies in `source`, `by` characters further."""
    if isinstance(node, Span):
        return Span(source, node.start + by, node.end + by)
    if isinstance(node, tuple):
        return tuple(_moved(part, source, by) for part in node)
    if isinstance(node, tree.Tree):
        return replace(node, **{f.name: _moved(getattr(node, f.name), source, by) for f in fields(node) if f.init})
    return node


def _evaluated(given: _Given, default: CompileTimeValue | None, name: str, frame: Frame) -> CompileTimeValue:
    """The value of a setting. A `--set` that is to be a number and holds an unknown name is told what is wanted: names
    that are nearly the same would not help."""
    try:
        return frame.evaluate(given.value)
    except AttnError as problem:
        if given.outside is None or not isinstance(default, Number):
            raise
        way = f"give {kind(default)}: `--set {name}={_example(default)}`"
        reworded = (replace(d, helps=(way,)) if d.code == "E0101" else d for d in problem.diagnostics)
        raise AttnError(*reworded) from None


def _bind(parameter: tree.Parameter, given: _Given | None, spec: Spec, frame: Frame) -> CompileTimeValue:
    name = parameter.name.text
    default = frame.evaluate(parameter.default) if parameter.default is not None else None
    if given is None:
        if default is None:
            raise error(
                "E0103",
                f"`{spec.model.name.text}` needs a value for `{name}`",
                parameter.span,
                help=f"give it a default, or `--set {name}=…`",
            )
        assert parameter.default is not None
        given = _Given(parameter.default, parameter.span)
        value = default
    elif given.outside is not None and isinstance(default, Text) and not isinstance(given.value, tree.String):
        value = Text(given.outside)  # a shell's quotes are gone by the time a setting arrives here
    elif given.outside is not None and _is_of_texts(default) and isinstance(given.value, tree.List):
        value = List.of(tuple(Text(_bare(element)) for element in given.value.axes.terms))  # and here
    else:
        value = _evaluated(given, default, name, frame)
    span = given.span
    if (listed := as_list(value)) is not None:
        value = List.of(tuple(map(_exact, listed.values)))
    for each in (value, *(value.values if isinstance(value, List) else ())):
        if isinstance(each, (Value, Axes, ArrowValue, Several)):
            help = "give a number, a block, a mask, a string, or a list of these"
            raise error("E0404", f"`{name}` cannot be {describe(each)}", span, help=help)
    if default is not None:
        value = _checked(name, value, default, given, parameter)
    value = _exact(value)
    if isinstance(value, Number) and isinstance(value.value, int) and not value.is_bool:
        if abs(value.value) >= 2**62:
            raise error("E0403", f"`{name}` is too large a number", span, help=f"the largest is {2**62 - 1:,}")
        frame.elaborator.sizes[name] = value.value
        value = named(name, value.value)
    frame.bind(name, value, parameter.name.span)
    return value


def _exact(value: CompileTimeValue) -> CompileTimeValue:
    """A hyperparameter is a whole number or a float."""
    if isinstance(value, Number) and not value.is_bool and isinstance(value.value, Fraction):
        return Number(float(value.value))
    return value


def _is_of_texts(default: CompileTimeValue | None) -> bool:
    return (
        isinstance(default, List)
        and any(True for _ in default.values)
        and all(isinstance(value, Text) for value in default.values)
    )


def _bare(element: tree.AxisTerm) -> str:
    """A text of a list as it was typed, with or without quotes."""
    return element.size.value if isinstance(element.size, tree.String) else element.span.text


def _checked(
    name: str, value: CompileTimeValue, default: CompileTimeValue, given: _Given, parameter: tree.Parameter
) -> CompileTimeValue:
    """A setting is of the default's kind: whole number, number, boolean, mask, bias, block, list of these, …; where
    the default is `none`, anything goes."""
    wanted, have = kind(default), kind(value)
    if wanted == "a number" and have == "a whole number":
        return _as_float(value)
    if wanted == "a list of numbers" and have == "a list of whole numbers":
        assert isinstance(value, List)
        return List.of(tuple(map(_as_float, value.values)))
    lists = "a list" in (wanted, have) and isinstance(default, List) and isinstance(value, List)
    if wanted == have or lists or isinstance(default, Nothing) or isinstance(value, Nothing):
        return value
    shown = value.text if isinstance(value, Text) else describe(value)
    span, outside = given.span, given.outside is not None
    here = Label(parameter.span, f"{wanted} by default")
    raise AttnError(
        Diagnostic(
            "E0401",
            f"`{name}` is {wanted}, but {f'`{span.text}`' if outside else 'this'} is {shown if outside else have}",
            here if outside else Label(span, have),
            () if outside else (here,),
            (),
            (f"give {wanted}: `{name}={_example(default)}`",),
        )
    )


def _as_float(value: CompileTimeValue) -> CompileTimeValue:
    if not isinstance(value, Number) or value.value is None:
        return value
    return replace(value, value=float(value.value), size=None, axis=None)


def _example(default: CompileTimeValue) -> str:
    return shown(default)
