"""Which text belongs to which picture: `contrast(image, tokens, match)` (Radford et al., 2021, section 2.3).

A batch has as many texts as pictures, each belonging to one, so its loss is not a mean over independent rows: how hard
it is to find a text depends on how many others there are. Classes that no training set had are named by texts, and a
picture's class is the text that is most like it (section 3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.diagnostics import error
from attndsl.graph import FLOAT, OutputInfo
from attndsl.lazy import Array, np
from attndsl.objectives.base import Batch, Known, Predict, Use, lengths_of, padded, present
from attndsl.objectives.draws import CAPTION, Draws
from attndsl.objectives.metrics import Metric, class_metrics, loss_metrics
from attndsl.objectives.pictures import IMAGE_COLUMN, NORMALISED, SHIFTED, PictureObjective
from attndsl.objectives.predictions import Prediction, likeliest
from attndsl.objectives.roles import IMAGE, LAST, MATCH, TOKENS, VALID, Data
from attndsl.objectives.rows import drawn, spread, tell_cut
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.data.table import Table
    from attndsl.objectives.choice import ObjectiveChoice

PLACE = "{}"  # where a template has the name of a class


class Captioned(Frozen, eq=False):
    """`images` float32 `[rows, channels, height, width]`; for each one or more captions, framed tokens; the number of
    each picture's class, where classes are named."""

    images: Array
    captions: list[list[Array]]
    labels: Array | None


class Contrast(PictureObjective):
    """`labels` are the names of the classes that a picture may have when the model is used."""

    name = "contrast"
    doc = "which text belongs to which picture"
    data = Data.IMAGES
    required = (IMAGE, TOKENS, MATCH)
    optional = (VALID, LAST)
    options: ClassVar = {
        "image": IMAGE_COLUMN,
        "caption": Option("word", "caption", "the column with the text, or a list of texts, of which one is drawn"),
        "label": Option("word", "none", "the column with the class, to measure on; `none`: there is none"),
        "template": Option("word", "a picture of a {}", "the text that names a class"),
        **NORMALISED,
        "shift": SHIFTED,
    }
    special = ("pad",)
    scored = None
    answers = ("match",)
    held = ("tokens", "valid", "last")
    joint = True
    open_labels = True
    reads = ("image", "caption", "label")
    unit = "pairs"
    use = Use.PREDICT
    does = "says which text belongs to a picture"
    command = "predict {run} --image FILE --labels zero,one,…"
    takes = "a picture (an array [height, width], or with channels), or a text"

    @classmethod
    def labels_of(cls, choice: ObjectiveChoice, table: Table) -> tuple[str, ...] | None:
        column = choice.column("label")
        return None if column is None else tuple(table.labels_of(column))

    @classmethod
    def texts_of(cls, choice: ObjectiveChoice, table: Table) -> list[str]:
        return [text for texts in table.captions(str(choice.options["caption"])) for text in texts]

    @classmethod
    def accepts(cls, example: Any) -> bool:
        return isinstance(example, str) or super().accepts(example)

    # ------------------------------------------------------------ training

    def prepare(self, data: Table, say: Callable[[str], None] = lambda text: None) -> Captioned:
        images = data.images(str(self.choice.options["image"]))
        texts = data.captions(str(self.choice.options["caption"]))
        encoded = iter(self.tokenizer.encode_batch([text for several in texts for text in several]))
        room, cut = max(1, self.recipe.length - self.frame), 0
        captions: list[list[Array]] = []
        for several in texts:
            rows = [next(encoded) for _ in several]
            cut += sum(len(row) > room for row in rows)
            captions.append([self.framed(row[:room]) for row in rows])
        tell_cut(say, cut, sum(map(len, captions)), self.recipe.length, "captions")
        if len(images):
            self.require_size(images[:1], data.origin)
        column = self.choice.column("label")
        if column:
            self.texts(self.prompts())  # that they fit, before anything is trained
        return Captioned(images, captions, data.encode_labels(column, self.labels or ()) if column else None)

    def beside(self, count: int) -> Batch:
        return self._texts([np.zeros(1, dtype=np.int64)] * count) | self._matched(count)

    def training(self, data: Captioned, step: int, part: int = 0) -> Batch:
        rows = drawn(self.recipe, len(data.images), step, part)
        images = self.drawn_pictures(data.images[rows], step, part)
        draws = Draws(CAPTION, self.recipe.seed, step, part).uniform(len(rows))
        return self._pairs(images, [data.captions[row] for row in rows.tolist()], draws)

    def evaluation(self, data: Captioned, batches: int) -> Iterator[Batch]:
        """Each picture with the first of its texts."""
        for rows in spread(self.recipe, len(data.images), batches):
            captions = [data.captions[row] for row in rows.tolist()]
            yield self._pairs(data.images[rows], captions, np.zeros(len(rows)))

    def _pairs(self, images: Array, captions: Sequence[Sequence[Array]], draws: Array) -> Batch:
        """A batch of pictures, each with the one of its texts that a draw in [0, 1) chooses."""
        chosen = [several[int(draw * len(several))] for several, draw in zip(captions, draws, strict=True)]
        return self.given_pictures(images) | self._texts(chosen) | self._matched(len(images))

    def _matched(self, count: int) -> Batch:
        return self.given(match=np.arange(count, dtype=np.int64))

    def _texts(self, rows: Sequence[Array]) -> Batch:
        tokens, lengths = padded(rows, self.padding), lengths_of(rows)
        return self.given(tokens=tokens, valid=present(lengths, tokens.shape[1]), last=np.maximum(lengths - 1, 0))

    def positions(self, batch: Mapping[str, Array]) -> int:
        return len(batch[self.input("image")])

    def counted(self, batch: Mapping[str, Array]) -> int:
        return len(batch[self.input("image")])

    # ------------------------------------------------------------ use

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Pictures (arrays, or rows with the column for them), or texts. Raises E0749 where some are pictures and some
        texts, E0752 for a text that is too long, E0756."""
        texts = [example for example in examples if isinstance(example, str)]
        if texts and len(texts) < len(examples):
            raise error("E0749", "some of the examples are pictures, and some texts", help="ask for them separately")
        return self.texts(texts) if texts else self.given_pictures(self.pictures_in(examples))

    def texts(self, texts: Sequence[str]) -> Batch:
        """The inputs for texts alone. Raises E0752 for one that is longer than the model takes."""
        rows = [self.framed(row) for row in self.tokenizer.encode_batch(list(texts))]
        self.require_short(rows, "tokens")
        return self._texts(rows)

    def prompts(self) -> list[str]:
        """The texts that name the classes. Raises E0759 where there are no labels, or they do not fit."""
        labels, template = self.labels or (), str(self.choice.options["template"])
        twice = next((name for place, name in enumerate(labels) if name in labels[:place]), None)
        if len(labels) < 2 or twice is not None or not all(label.strip() for label in labels):
            what = f"`{twice}` is given twice" if twice else "a label is empty" if len(labels) > 1 else (
                f"there is one label, `{labels[0]}`" if labels else "there are no labels to choose from"
            )  # fmt: skip
            raise error(
                "E0759", what, help="give two or more different names, with commas between: `--labels zero,one,two`"
            )
        if template.count(PLACE) != 1:
            raise error(
                "E0759", f"the template `{template}` does not say where the name of a class stands",
                help='write `{}` there, once: `--template "a picture of a {}"`',
            )  # fmt: skip
        return [template.replace(PLACE, label.strip()) for label in labels]

    @cached_property
    def named(self) -> Batch:
        """The inputs for the texts that name the classes: the same arrays each time. Raises E0752, E0759."""
        return self.texts(self.prompts())

    def similarities(self) -> tuple[OutputInfo, tuple[int, int]]:
        """The output with a number for each picture and each text, and which of its axes is which. Raises E0753."""
        inputs = {info.name: info.value.type.axes[0] for info in self.graph.inputs if info.value.type.axes}
        pictures, texts = inputs[self.input("image")], inputs[self.input("tokens")]
        known = set(self.choice.roles.values()) - {self.input("match")}
        for info in self.graph.outputs:
            axes = info.value.type.axes
            fits = info.value.type.dtype == FLOAT and set(axes) == {pictures, texts} and len(axes) == 2
            if fits and info.needs <= known:
                return info, (axes.index(pictures), axes.index(texts))
        raise error(
            "E0753",
            f"{self.graph.name} has no output with a number for each picture and each text",
            note=f"one needs the axes {pictures} and {texts}, and inputs that are known",
            help="`output logits_per_image = …`",
        )

    def _scores(self, predict: Predict, images: Batch, texts: Batch) -> Array:
        """How alike each picture and each text are, `[pictures, texts]`."""
        output, axes = self.similarities()
        scores: Array = np.asarray(predict({**images, **texts}, [output.name])[output.name]).transpose(axes)
        return scores

    def metrics(self, predict: Predict, data: Captioned, batches: int, known: Known) -> list[Metric]:
        """How often the text most like a picture is its own among those of a batch, or the same; with classes, how
        often it is the one that names the picture's class."""
        found, right, chance, guess = loss_metrics(known), [], [], []
        prompts = self.named if data.labels is not None else None
        count = max(batches, -(-len(data.images) // self.recipe.batch))
        for batch in self.evaluation(data, count):
            images = {self.input("image"): batch.pop(self.input("image"))}
            del batch[self.input("match")]
            tokens = batch[self.input("tokens")]
            best = self._scores(predict, images, batch).argmax(1)
            same = (tokens[:, None] == tokens[None]).all(-1)
            right.append(same[np.arange(len(best)), best])
            chance.append(same.mean(1))
            if prompts is not None:
                guess.append(self._scores(predict, images, prompts).argmax(1))
        if not right:
            return found
        own, by_chance = float(np.concatenate(right).mean()), float(np.concatenate(chance).mean())
        found.append(Metric("own text", own, baseline=by_chance, against="any text of the batch"))
        if data.labels is None or self.labels is None:
            return found
        chosen = np.concatenate(list(spread(self.recipe, len(data.images), count)))
        truth = data.labels[chosen]
        return found + class_metrics(truth, np.concatenate(guess), len(self.labels), "zero-shot accuracy")

    def predictions(self, predict: Predict, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
        """For each picture one prediction, the name of the class whose text is most like it."""
        if any(isinstance(example, str) for example in examples):
            raise error(
                "E0749", "a class is predicted for pictures, not for texts", help="give one with `--image FILE`"
            )
        names = [label.strip() for label in self.labels or ()]
        scores = self._scores(predict, self.inputs(examples), self.named)
        return [[likeliest("", row, names.__getitem__, top)] for row in scores]
