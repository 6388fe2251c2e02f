"""A training run made ready: the model, the data and the trainer, for a new folder or one that goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from attndsl.data.tokenizers import load_tokenizer
from attndsl.diagnostics import AttnError, error
from attndsl.elaborate import Spec, elaborate, open_spec
from attndsl.elaborate.settings import Setting
from attndsl.graph import Graph
from attndsl.layouts import Layout, choose_layout, choose_mesh
from attndsl.lints import lint
from attndsl.objectives import Objective, make_objective
from attndsl.objectives.likelihood import Scored, with_cross_entropy
from attndsl.objectives.roles import Data
from attndsl.recipe.fitting import check_recipe, split_settings
from attndsl.recipe.outlook import cautions, outlook
from attndsl.recipe.recipe import Recipe
from attndsl.records import dataclass, fields, replace
from attndsl.running import backends
from attndsl.running.machine import processors
from attndsl.running.parameters import zeros
from attndsl.running.processes import ALONE, Processes
from attndsl.running.trainer import Trainer
from attndsl.runs.checkpoint import list_checkpoints, open_tensors, save_checkpoint
from attndsl.runs.codebook import accompany, keep_companion
from attndsl.runs.log import Line, cut_log
from attndsl.runs.record import CHECKPOINTS, SPEC, copy_spec, is_run, open_record, write_record
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import new_folder, remove_partial
from attndsl.training.body import TrainedBody, open_body
from attndsl.training.bounds import Configured, configure, fitted, new_sizes
from attndsl.training.console import Console
from attndsl.training.data import CACHE, TrainingData, absolute, load_data, open_data, shown
from attndsl.training.logs import require_logs
from attndsl.training.place import machine_differences, machine_facts, require_room, trainer_at
from attndsl.values import storable

FEW = 16
"""So many processes can be started even where fewer processors may be used."""


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """Everything the loop needs; `step` steps are done already, and `lines` is the log of them, in the process that
    writes it. `train` and `held_out` are the data as the objective prepared them; `scored` is what is trained, with the
    output for the cross entropy; `logs` says in which other forms the log is written."""

    run: Path
    graph: Graph
    recipe: Recipe
    objective: Objective
    data: TrainingData
    train: Any
    held_out: Any
    trainer: Trainer
    scored: Scored
    step: int = 0
    lines: tuple[Line, ...] = ()
    logs: tuple[str, ...] = ()
    processes: Processes = ALONE


def begin(
    spec: str | Spec,
    data: Any,
    out: Path,
    settings: Mapping[str, Setting],
    backend: str | None,
    device: str | None,
    compile: bool,
    console: Console,
    weights: str | os.PathLike[str] | None = None,
    logs: Sequence[str] = (),
    processes: Processes = ALONE,
    layout: str | None = None,
) -> tuple[Session, Callable[[], None]]:
    """A new run, with `weights` from a body that was trained before; and what makes its folder at `out`, which the
    first of several `processes` writes, for each to call (E0705), once spec, recipe and data are known to be good in
    all. Raises what checking the spec raises, and E07xx."""
    require_new(out)
    require_logs(logs)
    opened = spec if isinstance(spec, Spec) else open_spec(spec)
    body = open_body(weights, opened, settings) if weights is not None else TrainedBody()
    made = configure(opened, settings, body.settings)
    check_chosen(opened, made)
    lint(opened, made.graph, made.settings)
    chosen = backends.chosen(backend)
    device = processes.device(chosen.require(device=device, compile=compile))
    require_room(made.graph, made.recipe, device, processes)
    recipe, tokenizer = body.tokenizer_for(made.recipe, settings)
    found = processes.in_turn(lambda: load_data(data, recipe, out.parent / CACHE, console.say, tokenizer))
    made = fitted(opened, settings, made, found, body.settings)
    graph, recipe = made.graph, replace(made.recipe, tokenizer=recipe.tokenizer)
    check_recipe(recipe, graph)
    placed = layout_of(layout, opened, graph, processes)
    objective, train, held_out = prepared(recipe, graph, found, console)
    if found.dataset is not None:
        found.dataset.require(recipe.length, shown(data), objective.stretches)
    parameters = body.parameters(graph, recipe.seed, new_sizes(made, found), console)
    scored = with_cross_entropy(objective)
    trainer = trainer_at(scored.graph, recipe, chosen, device, compile, console, parameters, processes, placed)
    trainer.check(objective.training(train, 0))
    tell_outlook(made.written, recipe, graph, console)
    session = Session(
        out, graph, recipe, objective, found, train, held_out, trainer, scored, logs=tuple(logs),
        processes=processes,
    )  # fmt: skip

    def write_first(staging: Path) -> None:
        facts = {
            "spec": copy_spec(opened, staging / SPEC),
            "settings": dict(made.settings),
            "given": dict(settings),
            "hyperparameters": {name: storable(value) for name, value in graph.hyperparameters.items()},
            "parameters": graph.parameter_count,
            "recipe": recipe.to_json(),
            "tokenizer": _tokenizer_facts(found, tokenizer is not None),
            "labels": list(found.labels) if found.labels is not None else None,
            "data": {"paths": absolute(found.paths), "key": found.key, **found.facts},
            **({"weights": str(Path(weights).absolute())} if weights is not None else {}),
            **machine_facts(chosen, trainer, compile, processes),
            "layout": layout,
            "log": list(logs),
            "resumed": [],
        }
        if found.tokenizer is not None:
            found.tokenizer.save(staging)
        keep_companion(objective, staging)
        write_record(staging, facts)

    def write() -> None:
        # The folder appears complete or not at all: a run that was killed while it began leaves nothing in the way.
        with ExitStack() as made:
            staging = out
            if processes.is_first:
                made.enter_context(file_errors("create", out))
                staging = made.enter_context(new_folder(out))
                write_first(staging)
            if weights is not None:  # what a run that is killed before its first checkpoint begins from again
                save_checkpoint(staging, 0, trainer.state(), processes=processes)

    return session, write


def go_on(
    run: Path,
    settings: Mapping[str, Setting],
    data: Any,
    backend: str | None,
    device: str | None,
    compile: bool | None,
    console: Console,
    logs: Sequence[str] = (),
    processes: Processes = ALONE,
    layout: str | None = None,
) -> Session:
    """Take up a run where its newest checkpoint left it (from the start, where it has none). Only settings of the
    training may change, and not those that decide the tokens. E0732 (no run), E0733 (damaged), E0734 (changed)."""
    record = open_record(run)
    facts = dict(record.facts)
    facts["log"] = list(logs or facts.get("log", ()))
    require_logs(facts["log"])
    if processes.is_first:  # which has the run to itself
        remove_partial(run)
        remove_partial(run / CHECKPOINTS)
    before = Recipe.from_json(facts["recipe"])
    opened = open_spec(record.spec)
    graph = elaborate(opened, record.settings)
    model, training = split_settings(settings, graph.hyperparameters)
    recipe = before.override(training)
    wanted = elaborate(opened, {**record.settings, **model}).hyperparameters
    require_same(before, recipe, [name for name, value in wanted.items() if value != graph.hyperparameters[name]])
    if recipe != before:
        names = [f.name for f in fields(Recipe) if f.compare and getattr(before, f.name) != getattr(recipe, f.name)]
        console.warn(f"{', '.join(names)} changed since the run began: it continues with the new values")
    check_recipe(recipe, graph)
    chosen = backends.find(backend or facts["backend"])
    device = device or (facts["device"] if chosen.name == facts["backend"] else None)
    place = processes.device(chosen.require(device=device))
    require_room(graph, recipe, place, processes)  # there may be fewer machines by now
    found = processes.in_turn(lambda: recorded_data(run, facts, recipe, data, console))
    objective, train, held_out = prepared(recipe, graph, found, console, run)
    if objective.in_order:  # they say where in the text each row is
        _refuse_change(
            [name for name in ("batch", "accumulate", "length") if getattr(recipe, name) != getattr(before, name)]
        )
    if compile is None:
        compile = facts["compile"] and chosen.compiles
    scored = with_cross_entropy(objective)
    facts["layout"] = layout if layout is not None else _kept_layout(facts.get("layout"), opened, processes, console)
    placed = layout_of(facts["layout"], opened, graph, processes)
    checkpoints = processes.from_first(lambda: list_checkpoints(run))
    begun = zeros(scored.graph) if checkpoints else None  # of one all values are loaded, and none need be drawn
    trainer = trainer_at(scored.graph, recipe, chosen, place, compile, console, begun, processes, placed)
    trainer.check(objective.training(train, 0))
    machine = machine_facts(chosen, trainer, compile, processes)
    for difference in machine_differences(facts, machine):
        console.warn(f"{difference}: the last bits of the losses may differ from a run that was never interrupted")
    tell_outlook(before, recipe, graph, console)
    step = _take_up(checkpoints, trainer, console, processes)
    lines = processes.agree(lambda: cut_log(run, step or 0) if processes.is_first else [])
    facts["recipe"] = recipe.to_json()
    facts["resumed"] = [*facts.get("resumed", []), {"step": step or 0, **machine}]
    if processes.is_first:
        write_record(run, facts)
    console.say(
        f"`{run}` has no checkpoint yet: starting again" if step is None else f"resuming `{run}` after {step:,} steps"
    )
    return Session(
        run, graph, recipe, objective, found, train, held_out, trainer, scored, step or 0, tuple(lines),
        tuple(facts["log"]), processes,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- parts of both


def require_new(out: Path) -> None:
    """That `out` is a place for a new run (E0731)."""
    if is_run(out):
        raise error(
            "E0731", f"`{out}` already holds a training run",
            help=(f"resume it: `attndsl train --resume {out}`", "or start another with a different `--out`"),
        )  # fmt: skip
    if out.exists() and not out.is_dir():
        raise error("E0731", f"`{out}` is a file", help="give `--out` a folder that is new or empty")
    if out.is_dir() and any(out.iterdir()):
        raise error("E0731", f"`{out}` is not empty", help="give `--out` a folder that is new or empty")


def check_chosen(spec: Spec, made: Configured) -> None:
    """That the recipe fits the model. Where the spec has recipes for its variants alone, and none was chosen, the
    message names them."""
    try:
        check_recipe(made.recipe, made.graph)
    except AttnError as problem:
        others = spec.trained_variants if spec.train is None else ()
        if not others:
            raise
        base = spec.name.partition(":")[0] if spec.variant is not None else spec.name
        shown = ", ".join(f"`{base}:{name}`" for name in others)
        help = f"name a variant that has a recipe: {shown}"
        raise AttnError(*(replace(d, helps=(help, *d.helps)) for d in problem.diagnostics)) from None


def prepared(
    recipe: Recipe, graph: Graph, data: TrainingData, console: Console, run: Path | None = None
) -> tuple[Objective, Any, Any]:
    """The objective, and both parts of the data as it takes them; `run` is the folder of a training that began
    already."""
    objective = accompany(make_objective(recipe, graph, data.tokenizer, data.labels), run)
    return objective, objective.prepare(data.train, console.say), objective.prepare(data.held_out)


def processes_of(layout: str | None, spec: str | None, resume: str | Path | None) -> int:
    """How many processes a new training of `spec`, or the run to `resume`, is laid out on; 1 without a layout. Raises
    E10xx, and E0772 where they are more than anybody would start on this machine without being asked."""
    if resume is not None:
        record = open_record(Path(resume))
        text = layout if layout is not None else record.facts.get("layout")
        opened = open_spec(record.spec)
    else:
        assert spec is not None
        text, opened = layout, open_spec(spec)
    mesh = choose_mesh(text, opened) if text is not None else None
    there, usable = os.cpu_count() or 1, processors()
    most = max(usable, FEW)
    if mesh is not None and mesh.devices > most:
        raise error(
            "E0772", f"the layout has {mesh.devices:,} devices, {mesh}, and this machine may have {most} processes",
            note=f"it has {there} processors" + (f", of which this process may use {usable}" if usable < there else ""),
            help=("let torchrun start them on several machines",
                  "or give the number of processes: `--processes N`"
                  + (", by which each has its share of rows and parameters" if resume is not None else ""),
                  "or give another `--layout`"),
        )  # fmt: skip
    return mesh.devices if mesh is not None else 1


def _kept_layout(recorded: str | None, spec: Spec, processes: Processes, console: Console) -> str | None:
    """The layout of a run that goes on, unless there are more processes or fewer by now."""
    if recorded is None or (mesh := choose_mesh(recorded, spec)).devices == processes.size:
        return recorded
    there = f"{processes.size} processes" if processes.size > 1 else "one process"
    console.say(f"the run goes on without its layout, {recorded!r}: it has {mesh.devices} devices, for {there}")
    return None


def layout_of(text: str | None, spec: Spec, graph: Graph, processes: Processes) -> Layout | None:
    """The layout that is asked for; None where none is, or there is but one process. Raises E0772 where it is for
    another number of processes, E10xx."""
    layout = choose_layout(text, spec, graph) if text is not None else None
    if layout is None or layout.mesh.devices == processes.size:
        return layout if processes.size > 1 else None
    there = f"there are {processes.size} processes" if processes.size > 1 else "there is one process"
    devices = f"{layout.mesh.devices} device{'s' if layout.mesh.devices > 1 else ''}"
    raise error(
        "E0772", f"the layout has {devices}, {layout.mesh}, and {there}",
        layout.span,
        help=(f"start as many: `--processes {layout.mesh.devices}`", "or give the layout other sizes"),
    )  # fmt: skip


def tell_outlook(before: Recipe, recipe: Recipe, graph: Graph, console: Console) -> None:
    """Say how the learning rate will move, and warn of what became of a recipe for another length."""
    for line in outlook(recipe, (address for info in graph.parameters for address in info.addresses())):
        console.say(line)
    for caution in cautions(before, recipe):
        console.warn(caution)


def require_same(before: Recipe, now: Recipe, changed: list[str], what: str = "a resumed run") -> None:
    """That nothing changed which a run cannot go on without (E0734); `what` is done with it."""
    fixed = [*changed]
    for name, field in (("tokenizer", "tokenizer"), ("held_out", "held_out"), ("batches", "objective"),
                        ("special", "special"), ("freeze", "freeze"), ("seed", "seed")):  # fmt: skip
        if getattr(now, field) != getattr(before, field):
            fixed.append(name)
    kept = [(type(each.optimizer), each.optimizer.keeps((2, 2))) for each in (before, now)]
    if kept[0] != kept[1]:  # a checkpoint has nothing, or something else, for what it would go on with
        fixed.append("optimizer")
    _refuse_change(fixed, what)


def _refuse_change(names: Sequence[str], what: str = "a resumed run") -> None:
    if names:
        raise error(
            "E0734", f"{what} cannot change its `{names[0]}`",
            help="leave that setting out, or start a new run with another `--out`",
        )  # fmt: skip


def recorded_data(run: Path, facts: Mapping[str, Any], recipe: Recipe, data: Any, console: Console) -> TrainingData:
    """The very data that the run began with: from the cache, or made again from the same files (E0734)."""
    kept, cache = facts["data"], run.parent / CACHE
    if data is None and (found := open_data(kept["key"], recipe, cache, kept["paths"])) is not None:
        return found
    given = kept["paths"] if data is None else data
    if given is None:
        raise error(
            "E0734", f"the run `{run}` began with data from Python, which it did not keep",
            help="give the same again: `attndsl.training.train(resume=…, data=…)`",
        )  # fmt: skip
    kind = facts["tokenizer"].get("kind")
    labels = facts.get("labels")
    of_body = facts["tokenizer"].get("of_body", False)
    # Text is told by how its tokenizer came about, too: it is made again, unless it came with a body.
    tokenizer = load_tokenizer(kind, run) if kind and (of_body or recipe.objective.about.data != Data.TEXT) else None
    if kind == "file" and tokenizer is None:  # the file that the recipe names may be gone, and the run has a copy
        recipe = replace(recipe, tokenizer=str(run))
    found = load_data(given, recipe, cache, console.say, tokenizer)
    same = found.key == kept["key"] and (labels is None or list(found.labels or ()) == labels)
    made = found.tokenizer.fingerprint if found.tokenizer is not None else None
    if not same or made != facts["tokenizer"].get("fingerprint"):
        raise error(
            "E0734", f"the data at {shown(given)} are not the data that the run began with",
            note="a file was added, removed or changed, or the tokenizer's package was",
            help="restore the data, or start a new run on what is there now with another `--out`",
        )  # fmt: skip
    return found


def _take_up(
    checkpoints: Sequence[tuple[int, Path]], trainer: Trainer, console: Console, processes: Processes
) -> int | None:
    """Load the newest of the `checkpoints` that can be read; the number of its steps, None where there is none. Each of
    the `processes` verifies what it takes of one as it reads it."""
    problems: list[AttnError] = []
    for step, path in reversed(checkpoints):
        problem = processes.first_problem(processes.agree(partial(_load, path, trainer)))
        if problem is None:
            return step
        assert isinstance(problem, AttnError)
        console.warn(": ".join((problem.diagnostics[0].message, *problem.diagnostics[0].notes)))
        problems.append(problem)
    if problems:
        raise problems[0]
    return None


def _load(path: Path, trainer: Trainer) -> AttnError | None:
    """Let the trainer go on from a checkpoint. Gives what is wrong with the file: another must be loaded then, since
    some of it may have been set. Raises E0733 where it is whole and does not fit."""
    try:
        trainer.load_state(open_tensors(path, "the checkpoint")[0])
    except AttnError as problem:
        return problem
    except (KeyError, ValueError) as problem:
        raise error(
            "E0733", f"the checkpoint `{path}` does not fit the run: {problem.args[0]}",
            help="restore the run's files from a copy, or start a new run",
        ) from None  # fmt: skip
    return None


def _tokenizer_facts(data: TrainingData, of_body: bool) -> dict[str, Any]:
    tokenizer = data.tokenizer
    if tokenizer is None:
        return {}
    facts = {"kind": tokenizer.kind, "vocab": tokenizer.vocab, "fingerprint": tokenizer.fingerprint}
    return facts | ({"of_body": True} if of_body else {})
