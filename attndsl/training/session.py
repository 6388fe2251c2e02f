"""A training run made ready: the model, the text and the trainer, for a new folder or one that goes on."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attndsl.data.dataset import Dataset, load_dataset, open_dataset
from attndsl.data.files import file_errors
from attndsl.data.tokenizers import Bytes, TokenizerChoice
from attndsl.diagnostics import error
from attndsl.elaborate import Spec, elaborate, load, open_spec
from attndsl.elaborate.settings import Setting
from attndsl.graph import Graph
from attndsl.initial import require_memory
from attndsl.sizes import Size
from attndsl.training.api import Trainer, make_trainer
from attndsl.training.checkpoint import newest_checkpoint
from attndsl.training.console import Console
from attndsl.training.log import Line, cut_log
from attndsl.training.recipe import Recipe, check_recipe, read_recipe, split_settings
from attndsl.training.record import RECORD, SPEC, copy_spec, open_record, versions, write_record
from attndsl.writing import PARTIAL, sync_folder

CACHE = ".attndsl-tokens"  # beside the run, so that runs on the same text share it


@dataclass(frozen=True, slots=True)
class Session:
    """Everything the loop needs; `step` steps are done already, and `lines` is the log of them."""

    run: Path
    graph: Graph
    recipe: Recipe
    dataset: Dataset
    trainer: Trainer
    step: int = 0
    lines: tuple[Line, ...] = ()


def begin(
    spec: str,
    data: str | Sequence[str],
    out: Path,
    settings: Mapping[str, Setting],
    backend: str | None,
    device: str | None,
    compile: bool,
    console: Console,
) -> Session:
    """Make a new run folder at `out`. Raises what checking the spec raises, and E07xx; nothing is written to `out`
    before the spec, the recipe and the data are known to be good."""
    if (out / RECORD).exists():
        raise error(
            "E0731", f"`{out}` holds a training run already",
            help=(f"go on with it: `attndsl train --resume {out}`", "or start another with a different `--out`"),
        )  # fmt: skip
    if out.exists() and not out.is_dir():
        raise error("E0731", f"`{out}` is a file", help="give `--out` a folder that is new or empty")
    if out.is_dir() and any(out.iterdir()):
        raise error("E0731", f"`{out}` is not empty", help="give `--out` a folder that is new or empty")
    opened = open_spec(spec)
    graph, recipe, model_settings = _configure(opened, settings)
    check_recipe(recipe, graph)
    backend, device = _place(backend, device)
    _require_memory(graph, recipe, device)
    choice = TokenizerChoice.parse(recipe.tokenizer)
    dataset = load_dataset(data, choice, recipe.held_out, out.parent / CACHE, console.say)
    graph, recipe, model_settings = _with_vocabulary(opened, settings, graph, recipe, model_settings, dataset)
    check_recipe(recipe, graph)
    dataset.require(recipe.length, _shown(data))
    trainer = _trainer(graph, recipe, backend, device, compile, console)
    # The folder appears complete or not at all: a run that was killed while it began leaves nothing in the way.
    staging = out.with_name(f".{out.name}{PARTIAL}")
    with file_errors("create", out):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
    facts = {
        "spec": copy_spec(opened, staging / SPEC),
        "settings": model_settings,
        "hyperparameters": {name: _plain(value) for name, value in graph.hyperparameters.items()},
        "parameters": graph.parameter_count,
        "recipe": recipe.to_json(),
        "tokenizer": {
            "kind": dataset.tokenizer.kind,
            "vocab": dataset.vocab,
            "fingerprint": dataset.tokenizer.fingerprint,
        },
        "data": {
            "paths": [str(Path(path).absolute()) if Path(path).exists() else path for path in _several(data)],
            "key": dataset.key,
            "train": {"tokens": len(dataset.train.tokens), "bytes": dataset.train.bytes},
            "held_out": {"tokens": len(dataset.held_out.tokens), "bytes": dataset.held_out.bytes},
            "split_by": dataset.split_by,
            "documents": dataset.documents,
            "held_out_documents": dataset.held_out_documents,
            "unigram_entropy": dataset.unigram_entropy,
        },
        **_machine(backend, trainer, compile),
        "resumed": [],
    }
    dataset.tokenizer.save(staging)
    write_record(staging, facts)
    with file_errors("create", out):
        os.rename(staging, out)
        sync_folder(out.parent)
    return Session(out, graph, recipe, dataset, trainer)


def go_on(
    run: Path,
    settings: Mapping[str, Setting],
    data: str | Sequence[str] | None,
    backend: str | None,
    device: str | None,
    compile: bool | None,
    console: Console,
) -> Session:
    """Take up a run where its newest checkpoint left it (from the start, where it has none). Only settings of the
    training may change, and not those that decide the tokens. E0732 (no run), E0733 (damaged), E0734 (changed)."""
    record = open_record(run)
    facts = dict(record.facts)
    recipe = Recipe.from_json(facts["recipe"])
    graph = load(record.spec, record.settings)
    model, training = split_settings(settings, graph.hyperparameters)
    changed = recipe.override(training)
    wanted = load(record.spec, {**record.settings, **model}).hyperparameters
    fixed = [name for name, value in wanted.items() if value != graph.hyperparameters[name]]
    fixed += [n for n in ("tokenizer", "held_out", "inputs", "seed") if getattr(changed, n) != getattr(recipe, n)]
    if changed.optimizer.kind != recipe.optimizer.kind:
        fixed.append("optimizer")
    if fixed:
        raise error(
            "E0734", f"a run that goes on cannot change its `{fixed[0]}`",
            help="leave that setting out, or start a new run with another `--out`",
        )  # fmt: skip
    if changed != recipe:
        names = [
            f.name
            for f in dataclasses.fields(Recipe)
            if f.compare and getattr(recipe, f.name) != getattr(changed, f.name)
        ]
        console.warn(
            f"{', '.join(names)} changed since the run began: from here on it is not the run that it would have been"
        )
    recipe = changed
    check_recipe(recipe, graph)
    dataset = _recorded_data(run, facts, recipe, data, console)
    backend = backend or facts["backend"]
    device = device or (facts["device"] if backend == facts["backend"] else None)
    if compile is None:
        compile = facts["compile"] and backend == "torch"
    backend, device = _place(backend, device)
    trainer = _trainer(graph, recipe, backend, device, compile, console)
    machine = _machine(backend, trainer, compile)
    for difference in _differences(facts, machine):
        console.warn(f"{difference}: the last bits of the losses may differ from a run that was never interrupted")
    checkpoint, problems = newest_checkpoint(run)
    for problem in problems:
        console.warn(problem.diagnostics[0].message)
    if checkpoint is None and problems:
        raise problems[0]
    step = 0
    if checkpoint is not None:
        step = checkpoint.step
        try:
            trainer.load_state(checkpoint.state)
        except (KeyError, ValueError) as problem:
            raise error(
                "E0733", f"the checkpoint `{checkpoint.path}` does not fit the run: {problem.args[0]}",
                help="restore the run's files from a copy, or start a new run",
            ) from None  # fmt: skip
    lines = cut_log(run, step)
    facts["recipe"] = recipe.to_json()
    facts["resumed"] = [*facts.get("resumed", []), {"step": step, **machine}]
    write_record(run, {name: value for name, value in facts.items() if name != "format"})
    console.say(
        f"going on with `{run}` after {step:,} steps"
        if checkpoint
        else f"`{run}` has no checkpoint yet: starting again"
    )
    return Session(run, graph, recipe, dataset, trainer, step, tuple(lines))


# ---------------------------------------------------------------------------------------------- parts of both


def _configure(spec: Spec, settings: Mapping[str, Setting]) -> tuple[Graph, Recipe, dict[str, Setting]]:
    # Which settings are the model's is known only once the model is: at its defaults first.
    plain = elaborate(spec, {})
    model, training = split_settings(settings, plain.hyperparameters)
    graph = elaborate(spec, model) if model else plain
    return graph, read_recipe(spec.train, graph.hyperparameters).override(training), model


def _with_vocabulary(
    spec: Spec,
    settings: Mapping[str, Setting],
    graph: Graph,
    recipe: Recipe,
    model: dict[str, Setting],
    dataset: Dataset,
) -> tuple[Graph, Recipe, dict[str, Setting]]:
    """The model at the tokenizer's vocabulary. A vocabulary that was set must hold every token (E0709)."""
    name, limit = vocabulary(graph, recipe.inputs[0])
    if name is not None and name not in model:
        if limit == dataset.vocab:
            return graph, recipe, {**model, name: limit}
        return _configure(spec, {**settings, name: dataset.vocab})
    if limit is not None and limit < dataset.vocab:
        what = f"`{name}` is {limit:,}" if name else f"`{recipe.inputs[0]}` must be below {limit:,}"
        smaller = ("or use a smaller tokenizer, such as `--set tokenizer=bytes`",) if limit >= Bytes.vocab else ()
        raise error(
            "E0709", f"the tokenizer has {dataset.vocab:,} tokens, and {what}",
            help=(
                f"leave `--set {name}=…` out: the tokenizer sets it" if name else "make it a hyperparameter",
                *smaller,
            ),
        )  # fmt: skip
    return graph, recipe, model


def vocabulary(graph: Graph, tokens: str) -> tuple[str | None, int | None]:
    """The hyperparameter that bounds the input `tokens` (`tokens < vocab`), and the bound; None where there is none."""
    for info in graph.inputs:
        for bound in info.bounds if info.name == tokens else ():
            if bound.relation == "<":
                name = next((n for n in sorted(bound.limit.symbols) if bound.limit == Size.symbol(n)), None)
                return name, bound.limit.value(graph.sizes)
    value = graph.hyperparameters.get("vocab")
    return ("vocab", value) if isinstance(value, int) else (None, None)


def _recorded_data(
    run: Path, facts: Mapping[str, Any], recipe: Recipe, data: str | Sequence[str] | None, console: Console
) -> Dataset:
    """The very tokens that the run began with: from the cache, or made again from the same files."""
    key, cache = facts["data"]["key"], run.parent / CACHE
    if data is None and (kept := open_dataset(cache, key)) is not None:
        return kept
    kind = recipe.tokenizer
    choice = TokenizerChoice.parse(kind if kind in ("bytes", "chars") or kind.startswith("bpe:") else str(run))
    paths = facts["data"]["paths"] if data is None else data
    found = load_dataset(paths, choice, recipe.held_out, cache, console.say)
    if found.key != key or found.tokenizer.fingerprint != facts["tokenizer"].get("fingerprint"):
        raise error(
            "E0734", f"the text at {_shown(paths)} is not the text that the run began with",
            note="a file was added, removed or changed, or the tokenizer's package was",
            help="restore the text, or start a new run on what is there now with another `--out`",
        )  # fmt: skip
    return found


def _place(backend: str | None, device: str | None) -> tuple[str, str]:
    """The backend and device asked for, or the best there are."""
    if backend is None:
        import importlib.util

        backend = "torch" if importlib.util.find_spec("torch") else "numpy"
    if device is None:
        device = "cpu"
        if backend == "torch":
            try:
                import torch
            except ImportError:
                return backend, device
            device = "cuda" if torch.cuda.is_available() else "cpu"
    return backend, device


def _require_memory(graph: Graph, recipe: Recipe, device: str) -> None:
    """That parameters, gradients and the optimizer's averages fit, before the text is read (E0806)."""
    copies = (3 if recipe.optimizer.kind == "sgd" else 4) if device == "cpu" else 1
    require_memory(graph, "float64" if recipe.precision == "float64" else "float32", copies)


def _trainer(graph: Graph, recipe: Recipe, backend: str, device: str, compile: bool, console: Console) -> Trainer:
    trainer = make_trainer(graph, recipe, backend, device, compile=compile)
    if trainer.precision != recipe.precision:
        console.warn(f"the {backend} backend does not train in {recipe.precision}: it computes in {trainer.precision}")
    return trainer


def _machine(backend: str, trainer: Trainer, compile: bool) -> dict[str, Any]:
    return {
        "backend": backend,
        "device": trainer.device,
        "precision": trainer.precision,
        "threads": trainer.threads,
        "compile": compile,
        "versions": versions(backend),
    }


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = [
        f"{name} was {before.get(name)} and is {now[name]}"
        for name in ("backend", "device", "precision", "threads", "compile")
        if before.get(name) != now[name]
    ]
    for name, version in now["versions"].items():
        was = before.get("versions", {}).get(name)
        if was != version and was is not None:
            found.append(f"{name} was {was} and is {version}")
    return found


def _plain(value: object) -> object:
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _several(data: str | Sequence[str]) -> list[str]:
    return [data] if isinstance(data, str) else list(data)


def _shown(data: str | Sequence[str]) -> str:
    return ", ".join(f"`{path}`" for path in _several(data))
