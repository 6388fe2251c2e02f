"""What fits at the place where somebody types.

The statement before the cursor is read with a mark in the place of what is missing; where the mark comes to stand in
its tree says what is asked for, and the last elaboration says what the parts before it are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from attndsl.diagnostics import Source
from attndsl.editing.hovering import signature, typed
from attndsl.editing.recording import Recorder
from attndsl.editing.things import binders
from attndsl.editing.workspace import Analysis
from attndsl.elaborate import primitives
from attndsl.elaborate.called import CallRule
from attndsl.elaborate.files import FileScope, standard_names
from attndsl.elaborate.frames import Binding, Frame, Poison
from attndsl.elaborate.primitives import INITIALIZERS
from attndsl.elaborate.sizes_and_axes import dtype_of
from attndsl.elaborate.values import BlockValue, CompileTimeValue, IndexFunctionValue, LayerValue, Primitive
from attndsl.graph import Initializer, Value
from attndsl.records import dataclass, replace
from attndsl.syntax import tree
from attndsl.syntax.keywords import starts_declaration
from attndsl.syntax.lexer import CLOSING, continues_at, next_text
from attndsl.syntax.limits import survey
from attndsl.syntax.parser import Parsing
from attndsl.syntax.tables import tables
from attndsl.types import DTYPES, FLOAT, Type
from attndsl.values import Nothing, Number

MARK = "__here__"
_WORD = re.compile(r"[A-Za-z_]\w*\Z")
_POINTS = re.compile(r'"(?:[^"\\\n]|\\.)*"?|#[^\n]*|///[^\n]*|[()\[\]{}\n]')
_HEADER = re.compile(
    r"(variant|train)[ \t]+(\w+)[ \t]*:[ \t]*[\w.\-]*\Z|(variant|train|weights)[ \t]+\w*\Z|use[ \t]+std\.\w*\Z"
)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word that fits: `kind` is one of `KINDS`, `detail` its type or signature, `rank` its place among the others,
    `doc` Markdown. `text` is what is written, where that is more than the word."""

    label: str
    kind: str
    detail: str = ""
    doc: str = ""
    rank: int = 5
    text: str = ""


KINDS = (
    *("variable", "layer", "hyperparameter", "axis", "block", "mask", "bias", "primitive", "initialiser", "value"),
    *("keyword", "model", "variant", "file", "dtype"),
)


def is_known(analysis: Analysis, text: str, offset: int) -> bool:
    """Whether an analysis serves for completing at an offset of `text`: all before the statement there is as it was."""
    place = _Place.of(text, offset)
    return place is None or analysis.text.startswith(text[: place.statement].rstrip())


def completions(analysis: Analysis, text: str, offset: int) -> list[Suggestion]:
    """What fits at an offset of `text`, which may be newer than what was analysed by what is being typed there (see
    `is_known`)."""
    place = _Place.of(text, offset)
    if place is None:
        return []
    found = {it.label: it for it in reversed(list(_fitting(analysis, place)))}
    return sorted(found.values(), key=lambda it: (it.rank, it.label))


# ---------------------------------------------------------------- where the cursor is


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """The cursor in a text: the declaration, the body and the statement that it is in begin at these offsets, `before`
    is the statement up to the word being typed, `closers` what closes its brackets."""

    text: str
    offset: int
    declaration: int
    body: int
    statement: int
    before: str
    closers: str
    depth: int

    @classmethod
    def of(cls, text: str, offset: int) -> _Place | None:
        """None inside a string or a comment."""
        begin = text.rfind("\n", 0, offset) + 1
        while begin and not starts_declaration(text, begin):
            begin = text.rfind("\n", 0, begin - 1) + 1
        opened: list[tuple[str, int]] = []
        statement = begin
        for point in _POINTS.finditer(text, begin, offset):
            mark = point.group()
            if mark in CLOSING:
                opened.append((mark, point.start()))
                statement = point.end() if mark == "{" else statement
            elif mark in ")]}":
                while opened and opened.pop()[0] != {")": "(", "]": "[", "}": "{"}[mark]:
                    pass
            elif mark == "\n":
                if (not opened or opened[-1][0] == "{") and not continues_at(text, point.end()):
                    statement = min(next_text(text, point.end()), offset)
            elif point.end() == offset and (
                mark[0] in "#/" or (mark[0] == '"' and (len(mark) == 1 or mark[-1] != '"'))
            ):
                return None
        body = next((at for mark, at in reversed(opened) if mark == "{"), begin)
        word = _WORD.search(text, statement, offset)
        closers = "".join(CLOSING[mark] for mark, at in reversed(opened) if at > body and mark != "{")
        end = word.start() if word else offset
        depth = sum(mark == "{" for mark, _ in opened)
        return cls(text, offset, begin, body, statement, text[statement:end].lstrip(), closers, depth)

    def tree(self) -> tuple[tree.Statement, list[tree.Tree]] | None:
        """The statement with the mark in it, and the nodes around the mark, the innermost first."""
        for rest in (self.closers, self.closers + " {\n}", self.closers + " = 0", self.closers + ": [a] = 0"):
            source = Source("", f"block b() {{\n{self.before}{MARK}{rest}\n}}\n")
            brackets = survey(source)
            if brackets.refusal is not None:
                return None
            parsing = Parsing(source, brackets)
            file = parsing.run()
            if parsing.diagnostics or not file.declarations:
                continue
            block = file.declarations[0]
            if isinstance(block, tree.Block) and block.body:
                around = _around(block.body[0])
                return (block.body[0], around) if around else None
        return None


def _around(node: tree.Tree) -> list[tree.Tree]:
    if isinstance(node, (tree.Name, tree.Identifier)) and node.text == MARK:
        return [node]
    for child in tree.children(node):
        found = _around(child)
        if found:
            return [*found, node]
    return []


# ---------------------------------------------------------------- what fits


def _fitting(analysis: Analysis, place: _Place) -> Iterator[Suggestion]:
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


def _in_section(analysis: Analysis, place: _Place, word: str) -> Iterator[Suggestion]:
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
        if "=" not in place.before:
            from attndsl.recipe.recipe import KEYS

            yield from (Suggestion(n, "keyword", rank=1, text=f"{n} = ") for n in KEYS if n not in written)
        yield from (Suggestion(name.text, "variable", rank=3) for name in _given(model))
    elif word == "weights":
        found = next((m for m in analysis.models if m.spec.model is model), None)
        if found is not None:
            base = re.search(r"((?:\w+(?:\[[^\]\n]*\])?\.)+)\Z", place.before)
            under = re.sub(r"\[[^\]]*\]", ".*", base.group()) if base is not None else ""
            yield from _members(found.recorder, under)


def _given(model: tree.Model) -> Iterator[tree.Identifier]:
    """The inputs and outputs of a model."""
    return (s.name for s in tree.walk(model) if isinstance(s, (tree.InputDecl, tree.OutputDecl)))


def _in_body(analysis: Analysis, place: _Place) -> Iterator[Suggestion]:
    where = analysis.frame_at(place.statement, place.body) or _unused(analysis, place)
    parsed = place.tree()
    if where is None or analysis.scope is None or parsed is None:
        return
    asked = _Asked(analysis.scope, *where)
    statement, around = parsed
    mark, parents = around[0], around[1:]
    parent = parents[0] if parents else mark
    call = next((it for it in parents if isinstance(it, tree.Call)), None)
    if isinstance(parent, tree.Attribute) and mark is parent.name:
        base = asked.value(parent.base)
        if isinstance(base, LayerValue):
            yield from _members(asked.recorder, f"{base.path}.")
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


def _unused(analysis: Analysis, place: _Place) -> tuple[Recorder, Frame] | None:
    """The names of a declaration that no model of the file uses: what they are is not known."""
    model = analysis.models[0] if analysis.models else None
    declaration = analysis.declaration_at(place.declaration)
    if model is None or declaration is None:
        return None
    frame = replace(model.recorder.top, names={}, tensors={})
    for name in binders(declaration):
        frame.names[name.text] = Binding(Nothing(), name.span)
    return model.recorder, frame


def _statement_words(asked: _Asked, place: _Place) -> Iterator[Suggestion]:
    if place.before:
        return
    yield from (Suggestion(word, "keyword", rank=4) for word in sorted(tables().statements))
    yield from (it for it in asked.names() if it.kind == "variable")


def _in_call(asked: _Asked, call: tree.Call, parents: Sequence[tree.Tree]) -> Iterator[Suggestion]:
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


# ---------------------------------------------------------------- what is there


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What is known at the cursor: the file's declarations, and the names of the body."""

    scope: FileScope
    recorder: Recorder
    frame: Frame

    def value(self, node: tree.Expr) -> CompileTimeValue | None:
        return self.recorder.ask(node, self.frame)

    def callee(self, node: tree.Expr) -> tuple[tree.Declared | None, CallRule | None]:
        """What is applied: a block, mask or bias, or a primitive."""
        value = self.value(node)
        if isinstance(value, LayerValue):
            return value.callee.block, None
        if isinstance(value, BlockValue):
            return value.block, None
        if isinstance(value, IndexFunctionValue):
            return value.declaration, None
        if isinstance(value, Primitive):
            return None, primitives.rule_of(value.name)
        found = self.scope.find(node.text) if isinstance(node, tree.Name) else None
        return (
            (found[0], None)
            if found
            else (None, primitives.rule_of(node.text) if isinstance(node, tree.Name) else None)
        )

    def names(self) -> Iterator[Suggestion]:
        """The names of the body, and of those around it."""
        frame: Frame | None = self.frame
        seen: set[str] = set()
        while frame is not None:
            for name, binding in frame.names.items():
                value = binding.value
                if name in seen or isinstance(value, Poison):
                    continue
                seen.add(name)
                yield Suggestion(
                    name, _kind(value), typed(value), rank=1 if isinstance(value, (Value, LayerValue)) else 2
                )
            frame = frame.parent

    def axes(self, tensors: Iterable[Value]) -> Iterator[Suggestion]:
        """The axes of these tensors; without any, the sizes that have a name here."""
        found = [axis for tensor in tensors for axis in tensor.type.axes]
        for rank, axis in enumerate(dict.fromkeys(reversed(found))):
            yield Suggestion(axis.name, "axis", f"size {axis.size}", rank=0 if rank == 0 else 1)
        if not found:
            frame: Frame | None = self.frame
            while frame is not None:
                for name, (type_, _) in frame.tensors.items():
                    yield from (
                        Suggestion(a.name, "axis", f"of {name}", rank=1) for a in type_.axes if a.name.isidentifier()
                    )
                frame = frame.parent
            yield from (it for it in self.names() if it.kind in ("hyperparameter", "axis"))

    def callables(self, piped: Sequence[CompileTimeValue], *, piped_only: bool = False) -> Iterator[Suggestion]:
        """What can be applied; to a tensor, where there is one: only what takes one of its type."""
        type_ = piped[0].type if piped and isinstance(piped[0], Value) else None
        if piped and type_ is None:
            return
        for name, declared in self._declared():
            if type_ is None or _takes(declared, type_):
                kind = declared.kind if isinstance(declared, tree.IndexFunction) else "block"
                if piped_only and kind != "block":
                    continue
                needed = sum(p.default is None for p in declared.tensors)
                rank = 2 if name in self.scope.blocks else 3 if needed <= 1 else 4
                yield Suggestion(name, kind, signature(declared), declared.doc or "", rank)
        for name in primitives.names():
            rule = primitives.rule_of(name)
            if rule is not None and name not in INITIALIZERS and (type_ is None or rule.operands[1] >= 1):
                yield Suggestion(name, "primitive", rule.doc, rank=4)
        frame: Frame | None = self.frame
        while frame is not None and piped_only:
            for name, binding in frame.names.items():
                value = binding.value
                block = value.callee.block if isinstance(value, LayerValue) else getattr(value, "block", None)
                if isinstance(block, tree.Block) and (type_ is None or _takes(block, type_)):
                    yield Suggestion(name, "layer", signature(block), rank=1)
            frame = frame.parent

    def _declared(self) -> Iterator[tuple[str, tree.Declared]]:
        for name in dict.fromkeys(self.scope.names()):
            found = self.scope.find(name)
            if found is not None and (not name.startswith("_") or name in self.scope.blocks):
                yield name, found[0]

    def for_parameter(self, parameter: tree.Parameter | None) -> Iterator[Suggestion]:
        """Values for a parameter: of the kind of its default."""
        default = parameter.default if parameter is not None else None
        if isinstance(default, tree.Boolean):
            yield from (Suggestion(word, "value", rank=0) for word in ("true", "false"))
        name = default.callee if isinstance(default, tree.Call) else default
        text = name.text if isinstance(name, tree.Name) else ""
        found = self.scope.find(text) if text else None
        kind = found[0].kind if found is not None and isinstance(found[0], tree.IndexFunction) else ""
        is_initialiser = text in INITIALIZERS or isinstance(primitives.CONSTANTS.get(text), Initializer)
        wanted = parameter.name.text if parameter is not None else ""
        if is_initialiser or wanted.endswith("init"):
            yield from (Suggestion(n, "initialiser", rank=0) for n in sorted(INITIALIZERS))
        elif kind or text == "none" or isinstance(found and found[0], tree.Block):
            yield Suggestion("none", "value", rank=1)
            for name_, declared in self._declared():
                own = declared.kind if isinstance(declared, tree.IndexFunction) else "block"
                needed = [p for p in declared.parameters if p.default is None and p.type is not None]
                fits = own == kind if kind else own == "bias" or (own == "block" and len(needed) <= 1)
                if fits:
                    yield Suggestion(
                        name_, own, signature(declared), declared.doc or "", rank=0 if own != "block" or not kind else 2
                    )
        yield from self.names()


def _kind(value: CompileTimeValue) -> str:
    if isinstance(value, Value):
        return "variable"
    if isinstance(value, (LayerValue, BlockValue)):
        return "layer"
    if isinstance(value, Number) and value.size is not None and value.value is None:
        return "axis"
    return "hyperparameter"


def _takes(declared: tree.Declared, type_: Type) -> bool:
    """Whether a block can be applied to a tensor of this type as its first."""
    if isinstance(declared, tree.IndexFunction) or not declared.tensors:
        return False
    wanted = declared.tensors[0].type
    assert wanted is not None
    terms = wanted.axes.terms
    fixed = sum(not term.is_rest for term in terms)
    fits = type_.rank >= fixed if fixed < len(terms) else type_.rank == fixed
    dtype = dtype_of(wanted)
    return fits and (dtype == type_.dtype or (dtype == FLOAT and type_.is_float))


def _hyperparameter(parameter: tree.Parameter, tail: str) -> Suggestion:
    return Suggestion(
        parameter.name.text, "hyperparameter", parameter.span.text, rank=0, text=parameter.name.text + tail
    )


def _members(recorder: Recorder, under: str) -> Iterator[Suggestion]:
    """What has an address that begins so: the next parts of them."""
    found: dict[str, Suggestion] = {}
    for path, declared in recorder.parameters.items():
        if path.startswith(under) and declared:
            name, _, rest = path.removeprefix(under).partition(".")
            type_ = next(iter(declared.values())).type
            found.setdefault(
                name, Suggestion(name, "layer" if rest else "variable", "" if rest else str(type_), rank=1)
            )
    for path, info in recorder.scopes.items():
        name = path.removeprefix(under)
        if path.startswith(under) and "." not in name:
            found[name] = Suggestion(name, "layer", info.kind, rank=1)
    yield from (it for name, it in found.items() if name != "*")


__all__ = ["KINDS", "Suggestion", "binders", "completions", "is_known"]
