"""Weights to start from: a body that was trained before, under the head of the model at hand."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from attndsl.data.tokenizers import Published, Tokenizer, load_tokenizer
from attndsl.data.tokenizers.beside import tokenizer_beside
from attndsl.diagnostics import AttnError, error
from attndsl.elaborate import Spec
from attndsl.elaborate.settings import Setting
from attndsl.graph import Graph
from attndsl.lazy import Array
from attndsl.recipe.recipe import Recipe
from attndsl.records import Frozen, field, replace
from attndsl.running.initial import drawn_parameters
from attndsl.runs.checkpoint import furthest_parameters
from attndsl.runs.record import is_run, open_record
from attndsl.storage.deferred import Deferred
from attndsl.training.console import Console


class TrainedBody(Frozen):
    """Where the weights lie (None: there are none, everything is drawn), what they say of the model's hyperparameters,
    and the tokenizer that their numbers of tokens are from: a run's, or what lies in the `folder` of published ones."""

    path: Path | None = None
    spec: Spec | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict)
    tokenizer: Tokenizer | None = None
    folder: Path | None = None

    def tokenizer_for(self, recipe: Recipe, settings: Mapping[str, Setting]) -> tuple[Recipe, Tokenizer | None]:
        """The recipe with the body's own tokenizer, in which the recipe's special tokens must be, unless the user asked
        for another by name. Raises E0717, E0738, and E0745 where published weights come without one."""
        if {"tokenizer", "train.tokenizer"} & settings.keys() or not recipe.objective.about.reads_texts():
            return recipe, None
        own = self.tokenizer
        if own is None and self.folder is not None:
            own = _beside(self.folder)
        if own is None:
            return recipe, None
        if own.kind in ("bytes", "chars"):
            lacking = [role for role in recipe.special.order if role not in own.special]
            if lacking or recipe.special.sentinels > len(own.sentinels):
                needed = f"{lacking[0]} token" if lacking else f"{recipe.special.sentinels} sentinels"
                raise error(
                    "E0738",
                    f"the tokenizer of {self.path} does not have {'a ' if lacking else ''}{needed}",
                    help="train the body with the special tokens that this recipe names, or name fewer",
                )
            return replace(recipe, tokenizer=own.kind), own
        assert isinstance(own, Published)
        found = Published(own.text, own.kind, own.name, recipe.special)
        return replace(recipe, tokenizer=found.kind), found

    def parameters(
        self, graph: Graph, seed: int, fresh: Collection[str], console: Console
    ) -> Mapping[str, Array] | None:
        """All parameters of `graph`: the body's, and new ones where it has none, or has them for another number of what
        is `fresh` (`labels`); the console is told which. None where there is no body. Raises what reading the weights
        raises (E06xx)."""
        if self.path is None:
            return None
        from attndsl.weights.adapting import adapt_arrays, adapt_weights
        from attndsl.weights.not_finite import told_if_not_finite

        assert self.spec is not None
        if is_run(self.path):
            found = adapt_arrays(furthest_parameters(self.path)[0], graph, fresh, origin=str(self.path))
        else:
            found = adapt_weights(self.path, graph, self.spec.weights, fresh)
        tell(console, "new, drawn at random", found.missing)
        tell(console, "in the weights, and not used", found.unused)
        arrays = told_if_not_finite(found.arrays, self.path)
        drawn = drawn_parameters(graph, seed)
        fresh = Deferred({address: drawn.stated[address] for address in found.missing}, drawn.__getitem__)
        return Deferred.joined(fresh, arrays)


def open_body(weights: str | os.PathLike[str], spec: Spec, settings: Mapping[str, Setting]) -> TrainedBody:
    """The body at `weights`: a training run, a published folder, or a file. Raises E06xx, E0732."""
    from attndsl.weights.settings import settings_for

    path = Path(weights)
    chosen = {
        name: value for name, value in settings.items() if name in {p.name.text for p in spec.model.hyperparameters}
    }
    facts = open_record(path).facts if is_run(path) else None
    kept = facts.get("hyperparameters", {}) if facts is not None else None
    known = settings_for(path, spec.weights, chosen, spec=spec, adapt=True, kept=kept)
    known = {name: value for name, value in known.items() if name not in chosen}
    if facts is not None:
        if facts["spec"]["model"] != spec.model.name.text:  # addresses such as `layer.0.attn.q.weight` are in many
            raise error(
                "E0609",
                f"the run {path} is of another model: `{facts['spec']['model']}`, not `{spec.model.name.text}`",
                help=(
                    f"start from a run of `{spec.name}`, or from published weights of its kind",
                    f"to take what has the same address all the same: `attndsl export {path} --to safetensors FILE`, "
                    "and start from that file",
                ),
            )
        kind = facts["tokenizer"].get("kind")
        return TrainedBody(path, spec, known, load_tokenizer(kind, path) if kind else None, path)
    return TrainedBody(path, spec, known, None, path if path.is_dir() else path.parent)


def _beside(folder: Path) -> Tokenizer:
    """The tokenizer that lies beside published weights; its absence (E0745) has one more way out in training."""
    try:
        return tokenizer_beside(folder)
    except AttnError as problem:
        way = "or choose one, though the weights do not know its tokens: `--set tokenizer=bytes`"
        raise AttnError(
            *(replace(d, helps=(*d.helps, way)) if d.code == "E0745" else d for d in problem.diagnostics)
        ) from None


def tell(console: Console, what: str, addresses: object) -> None:
    """Say which layers something is true of, a line for all."""
    layers: dict[str, None] = {}
    for address in addresses:  # type: ignore[attr-defined]
        layers.setdefault(str(address).rpartition(".")[0] or str(address))
    if layers:
        names = list(layers)
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        console.say(f"{what}: {', '.join(names[:8])}{more}")
