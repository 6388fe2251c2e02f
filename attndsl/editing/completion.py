"""What fits at the place where somebody types.

Where the cursor comes to stand in the tree of its statement says what is asked for (`cursor`), and the last elaboration
says what the parts before it are (`offers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attndsl.editing.cursor import CursorPlace
from attndsl.editing.offers import Offers, Suggestion, members
from attndsl.editing.recording import Recorder
from attndsl.editing.things import binders
from attndsl.editing.workspace import Analysis
from attndsl.elaborate.files import standard_names
from attndsl.elaborate.frames import Binding, Frame
from attndsl.elaborate.values import LayerValue
from attndsl.graph import Value
from attndsl.records import replace
from attndsl.syntax import tree
from attndsl.syntax.tables import tables
from attndsl.types import DTYPES
from attndsl.values import Nothing

_HEADER = re.compile(
    r"(variant|train)[ \t]+(\w+)[ \t]*:[ \t]*[\w.\-]*\Z|(variant|train|weights)[ \t]+\w*\Z|use[ \t]+std\.\w*\Z"
)


def is_known(analysis: Analysis, text: str, offset: int) -> bool:
    """Whether an analysis serves for completing at an offset of `text`: all before the statement there is as it was."""
    place = CursorPlace.of(text, offset)
    return place is None or analysis.text.startswith(text[: place.statement].rstrip())


def completions(analysis: Analysis, text: str, offset: int) -> list[Suggestion]:
    """What fits at an offset of `text`, which may be newer than what was analysed by what is being typed there (see
    `is_known`)."""
    place = CursorPlace.of(text, offset)
    if place is None:
        return []
    found = {it.label: it for it in reversed(list(_fitting(analysis, place)))}
    return sorted(found.values(), key=lambda it: (it.rank, it.label))


# ---------------------------------------------------------------- what fits


def _fitting(analysis: Analysis, place: CursorPlace) -> Iterator[Suggestion]:
    line = place.text[place.text.rfind("\n", 0, place.offset) + 1 : place.offset]
    kind = re.match(r"\w*", place.text[place.declaration :])
    word = kind.group() if kind is not None else ""
    if place.depth == 0:
        yield from _at_top(analysis, line)
    elif word in ("variant", "train", "weights"):
        yield from _in_section(analysis, place, word)
    else:
        yield from _in_body(analysis, place)


def _at_top(analysis: Analysis, line: str) -> Iterator[Suggestion]:
    header = _HEADER.match(line)
    scope = analysis.scope
    if header is None:
        if re.fullmatch(r"\w*", line):
            yield from (Suggestion(word, "keyword", rank=3) for word in sorted(tables().declarations))
    elif header[1]:
        variants = scope.variants if scope is not None else []
        yield from (Suggestion(v.name.text, "variant") for v in variants if v.model.text == header[2])
    elif header[3]:
        yield from (Suggestion(name, "model") for name in (scope.models if scope is not None else ()))
    else:
        yield from (Suggestion(name, "file") for name in sorted({path.stem for path in standard_names().values()}))


def _in_section(analysis: Analysis, place: CursorPlace, word: str) -> Iterator[Suggestion]:
    head = re.match(r"\w+[ \t]+(\w+)", place.text[place.declaration :])
    scope = analysis.scope
    model = scope.models.get(head[1]) if head is not None and scope is not None else None
    if model is None or scope is None:
        return
    written = set(re.findall(r"(\w+)[ \t]*=", place.text[place.body : place.offset]))
    for parameter in model.hyperparameters:
        if word != "variant" or parameter.name.text not in written:
            yield _hyperparameter(parameter, "" if word != "variant" or "=" in place.before else "=")
    if word == "train":
        yield from _in_recipe(place, written)
        yield from (Suggestion(name.text, "variable", rank=3) for name in _given(model))
    elif word == "weights":
        found = next((m for m in analysis.models if m.spec.model is model), None)
        if found is not None:
            base = re.search(r"((?:\w+(?:\[[^\]\n]*\])?\.)+)\Z", place.before)
            under = re.sub(r"\[[^\]]*\]", ".*", base.group()) if base is not None else ""
            yield from members(found.recorder, under)


def _in_recipe(place: CursorPlace, written: set[str]) -> Iterator[Suggestion]:
    """Settings that a recipe does not have yet; what can be chosen for one; the options of what was chosen."""
    from attndsl.editing.recipes import KEYS, SORTS, described, kind_named

    parsed = place.tree()
    call = next((it for it in parsed[1] if isinstance(it, tree.Call)), None) if parsed is not None else None
    head = re.match(r"(\w+)[ \t]*=", place.before)
    if head is None:
        for name in KEYS:
            if name not in written:
                form, doc = described(name) or ("", "")
                yield Suggestion(name, "keyword", form, doc, rank=1, text=f"{name} = ")
    elif call is not None and isinstance(call.callee, tree.Name):
        kind = kind_named(call.callee.text)
        given = {argument.name.text for argument in call.arguments if argument.name is not None}
        for name, option in kind.options.items() if kind is not None else ():
            if name not in given:
                yield Suggestion(f"{name}=", "hyperparameter", option.described(), option.doc, rank=0, text=f"{name}=")
    else:
        for name in SORTS.get(head[1], {}):
            form, doc = described(name) or ("", "")
            yield Suggestion(name, "value", form, doc, rank=0)


def _given(model: tree.Model) -> Iterator[tree.Identifier]:
    """The inputs and outputs of a model."""
    return (s.name for s in tree.walk(model) if isinstance(s, (tree.InputDecl, tree.OutputDecl)))


def _in_body(analysis: Analysis, place: CursorPlace) -> Iterator[Suggestion]:
    where = analysis.frame_at(place.statement, place.body) or _unused(analysis, place)
    parsed = place.tree()
    if where is None or analysis.scope is None or parsed is None:
        return
    asked = Offers(analysis.scope, *where)
    statement, around = parsed
    mark, parents = around[0], around[1:]
    parent = parents[0] if parents else mark
    call = next((it for it in parents if isinstance(it, tree.Call)), None)
    if isinstance(parent, tree.Attribute) and mark is parent.name:
        base = asked.value(parent.base)
        if isinstance(base, LayerValue):
            yield from members(asked.recorder, f"{base.path}.")
        return
    if isinstance(mark, tree.Identifier):
        if isinstance(statement, tree.Assign) and mark in statement.targets:
            yield from _statement_words(asked, place)
        elif isinstance(parent, tree.TypeTree):
            yield from (Suggestion(name, "dtype") for name in DTYPES)
        return
    if isinstance(parent, tree.TypeTree) or (isinstance(parent, tree.AxisTerm) and call is None):
        yield from asked.axes(())
        return
    if isinstance(parent, tree.Pipe) and mark in parent.stages:
        at = parent.stages.index(mark)
        piped = asked.value(tree.Pipe(parent.span, parent.value, parent.stages[:at]) if at else parent.value)
        yield from asked.callables([piped] if piped is not None else [], piped_only=True)
        return
    if call is not None and mark is not call.callee:
        yield from _in_call(asked, call, parents)
        return
    if isinstance(statement, tree.Scan) and parent is statement.axis:
        yield from asked.axes(())
        return
    yield from asked.names()
    yield from asked.callables([])


def _unused(analysis: Analysis, place: CursorPlace) -> tuple[Recorder, Frame] | None:
    """The names of a declaration that no model of the file uses: what they are is not known."""
    model = analysis.models[0] if analysis.models else None
    declaration = analysis.declaration_at(place.declaration)
    if model is None or declaration is None:
        return None
    frame = replace(model.recorder.top, names={}, axes={})
    for name in binders(declaration):
        frame.names[name.text] = Binding(Nothing(), name.span)
    return model.recorder, frame


def _statement_words(asked: Offers, place: CursorPlace) -> Iterator[Suggestion]:
    if place.before:
        return
    yield from (Suggestion(word, "keyword", rank=4) for word in sorted(tables().statements))
    yield from (it for it in asked.names() if it.kind == "variable")


def _in_call(asked: Offers, call: tree.Call, parents: Sequence[tree.Tree]) -> Iterator[Suggestion]:
    """An argument: the names of parameters that nothing is given for, or values that fit the one that is named."""
    argument = next((it for it in parents if isinstance(it, tree.Argument)), None)
    if argument is None:
        return
    pipe = next((it for it in parents if isinstance(it, tree.Pipe)), None)
    operands: list[tree.Expr] = [a.value for a in call.arguments if a is not argument and a.name is None]
    if pipe is not None and any(call is stage or getattr(stage, "value", None) is call for stage in pipe.stages):
        at = next(i for i, stage in enumerate(pipe.stages) if stage is call or getattr(stage, "value", None) is call)
        operands.insert(0, tree.Pipe(pipe.span, pipe.value, pipe.stages[:at]) if at else pipe.value)
    values = [value for node in operands if (value := asked.value(node)) is not None]
    tensors = [value for value in values if isinstance(value, Value)]
    in_list = any(isinstance(it, (tree.List, tree.Arrow, tree.AxisTerm)) for it in parents)
    declared, rule = asked.callee(call.callee)
    if in_list or (argument.name is not None and argument.name.text == "over"):
        yield from asked.axes(tensors)
        return
    if argument.name is not None:
        wanted = next((p for p in declared.parameters if p.name.text == argument.name.text), None) if declared else None
        yield from asked.for_parameter(wanted)
        return
    given = {a.name.text for a in call.arguments if a.name is not None}
    if declared is not None:
        for p in declared.parameters:
            if p.name.text not in given:
                text = f"{p.name.text}="
                yield Suggestion(text, "hyperparameter", p.span.text, rank=0 if p.type is None else 2, text=text)
    elif rule is not None:
        yield from (
            Suggestion(f"{k}=", "hyperparameter", rank=0, text=f"{k}=") for k in rule.keywords if k not in given
        )
    yield from asked.names()
    yield from asked.callables([])


def _hyperparameter(parameter: tree.Parameter, tail: str) -> Suggestion:
    return Suggestion(
        parameter.name.text, "hyperparameter", parameter.span.text, rank=0, text=parameter.name.text + tail
    )
