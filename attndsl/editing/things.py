"""What stands at a place of a text, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attndsl.diagnostics import Span
from attndsl.editing.workspace import Analysis
from attndsl.elaborate import primitives
from attndsl.elaborate.called import CallRule
from attndsl.elaborate.files import find_standard_maps, specs_folder
from attndsl.elaborate.frames import Poison
from attndsl.elaborate.values import CompileTimeValue, LayerValue
from attndsl.records import dataclass
from attndsl.syntax import tree

Binders = Sequence[tree.Identifier | tree.Name]


def path_to(file: tree.File, offset: int) -> list[tree.Tree]:
    """The nodes around an offset of a file, the declaration first, the name or number there last."""
    for declaration in file.declarations:
        local = offset - declaration.span.source.start
        if (
            declaration.span.source.whole is file.span.source
            and declaration.span.start <= local <= declaration.span.end
        ):
            return list(_down(declaration, local))
    return []


def _down(node: tree.Tree | None, offset: int) -> Iterator[tree.Tree]:
    while node is not None:
        yield node
        inside = [child for child in tree.children(node) if child.span.start <= offset <= child.span.end]
        # Between two, the one that begins here; of two at one place (`T` as an axis and its name), the first.
        node = max(inside, key=lambda child: (child.span.start, -(child.span.end - child.span.start)), default=None)


@dataclass(frozen=True, eq=False)
class Thing:
    """What a name stands for. `at` is where it is written, `defined` where it comes from. Of a block, mask or bias
    there is what is `declared`, of an argument the `parameter` that it is for, of a primitive its `rule`; `value` is
    what it is at compile time, where it was elaborated; `call` where it is applied; `path` of a layer its address;
    `said` how a word of a recipe is written, and what it means."""

    name: str
    at: Span
    defined: Span | None = None
    declared: tree.Declared | tree.Model | None = None
    parameter: tree.Parameter | None = None
    rule: CallRule | None = None
    value: CompileTimeValue | None = None
    call: Span | None = None
    path: str = ""
    said: tuple[str, str] | None = None


def thing_at(analysis: Analysis, offset: int) -> Thing | None:
    """What the name at an offset stands for; None where none is."""
    path = path_to(analysis.file, offset)
    if not path or not isinstance(path[-1], (tree.Identifier, tree.Name, tree.String)):
        return None
    leaf, around = path[-1], path[-2::-1]
    parent, declaration = around[0] if around else leaf, path[0]
    if isinstance(leaf, tree.String):
        return None
    if isinstance(parent, tree.Attribute) and leaf is parent.name:
        return _member(analysis, parent, declaration)
    if isinstance(parent, tree.Argument) and leaf is parent.name:
        if isinstance(declaration, tree.Train):
            return _recipe_word(leaf, around)
        return _argument(analysis, leaf, parent, around)
    model = analysis.scope.models.get(leaf.text) if analysis.scope is not None else None
    if isinstance(parent, (tree.Model, tree.Section)) and model is not None:
        return Thing(leaf.text, leaf.span, model.name.span, model)
    if isinstance(parent, tree.Variant) and leaf is parent.name:
        return Thing(leaf.text, leaf.span, leaf.span)
    if isinstance(parent, tree.Train) and leaf is parent.variant and analysis.scope is not None:
        own = (v for v in analysis.scope.variants if v.model.text == parent.model.text and v.name.text == leaf.text)
        return Thing(leaf.text, leaf.span, next((v.name.span for v in own), None))
    if isinstance(declaration, (tree.Weights, tree.Train, tree.Layout)):
        return _in_section(analysis, leaf, parent, declaration)
    return _named(analysis, leaf, around, declaration)


def definition(analysis: Analysis, offset: int) -> Span | None:
    """Where what stands at an offset comes from, perhaps in another file; of the name of a file, its beginning."""
    path = path_to(analysis.file, offset)
    if path and isinstance(path[0], tree.Use):
        return _imported(analysis, path)
    thing = thing_at(analysis, offset)
    return thing.defined.in_file if thing is not None and thing.defined is not None else None


def _imported(analysis: Analysis, path: Sequence[tree.Tree]) -> Span | None:
    """What an import names: a block, or the file."""
    use, leaf = path[0], path[-1]
    assert isinstance(use, tree.Use)
    if analysis.scope is None:
        return None
    if isinstance(leaf, tree.Identifier):
        renamed = {name.text: (other or name).text for name, other in use.names}
        found = analysis.scope.blocks.get(renamed.get(leaf.text, leaf.text))
        return found[0].name.span.in_file if found is not None else None
    where = (
        specs_folder() / "std" / f"{use.path.replace('.', '/')}.attn" if use.is_std else analysis.path.parent / use.path
    )
    return analysis.scope.library.open(where).file.span if where.is_file() else None


# ---------------------------------------------------------------- the kinds of names


def _named(
    analysis: Analysis, leaf: tree.Identifier | tree.Name, around: Sequence[tree.Tree], declaration: tree.Tree
) -> Thing:
    """A name in a model, block, mask or bias."""
    text = leaf.text
    parent = around[0] if around else leaf
    if parent is declaration and isinstance(parent, (tree.Block, tree.IndexFunction)):
        return Thing(text, leaf.span, leaf.span, parent)
    found = analysis.model_of(declaration)
    is_callee = isinstance(leaf, tree.Name) and _is_callee(leaf, around)
    is_label = isinstance(parent, tree.Labelled) and leaf is parent.label
    applied = [leaf, *around[:2], *tree.children(parent)] if is_label else [leaf, *around[:2]] if is_callee else []
    call = next((node.span for node in applied if found and node.span in found.recorder.callees), None)
    value = found.recorder.values.get(leaf.span) if found is not None else None
    if is_callee and found is not None and call is not None:
        value = found.recorder.callees[call]
    defined = binder(declaration, leaf, around)
    if is_label and found is not None:
        value = _layer_labelled(analysis, leaf) or value
    frame = analysis.frame_at(leaf.span.in_file.start)
    if value is None and frame is not None:
        binding = frame[1].lookup(text)
        value = None if binding is None or isinstance(binding.value, Poison) else binding.value
    path = value.path if isinstance(value, LayerValue) else _path_of(analysis, call)
    declared = analysis.scope.find(text) if analysis.scope is not None else None
    if declared is not None and (defined is None or (is_callee and not isinstance(value, LayerValue))):
        return Thing(text, leaf.span, declared[0].name.span, declared[0], None, None, value, call, path)
    if defined is None:
        return Thing(text, leaf.span, None, None, None, primitives.rule_of(text), value, call, path)
    parameter = next((p for p in _parameters(declaration) if p.name is defined), None)
    return Thing(text, leaf.span, defined.span, None, parameter, None, value, call, path)


def _is_callee(leaf: tree.Name, around: Sequence[tree.Tree]) -> bool:
    parent = around[0] if around else leaf
    if isinstance(parent, tree.Labelled):
        return len(around) > 1 and isinstance(around[1], tree.Pipe) and parent in around[1].stages
    return (isinstance(parent, tree.Call) and leaf is parent.callee) or (
        isinstance(parent, tree.Pipe) and leaf in parent.stages
    )


def _layer_labelled(analysis: Analysis, label: tree.Identifier | tree.Name) -> LayerValue | None:
    found = analysis.model_of(analysis.declaration_at(label.span.in_file.start))
    layers = found.recorder.layers.values() if found is not None else ()
    return next((layer for layer in layers if layer.span == label.span), None)


def _path_of(analysis: Analysis, call: Span | None) -> str:
    """The address of the layer that a call makes; empty where it makes none, or several."""
    if call is None:
        return ""
    paths = {info.path for m in analysis.models for info in m.recorder.scopes.values() if info.span == call}
    return paths.pop() if len(paths) == 1 else ""


def _member(analysis: Analysis, node: tree.Attribute, declaration: tree.Tree) -> Thing:
    """`wte.table`, in a model as it was elaborated, in a weights section by its address."""
    found = analysis.model_of(declaration)
    thing = Thing(node.name.text, node.name.span)
    if found is None:
        return thing
    base = found.recorder.values.get(node.base.span)
    path = f"{base.path}.{node.name.text}" if isinstance(base, LayerValue) else address(node)
    return _at_address(analysis, node.name, path)


def _at_address(analysis: Analysis, name: tree.Identifier | tree.Name, path: str) -> Thing:
    """What has an address in one of the models: a parameter, or a layer."""
    for model in analysis.models:
        pending = model.recorder.parameters.get(path)
        if pending:
            made = next(iter(pending.values()))
            return Thing(name.text, name.span, made.span, path=path)
        layer = next((it for (at, _), it in model.recorder.layers.items() if at == path), None)
        if layer is not None:
            return Thing(name.text, name.span, layer.span, value=layer, path=path)
        if path in model.recorder.scopes:
            return Thing(name.text, name.span, model.recorder.scopes[path].span, path=path)
    return Thing(name.text, name.span)


def address(node: tree.Expr) -> str:
    """`h[i].attn.q` as the address `h.*.attn.q`."""
    if isinstance(node, tree.Name):
        return node.text
    if isinstance(node, tree.Attribute):
        return f"{address(node.base)}.{node.name.text}"
    return f"{address(node.base)}.*" if isinstance(node, tree.Subscript) else ""


def _argument(
    analysis: Analysis, leaf: tree.Identifier | tree.Name, node: tree.Argument, around: Sequence[tree.Tree]
) -> Thing:
    """The name of an argument: of a block's parameter, or of a model's hyperparameter in a variant."""
    holder = next((it for it in around if isinstance(it, (tree.Call, tree.Variant))), None)
    parameters: Sequence[tree.Parameter] = ()
    owner: tree.Declared | tree.Model | None = None
    scope = analysis.scope
    if isinstance(holder, tree.Variant) and scope is not None:
        owner = scope.models.get(holder.model.text)
        parameters = owner.hyperparameters if owner is not None else ()
    elif isinstance(holder, tree.Call) and scope is not None and isinstance(holder.callee, tree.Name):
        found = scope.find(holder.callee.text)
        owner = found[0] if found is not None else None
        parameters = owner.parameters if owner is not None else ()
    parameter = next((p for p in parameters if p.name.text == leaf.text), None)
    return Thing(leaf.text, leaf.span, parameter.name.span if parameter else None, owner, parameter)


def _recipe_word(leaf: tree.Identifier | tree.Name, around: Sequence[tree.Tree]) -> Thing:
    """The name of a setting of a recipe, or of an option of what it chooses."""
    from attndsl.editing.recipes import described

    call = next((it for it in around if isinstance(it, tree.Call)), None)
    owner = call.callee.text if call is not None and isinstance(call.callee, tree.Name) else ""
    return Thing(leaf.text, leaf.span, said=described(leaf.text, owner))


def _in_section(
    analysis: Analysis, leaf: tree.Identifier | tree.Name, parent: tree.Tree, section: tree.Section
) -> Thing:
    """A name in a `weights` or `train` section or a layout: a hyperparameter, a layer, an input or output, maps."""
    scope = analysis.scope
    model = scope.models.get(section.model.text) if scope is not None else None
    if scope is None or model is None:
        return Thing(leaf.text, leaf.span)
    if isinstance(section, tree.Train):
        from attndsl.editing.recipes import described, kind_named

        if kind_named(leaf.text) is not None:
            return Thing(leaf.text, leaf.span, said=described(leaf.text))
    if isinstance(parent, tree.Call) and leaf is parent.callee:
        own = {group.name.text: group.name.span for group in getattr(section, "maps", ())}
        maps = scope.maps.get(leaf.text) or find_standard_maps(leaf.text)
        if leaf.text in own or maps is not None:
            return Thing(leaf.text, leaf.span, own.get(leaf.text) or (maps.name.span if maps is not None else None))
    parameter = next((p for p in model.hyperparameters if p.name.text == leaf.text), None)
    if parameter is not None:
        return Thing(leaf.text, leaf.span, parameter.name.span, model, parameter)
    found = _at_address(analysis, leaf, leaf.text)
    if found.defined is not None:
        return found
    defined = binder(model, leaf)
    elaborated = next((m for m in analysis.models if m.spec.model is model), None)
    binding = elaborated.recorder.top.lookup(leaf.text) if elaborated is not None else None
    value = None if binding is None or isinstance(binding.value, Poison) else binding.value
    return Thing(leaf.text, leaf.span, defined.span if defined is not None else None, value=value)


# ---------------------------------------------------------------- where names are bound


def _parameters(declaration: tree.Tree) -> Sequence[tree.Parameter]:
    if isinstance(declaration, tree.Model):
        return declaration.hyperparameters
    return declaration.parameters if isinstance(declaration, (tree.Block, tree.IndexFunction)) else ()


def binders(declaration: tree.Tree) -> Iterator[tree.Identifier]:
    """The names that a declaration binds inside it, in the order written: parameters, targets, layers, labels."""
    for node in tree.walk(declaration):
        if isinstance(node, (tree.Parameter, tree.IndexVariable, tree.Carried)):
            yield node.name
        elif isinstance(node, tree.Assign):
            yield from node.targets
        elif isinstance(node, tree.Labelled):
            yield node.label
        elif isinstance(
            node,
            (tree.LayerDecl, tree.ParamDecl, tree.StateDecl, tree.InputDecl, tree.OutputDecl, tree.Scope, tree.Scan),
        ):
            yield node.name
        elif isinstance(node, tree.Repeat):
            yield node.name
            if node.element is not None:
                yield node.element


def axis_names(declaration: tree.Tree) -> Iterator[tree.Name]:
    """The names in the types of what a declaration is given: the first of each stands for an axis from there on."""
    for node in tree.walk(declaration):
        if isinstance(node, (tree.Parameter, tree.InputDecl)) and node.type is not None:
            for term in node.type.axes.terms:
                if isinstance(term.size, tree.Name):
                    yield term.size


def binder(
    declaration: tree.Tree, leaf: tree.Identifier | tree.Name, around: Sequence[tree.Tree] = ()
) -> tree.Identifier | tree.Name | None:
    """Where the name at `leaf` was bound last before it in the text, else first. The targets of the statements `around`
    it are bound after it."""
    later = [name for node in around if isinstance(node, tree.Assign) for name in node.targets]
    own = [name for name in binders(declaration) if name.text == leaf.text and (name is leaf or name not in later)]
    if not own:
        return next((name for name in axis_names(declaration) if name.text == leaf.text), None)
    before = [name for name in own if name.span.start <= leaf.span.start or not name.span.beside(leaf.span)]
    return before[-1] if before else own[0]


def callees(declaration: tree.Tree) -> Iterator[tree.Tree]:
    """What is applied in a declaration, by a call or in a pipe."""
    for node in tree.walk(declaration):
        if isinstance(node, tree.Call):
            yield node.callee
        elif isinstance(node, tree.Pipe):
            yield from (s.value if isinstance(s, tree.Labelled) else s for s in node.stages)
