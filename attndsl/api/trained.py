"""Trained models as objects: what `Model.train` gives, and `attndsl.open_run` reads again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.api.given import merged, python_warnings
from attndsl.api.history import TrainingHistory
from attndsl.diagnostics import AttnError, Diagnostic, error
from attndsl.records import Frozen, replace

if TYPE_CHECKING:
    from attndsl.api.model import Model
    from attndsl.attention_maps.maps import Maps
    from attndsl.elaborate import Spec
    from attndsl.elaborate.settings import Setting
    from attndsl.graph import Graph
    from attndsl.objectives.predictions import Prediction
    from attndsl.running.program import Array
    from attndsl.runs.run import Run
    from attndsl.training import Console, Outcome

    Path_ = str | os.PathLike[str]


def open_run(path: Path_, spec: str | None = None, **hyperparameters: Setting) -> TrainedModel:
    """The trained model in the folder at `path`: one that `Model.train` or `attndsl train` wrote, or, with the name of
    its `spec`, one that was published with its tokenizer (`attndsl.open_run("bert-base-uncased/", "bert")`).
    `hyperparameters` change what no parameter's shape depends on (`memory=512`).

    Raises E0732 (not a run, or nothing trained yet), E0733 (damaged), E0745 (no tokenizer beside published weights).
    """
    if spec is None:
        from attndsl.generation import load_run

        with python_warnings():
            return TrainedModel(load_run(Path(path), hyperparameters))
    from attndsl.generation.published import open_published

    with python_warnings():
        return TrainedModel(open_published(spec, os.fspath(path), hyperparameters))


def resume(
    path: Path_, settings: Mapping[str, Setting] | None = None, /, *, quiet: bool = False, **changes: Setting
) -> TrainedModel:
    """Resume the training run in the folder at `path`, with keys of its recipe changed (`steps=2000`). Raises E0732
    to E0734."""
    from attndsl.training import train

    return _used(train(resume=os.fspath(path), settings=merged(settings, changes), console=console(quiet)))


def train(
    spec: Spec,
    data: Any,
    out: Path_ | None,
    settings: Mapping[str, Setting],
    *,
    weights: Path_ | None,
    backend: str | None,
    device: str | None,
    compile: bool,
    log: Sequence[str],
    quiet: bool,
) -> TrainedModel:
    """See `Model.train`."""
    from attndsl import training

    folder = os.fspath(out) if out is not None else None
    return _used(
        training.train(
            spec, data, folder, settings=settings, weights=weights, backend=backend, device=device, compile=compile,
            log=log, console=console(quiet),
        )
    )  # fmt: skip


def _used(outcome: Outcome) -> TrainedModel:
    """The model that a training left; that of its newest checkpoint where it was interrupted."""
    from attndsl.generation import load_run

    return TrainedModel(load_run(outcome.run), outcome)


def console(quiet: bool) -> Console:
    """Where a training that was started from Python says what it does."""
    from attndsl.training.console import Plain, Silent

    return Silent() if quiet else Plain()


class TrainedModel:
    """A model with its weights, its tokenizer, and what it was trained for.

    Made by `Model.train`, `attndsl.open_run` and `attndsl.resume`. Examples are texts, pairs of texts (as tuples),
    lists of words, or pictures (arrays), as the objective takes them. Methods take a list of them and return a list;
    a single text or pair may be given without a list.
    """

    run: Run
    """The run as `attndsl.generation` reads it: graph, weights, tokenizer, recipe."""
    outcome: Outcome | None
    """How the training ended, where this process did it: losses, metrics, whether it was interrupted."""

    def __init__(self, run: Run, outcome: Outcome | None = None) -> None:
        self.run = run
        self.outcome = outcome

    @property
    def folder(self) -> Path:
        return self.run.folder

    @property
    def graph(self) -> Graph:
        return self.run.graph

    @property
    def step(self) -> int:
        """The number of steps that it was trained for."""
        return self.run.step

    @property
    def weights(self) -> Mapping[str, Array]:
        """The parameters by address."""
        return self.run.weights

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the classes, where there are any, in the order of their numbers."""
        found = self.run.facts.get("labels")
        return tuple(found) if found is not None else None

    @property
    def metrics(self) -> dict[str, float | None]:
        """The metrics on held-out data, by name; None where one could not be computed. Empty before the end."""
        return {str(metric["name"]): metric["value"] for metric in self.run.facts.get("metrics", ())}

    @property
    def history(self) -> TrainingHistory:
        """The log of its training, as arrays by name. Raises E0732 where it was not trained here."""
        from attndsl.runs.history import read_history

        return TrainingHistory(read_history(self.folder))

    @property
    def model(self) -> Model:
        """The model at the run's hyperparameters, with its weights: `.model.torch()`, `.model.draw()`,
        `.model.verify()`."""
        from attndsl.api.loading import load
        from attndsl.runs.record import open_record

        record = open_record(self.folder)
        return load(record.spec, record.settings, weights=self.folder)

    def __repr__(self) -> str:
        return f"<attndsl.TrainedModel {self.folder} · {self.graph.name} after {self.step:,} steps>"

    def with_weights_as(self, kind: str) -> TrainedModel:
        """The same model with its matrices kept in fewer bits, for all that it is used for: `"bfloat16"` rounds them,
        `"int8"` has a scale for each channel, and a text is written faster so. Raises E0812 for another kind."""
        from attndsl.running.weights_as import require_known

        require_known(kind)
        return TrainedModel(replace(self.run, weights_as=kind), self.outcome)

    def _repr_html_(self) -> str:
        """What it is, how good, and its curve."""
        from attndsl.runs.record import is_run

        head = f"<b>{escape(self.graph.name)}</b> · {self.graph.parameter_count:,} parameters"
        if not is_run(self.folder):
            return f"<div>{head} · {escape(str(self.folder))}</div>"
        history = self.history
        kept = (f"{escape(name)} {value:.4g}" for name, value in self.metrics.items() if value is not None)
        facts = " · ".join((f"{history.record.state} after {self.step:,} steps", *kept))
        return f"<div>{head} · {escape(str(self.folder))}<br><small>{facts}</small>{history._repr_html_()}</div>"

    # ------------------------------------------------------------ using it

    def generate(self, prompt: Any = "", tokens: int = 256, **options: Any) -> Any:
        """The continuation of `prompt`; for a model that turns one text into another, its answer to that source; for a
        model of pictures the picture that it draws (of a caption, or of a picture again), float32 `[channels, height,
        width]` with values between 0 and 1.

        `temperature`, `top_k`, `top_p` and `seed` choose the tokens (by default temperature 1; with a source 0, which
        picks the most likely); `beams` and `length_penalty` search, with a source. `cache=False` reads the whole text
        again for each token. `draft`, a smaller trained model with the same tokenizer, makes it need fewer passes, for
        the same text. Several prompts are read as one batch, and each draws from random numbers of its own. Raises
        E0740 to E0744, E0762, E0797.
        """
        from attndsl.generation.fits import answers, draws

        if draws(self.run):
            return _one_or_all(self.run, prompt, lambda those: list(self._pictures(those, **options)))
        if answers(self.run):
            return _one_or_all(self.run, prompt, lambda sources: self._answers(sources, tokens, **options))
        return _one_or_all(self.run, prompt, lambda texts: self._continued(texts, tokens, **options))

    def stream(self, prompt: str = "", tokens: int = 256, **options: Any) -> Iterator[str]:
        """The continuation that `generate` returns, piece by piece, as it is generated."""
        from attndsl.generation import generate

        return generate(self.run, prompt, tokens, **self._continuing(options))

    def _continued(self, prompts: Sequence[str], tokens: int, **options: Any) -> list[str]:
        from attndsl.generation import generate_each

        return generate_each(self.run, prompts, tokens, **self._continuing(options))

    def _continuing(self, options: Mapping[str, Any]) -> Any:
        from attndsl.generation.generate import Options

        _require_known(options, tuple(Options.__annotations__), "generate")
        return {name: value.run if isinstance(value, TrainedModel) else value for name, value in options.items()}

    def _pictures(self, examples: Sequence[Any], **options: Any) -> Array:
        from attndsl.decoding.sampling import Sampling
        from attndsl.generation.draw import draw

        drawing = ("temperature", "top_k", "top_p", "seed")
        _require_known(options, (*drawing, "backend", "device"), "generate")
        sampling = Sampling(**{name: options[name] for name in drawing if name in options})
        place = {name: options[name] for name in ("backend", "device") if name in options}
        return draw(self.run, examples, sampling, **place)

    def _answers(self, sources: Sequence[Any], tokens: int, **options: Any) -> list[str]:
        from attndsl.decoding.sampling import Sampling
        from attndsl.decoding.sequences import Beam
        from attndsl.generation.respond import respond

        drawing, searching = ("temperature", "top_k", "top_p", "seed"), ("beams", "length_penalty")
        _require_known(options, (*drawing, *searching, "backend", "device", "cache"), "generate")
        drawn, searched = ([name for name in names if name in options] for names in (drawing, searching))
        if drawn and searched:
            raise error("E0797", f"`{searched[0]}` searches, and `{drawn[0]}` samples", help="give one of the two")
        place = {name: options[name] for name in ("backend", "device", "cache") if name in options}
        if searched:
            beam = Beam(options.get("beams", 4), options.get("length_penalty", 0.6))
            return respond(self.run, sources, tokens, beam=beam, **place)
        chosen = {name: options[name] for name in drawn}
        chosen.setdefault("temperature", 1.0 if drawn else 0.0)
        return respond(self.run, sources, tokens, sampling=Sampling(**chosen), **place)

    def predict(
        self,
        examples: Any,
        top: int = 5,
        *,
        labels: Sequence[str] | None = None,
        template: str | None = None,
        backend: str | None = None,
        device: str | None = None,
    ) -> list[Prediction] | list[list[Prediction]]:
        """The prediction for an example: its class, a tag for each word, or a token for each mask, with the `top` most
        likely answers of each. A model of pictures and texts chooses among any `labels`, each put into the `template`
        ("a picture of a {}"). Raises E0744 where the run predicts nothing, E0749, E0752, E0756, E0759."""
        from attndsl.generation.predict import predict

        place: dict[str, Any] = {"backend": backend, "device": device}
        found: list[Prediction] | list[list[Prediction]] = _one_or_all(
            self.run, examples, lambda those: predict(self.run, those, top, labels=labels, template=template, **place)
        )
        return found

    def embed(
        self,
        examples: Any,
        pool: str = "mean",
        output: str | None = None,
        *,
        backend: str | None = None,
        device: str | None = None,
    ) -> Any:
        """A vector for each example, `[examples, width]` (`[width]` for a single text): the `mean`, `first` or `last`
        place of an output with vectors. With `none`, an array `[places, width]` for each text, with a vector for each
        word or token. Raises E0746, E0752, E0756, E0767."""
        from attndsl.generation.embed import embed, embed_places

        def use(those: list[Any]) -> Any:
            if pool == "none":
                return [rows for _, rows in embed_places(self.run, those, output, backend=backend, device=device)]
            return embed(self.run, those, pool, output, backend=backend, device=device)

        return _one_or_all(self.run, examples, use)

    def attend(
        self, example: Any, target: str | None = None, *, backend: str | None = None, device: str | None = None
    ) -> AttentionDrawing:
        """What every layer and head attends to, given one example; a notebook shows it. `target` is what a decoder
        is given beside an encoder (by default, what it generates itself). Raises E0747, E0748, E0752, E0756."""
        from attndsl.attention_maps.run import attend

        return AttentionDrawing(attend(self.run, example, target, backend=backend, device=device))


class AttentionDrawing(Frozen):
    """Heat maps of attention."""

    maps: Maps

    def save(self, path: Path_) -> None:
        """Write a page with everything (.html), or a picture (.svg, .png)."""
        from attndsl.attention_maps import save

        save(self.maps, Path(path))

    def _repr_html_(self) -> str:
        from attndsl.attention_maps import to_svg

        return to_svg(self.maps)


def _one_or_all(run: Run, examples: Any, use: Any) -> Any:
    """What `use` makes of a list of examples; a text, a pair, a row, a picture `[height, width]` or the path of one
    alone is a list of one. Raises E0749 where it is none of them."""
    from attndsl.generation.examples import pictures

    about = run.recipe.objective.about
    seen, shape = about.sees(), getattr(examples, "shape", None)
    single = (str, tuple, Mapping, os.PathLike)
    is_single = isinstance(examples, single) or (seen and shape is not None and len(shape) == 2)
    if not is_single and (not isinstance(examples, Iterable) or shape == ()):
        kind, wanted = run.recipe.objective.kind, "a picture" if seen else "a text"
        raise error(
            "E0749", f"`{str(examples)[:60]}` is not something that a model trained with `{kind}` takes",
            help=f"give {wanted}, or a list of them",
        )  # fmt: skip
    those = [examples] if is_single else list(examples)
    if seen:
        paths = (os.PathLike,) if about.reads_texts() else (str, os.PathLike)  # a string may be a text
        those = [each for one in those for each in (pictures(run, [one]) if isinstance(one, paths) else [one])]
    found = use(those)
    return found[0] if is_single and len(those) == 1 else found


def _require_known(options: Mapping[str, Any], known: Sequence[str], method: str) -> None:
    from attndsl.diagnostics import did_you_mean

    unknown = [name for name in options if name not in known]
    if unknown:
        raise AttnError(
            *(
                Diagnostic(
                    "E0797", f"`{method}` of this model takes no `{name}`",
                    helps=did_you_mean(name, known) or (f"it takes {', '.join(known)}",),
                )
                for name in unknown
            )
        )  # fmt: skip
