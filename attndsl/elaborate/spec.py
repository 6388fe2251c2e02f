"""Specs: which model and variant of a file is meant, by a path, the name of a shipped spec, or in a text."""

from __future__ import annotations

from os.path import exists, isfile  # which say no, where those of Path raise, to a name that no file can have
from pathlib import Path

from attndsl.diagnostics import Source, Span, did_you_mean, error, few_suggestions
from attndsl.elaborate.files import FileScope, Library, specs_folder
from attndsl.records import dataclass, replace
from attndsl.syntax import tree
from attndsl.syntax.reading import decode


@dataclass(frozen=True, eq=False)
class Spec:
    """A file with at least one model, and which model and variant of it were asked for."""

    name: str
    scope: FileScope
    model: tree.Model
    variant: tree.Variant | None

    @property
    def file(self) -> tree.File:
        return self.scope.file

    @property
    def source(self) -> Source:
        return self.scope.source

    @property
    def variants(self) -> tuple[tree.Variant, ...]:
        return tuple(v for v in self.scope.variants if v.model.text == self.model.name.text)

    @property
    def weights(self) -> tuple[tree.Weights, ...]:
        return tuple(w for w in self.scope.weights if w.model.text == self.model.name.text)

    @property
    def layouts(self) -> tuple[tree.Layout, ...]:
        return tuple(it for it in self.scope.layouts if it.model.text == self.model.name.text)

    @property
    def train(self) -> tree.Train | None:
        """The recipe of the variant that was asked for (`train NAME:VARIANT`), else that of the model; None without."""
        own = [t for t in self.scope.trains if t.model.text == self.model.name.text]
        chosen = self.variant.name.text if self.variant is not None else None
        of_variant = (t for t in own if t.variant is not None and t.variant.text == chosen)
        return next(of_variant, None) or next((t for t in own if t.variant is None), None)

    @property
    def trained_variants(self) -> tuple[str, ...]:
        """The variants that have recipes of their own."""
        own = [t for t in self.scope.trains if t.model.text == self.model.name.text]
        return tuple(t.variant.text for t in own if t.variant is not None)


def shipped() -> dict[str, Path]:
    """The specs that come with attndsl, by name."""
    return {path.stem: path for path in sorted(specs_folder().glob("*.attn"))}


@few_suggestions()
def open_spec(name: str) -> Spec:
    """The spec called `name`: a file, a shipped spec (`gpt2`), either with a variant or model behind a colon.

    Raises `AttnError` (E05xx) where there is none, and with every error of syntax or declaration in it.
    """
    path, wanted = place_of(name)
    return choose(name, Library().open(path), wanted)


def place_of(name: str) -> tuple[Path, str]:
    """Where the spec called `name` lies, and the variant or model of it that is meant (empty: none is named). A path
    need not be that of a file; E0501 where it is no path either."""
    text, _, wanted = name, "", ""
    if not isfile(name) and ":" in name:
        text, _, wanted = name.rpartition(":")
    path = shipped().get(text)
    if path is None or isfile(text):
        path = Path(text)
        looks_like_a_name = path.suffix != ".attn" and len(path.parts) == 1
        if looks_like_a_name and not exists(path):
            raise error(
                "E0501",
                f"there is no spec `{text}`",
                help=(
                    *did_you_mean(text, shipped()),
                    f"shipped specs: {', '.join(shipped())}; or give a path to a .attn file",
                ),
            )
    return path, wanted


@few_suggestions()
def open_text(text: str, wanted: str = "", name: str = "<text>") -> Spec:
    """The spec in `text`, which messages call `name`; `wanted` is a variant or model of it. Imports by path start in
    the working folder.

    Raises `AttnError` with every error of syntax or declaration in it (E0502 and E0503 for what is not in it).
    """
    source = decode(text.encode("utf-8", "surrogatepass"), name)
    spec = choose(name, Library().open(Path(name), source=source), wanted)
    shown = spec.variant.name.text if spec.variant else ""
    return replace(spec, name=f"{spec.model.name.text}:{shown}" if shown else spec.model.name.text)


def choose(name: str, scope: FileScope, wanted: str) -> Spec:
    """The model of a file that is `wanted`, by itself or by a variant; its only one where nothing is said."""
    models = scope.models
    if not models:
        raise error(
            "E0503",
            f"`{scope.path}` declares no model",
            Span(scope.source, 0, 0),
            help="a spec needs a `model NAME(…) { … }`; a file of blocks is for `use`",
        )
    chosen = [v for v in scope.variants if v.name.text == wanted]
    if wanted in models:
        return Spec(name, scope, models[wanted], None)
    if wanted:
        if not chosen:
            names = [v.name.text for v in scope.variants]
            raise error(
                "E0502",
                f"`{scope.path.stem}` has no variant `{wanted}`",
                help=did_you_mean(wanted, names) or (f"its variants: {', '.join(names) or 'none'}",),
            )
        return Spec(name, scope, models[chosen[0].model.text], chosen[0])
    if len(models) > 1:
        raise error(
            "E0503",
            f"`{scope.path}` declares {len(models)} models",
            help=f"say which: {', '.join(f'{name}:{m}' for m in models)}",
        )
    return Spec(name, scope, next(iter(models.values())), None)
