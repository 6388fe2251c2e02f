"""What is there to be offered: the names of a body, what can be applied, values of a parameter's kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attndsl.editing.hovering import signature, typed
from attndsl.editing.recording import Recorder
from attndsl.elaborate import primitives
from attndsl.elaborate.called import CallRule
from attndsl.elaborate.files import FileScope
from attndsl.elaborate.frames import Frame, Poison
from attndsl.elaborate.primitives import INITIALIZERS
from attndsl.elaborate.sizes_and_axes import dtype_of
from attndsl.elaborate.values import BlockValue, CompileTimeValue, IndexFunctionValue, LayerValue, Primitive
from attndsl.graph import Initializer, Value
from attndsl.records import Frozen
from attndsl.syntax import tree
from attndsl.types import FLOAT, Type
from attndsl.values import Number


class Suggestion(Frozen):
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


class Offers(Frozen, eq=False):
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
                for name, tensor in frame.tensors():
                    named = (axis.name for axis in tensor.type.axes if axis.name.isidentifier())
                    yield from (Suggestion(axis, "axis", f"of {name}", rank=1) for axis in named)
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


def members(recorder: Recorder, under: str) -> Iterator[Suggestion]:
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
