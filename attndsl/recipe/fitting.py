"""Whether a recipe fits its model: inputs for roles, an output to minimise, special tokens, room for the windows."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attndsl.data.special import stands_for
from attndsl.diagnostics import AttnError, Diagnostic, Label, did_you_mean, error, nearest
from attndsl.elaborate.settings import Setting
from attndsl.graph import FLOAT, Graph, InputInfo, Type
from attndsl.objectives.roles import Role
from attndsl.recipe.recipe import KEYS, Recipe, option_owners
from attndsl.records import replace


def check_recipe(recipe: Recipe, graph: Graph) -> None:
    """That the graph has what the recipe speaks of: an input of the right type for every role, the scalar to minimise,
    no further input that must be given, and room for the windows; and that the special tokens that the objective needs
    are named. Raises E0722, E0735 (a special token without a name), E0736 (`freeze` or `rates` matches nothing), or
    what the model's own constraint says."""
    inputs = {info.name: info for info in graph.inputs}
    at, objective = recipe.spans, recipe.objective
    for role in (*objective.about.required, *objective.about.optional):
        if role.name in objective.roles:
            _check_role(recipe, graph, inputs, role, objective.roles[role.name])
    _check_minimized(recipe, graph)
    filled = set(objective.roles.values())
    missing = [info.name for info in graph.inputs if not info.optional and info.name not in filled]
    needed = next(info.needs for info in graph.outputs if info.name == recipe.minimize)
    missing += sorted(needed - filled)
    if missing:
        optional = [role for role in objective.about.optional if role.name not in objective.roles]
        raise error(
            "E0722", f"`{missing[0]}` must be given, but `{objective.kind}` does not fill it",
            at.get("batches", at.get("")),
            help=(
                *((f"say what it is for: `batches = {objective.kind}(…, {optional[0]}={missing[0]})`; it may be "
                   f"{', '.join(map(str, optional))}",) if optional else ()),
                f"or declare it with a default: `input {missing[0]}: … optional = …`",
            ),
        )  # fmt: skip
    _check_scheduled(recipe, inputs)
    _check_special(recipe)
    _check_joint(recipe)
    for patterns in (recipe.frozen, recipe.factors):  # most recipes have neither, and there may be a billion addresses
        patterns(address for info in graph.parameters for address in info.addresses())
    values = _sizes(recipe, graph)
    failed = [constraint for constraint in graph.constraints if constraint.holds(values) is False]
    if failed:
        own = {name for name, size in values.items() if name not in graph.sizes and size == recipe.length}
        place = at.get("length")
        long = (Label(place, "so long are the texts of its training"),) if place is not None else ()
        raise AttnError(
            *[
                replace(each, secondary=(*each.secondary, *long)) if own & constraint.symbols else each
                for constraint in failed
                for each in (constraint.failure(values),)
            ]
        )


def _check_role(recipe: Recipe, graph: Graph, inputs: Mapping[str, InputInfo], role: Role, name: str) -> None:
    at, objective = recipe.spans, recipe.objective
    if name not in inputs:
        raise error(
            "E0722",
            f"{graph.name} has no input `{name}` to fill with {objective.about.data.value}",
            at.get("batches", at.get("")),
            help=did_you_mean(name, inputs)
            or f"its inputs: {', '.join(inputs)}; say which: `batches = {objective.about.shown('…')}`",
        )
    type = inputs[name].value.type
    leader = _leader(recipe, role)
    other = inputs[objective.roles[leader]].value.type if objective.roles[leader] in inputs else type
    wanted = type.axes if role.leads else other.axes[: role.rank]
    alike = type.dtype == role.dtype and type.rank in (role.rank, role.rank + role.may_be_spelled)
    if alike and type.axes == wanted:
        return
    form = str(Type(role.dtype, wanted)) if alike else role.form
    if alike:
        help = f"give it the axes of `{objective.roles[leader]}`: `input {name}: {form}`"
    else:
        help = f"declare it so: `input {name}: {form}{'' if role.leads else ' optional'}`"
    message = f"the input `{name}` is {type}: `{objective.kind}` fills `{form}` only"
    raise error("E0722", message, at.get("batches", at.get("")), help=help)


def _leader(recipe: Recipe, role: Role) -> str:
    """The role whose axes an input for `role` has."""
    objective = recipe.objective
    first = objective.about.required[0].name if role.is_one_each else role.name
    return next((name for name in role.like if name in objective.roles), first)


def _check_minimized(recipe: Recipe, graph: Graph) -> None:
    outputs, at = {info.name: info for info in graph.own_outputs}, recipe.spans
    if recipe.minimize not in outputs:
        raise error(
            "E0722", f"{graph.name} has no output `{recipe.minimize}` to minimise", at.get("minimize", at.get("")),
            help=did_you_mean(recipe.minimize, outputs)
            or "give the model one: `output loss = cross_entropy(logits, targets, over=vocab)`",
        )  # fmt: skip
    type = outputs[recipe.minimize].value.type
    if type.rank or not type.is_float:
        raise error(
            "E0722", f"`{recipe.minimize}` is {type}: only a single number can be minimised", at.get("minimize"),
            help="take its mean over all axes",
        )  # fmt: skip


def _check_scheduled(recipe: Recipe, inputs: Mapping[str, InputInfo]) -> None:
    """That each scheduled input is a number with a default, and that nothing else fills it (E0722)."""
    at = recipe.spans.get("scheduled")
    roles = {name: role for role, name in recipe.objective.roles.items()}
    for name in recipe.scheduled:
        form = f"input {name}: [] optional = 0.0"
        info = inputs.get(name)
        if info is None:
            fitting = [other.name for other in inputs.values() if not other.value.type.axes]
            help = did_you_mean(name, fitting) or f"declare it: `{form}`"
            raise error("E0722", f"there is no input `{name}` that could follow the training", at, help=help)
        if name in roles:
            what = f"`{name}` follows the training, but `{recipe.objective.kind}` fills it as its {roles[name]}"
            raise error("E0722", what, at, help="declare another input for what follows the training")
        if info.value.type != Type(FLOAT):
            what = f"what follows the training is a number, but the input `{name}` is {info.value.type}"
            raise error("E0722", what, at, other=_declared(info), help=f"declare it so: `{form}`")
        if info.default is None:
            what = f"the input `{name}` has no default, which is its value in evaluation and in use"
            raise error("E0722", what, at, other=_declared(info), help=f"declare it so: `{form}`")


def _declared(info: InputInfo) -> Label | tuple[()]:
    return Label(info.span, "declared here") if info.span is not None else ()


def _check_joint(recipe: Recipe) -> None:
    if recipe.accumulate > 1 and recipe.objective.about.joint:
        raise error(
            "E0721",
            f"`accumulate` cannot be {recipe.accumulate}: `{recipe.objective.kind}` compares all examples of a batch",
            recipe.spans.get("accumulate") or recipe.spans.get("batches", recipe.spans.get("")),
            note="several small batches are not one large batch for it: each has fewer examples to tell apart",
            help=f"leave it out, or give a larger batch: `--set batch={recipe.batch * recipe.accumulate}`",
        )


def _check_special(recipe: Recipe) -> None:
    named = recipe.special.to_json()
    lacking = [role for role in recipe.objective.about.special if not stands_for(role, named)]
    if not lacking:
        return
    role = lacking[0]
    written = "sentinels=100" if role == "sentinels" else f'{role}="<{role}>"'
    kept = [f'{name}="{text}"' for name, text in named.items() if isinstance(text, str) and text]
    what = "sentinel tokens" if role == "sentinels" else f"a {role} token"
    raise error(
        "E0735",
        f"`{recipe.objective.kind}` needs {what}, but the recipe names none",
        recipe.spans.get("special") or recipe.spans.get("batches", recipe.spans.get("")),
        help=f"write `special = tokens({', '.join([*kept, written])})`",
    )


def _sizes(recipe: Recipe, graph: Graph) -> dict[str, int]:
    """The sizes that a whole batch will have, as far as the recipe says them."""
    values = dict(graph.sizes)
    objective = recipe.objective
    inputs = {info.name: info for info in graph.inputs}
    for role in objective.about.required:
        if role.is_sequence:
            axes = inputs[objective.roles[role.name]].value.type.axes
            for axis, size in zip(axes[:2], (recipe.batch, recipe.length), strict=True):
                if not axis.size.symbols <= values.keys():
                    values.setdefault(axis.name, size)
    return values


def split_settings(
    settings: Mapping[str, Setting], hyperparameters: Mapping[str, object]
) -> tuple[dict[str, Setting], dict[str, Setting]]:
    """Settings of the model and of its training apart: a hyperparameter's name is the model's, `train.batch` and every
    other key of a recipe the training's. What neither knows goes to the one with the nearest name, to be refused.
    Raises E0402 for names that are near none."""
    keys = {*KEYS, *option_owners()} if settings else set()
    strange: list[str] = []
    model: dict[str, Setting] = {}
    training: dict[str, Setting] = {}
    for name, value in settings.items():
        known = name in hyperparameters or name.partition(".")[0] in keys
        likely = name if known else _likely(name, [*hyperparameters, *keys])
        if not known and likely == name and not name.startswith("train."):
            strange.append(name)
        own = name.startswith("train.") or likely.partition(".")[0] in keys
        (training if own and likely not in hyperparameters else model)[name] = value
    if strange:
        raise AttnError(*(_strange(name, hyperparameters) for name in strange))
    return model, training


def _strange(name: str, hyperparameters: Mapping[str, object]) -> Diagnostic:
    return Diagnostic(
        "E0402",
        f"`{name}` is neither a hyperparameter of the model nor a setting of its training",
        None,
        helps=(f"the model has {', '.join(hyperparameters)}", f"its training has {', '.join(sorted(KEYS))}"),
    )


def _likely(name: str, known: Collection[str]) -> str:
    """The known name that an unknown one is meant for, or itself."""
    from attndsl.habits import HYPERPARAMETERS, RECIPE

    meant = (HYPERPARAMETERS.get(name), RECIPE.get(name), nearest(name, known))
    return next((it for it in meant if it in known), None) or name
