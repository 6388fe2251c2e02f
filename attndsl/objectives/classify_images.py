"""The class of a picture: `classify_images(image, label)` (Dosovitskiy et al., 2021, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.diagnostics import AttnError, error
from attndsl.lazy import np
from attndsl.objectives.base import Batch, Known, Objective, Predict, Use
from attndsl.objectives.draws import TRAINING, Draws
from attndsl.objectives.metrics import Metric, class_metrics, loss_metrics
from attndsl.objectives.predictions import Prediction, answers, whole_predictions
from attndsl.objectives.roles import IMAGE, LABEL, Data
from attndsl.objectives.rows import drawn, spread
from attndsl.records import dataclass
from attndsl.running.inputs import check_inputs

if TYPE_CHECKING:
    import numpy

    from attndsl.data.table import Table
    from attndsl.objectives.choice import ObjectiveChoice

    Array = numpy.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """`images` float32 `[rows, channels, height, width]`, values between 0 and 1; `labels` the number of each class."""

    images: Array
    labels: Array


class ClassifyImages(Objective):
    """Pictures are shown as (value - mean) / std, with values between 0 and 1; in training they may be shifted."""

    name = "classify_images"
    doc = "the class of a picture"
    data = Data.IMAGES
    required = (IMAGE, LABEL)
    options: ClassVar = {
        "image": Option("word", "image", "the column with the picture"),
        "label": Option("word", "label", "the column with the class"),
        "mean": Option("float", 0.5, "subtracted from values between 0 and 1"),
        "std": Option("float", 0.5, "what they are then divided by", 1e-9),
        "shift": Option("int", 0, "pixels that a picture is shifted by in training, at most, in each direction", 0),
    }
    classes = scored = "label"
    reads = ("image", "label")
    shows = ("image",)
    unit = "images"
    use = Use.PREDICT
    does = "predicts the class of a picture"
    command = "predict {run} --image FILE"
    takes = "a picture: an array [height, width], or with channels"

    @classmethod
    def examples_of(cls, choice: ObjectiveChoice, table: Table) -> list[Any]:
        return list(table.images(str(choice.options["image"])))

    @classmethod
    def accepts(cls, example: Any) -> bool:
        return getattr(example, "ndim", 0) in (2, 3)

    def prepare(self, data: Table, say: Callable[[str], None] = lambda text: None) -> Pictures:
        assert self.labels is not None
        images = data.images(str(self.choice.options["image"]))
        labels = data.encode_labels(str(self.choice.options["label"]), self.labels)
        if len(images):
            self.require_size(images[:1], data.origin)
        return Pictures(images, labels)

    def require_size(self, images: Array, origin: str) -> None:
        """Raise E0756 where the model takes pictures of another size, or of other channels."""
        try:
            check_inputs(self.graph, self._given(images) | self._other(len(images)))
        except AttnError as problem:
            channels, height, width = images.shape[1:]
            type = next(i.value.type for i in self.graph.inputs if i.name == self.input("image"))
            sizes = [str(a.size.known(self.graph.sizes) or a) for a in type.axes[1:]]
            names = sorted({s for axis in type.axes[1:] for s in axis.size.symbols} & self.graph.sizes.keys())
            shown = ", ".join(f"{name} = {self.graph.sizes[name]}" for name in names)
            raise error(
                "E0756",
                f"the pictures in {origin} are {height} × {width} with {_channels(channels)}, and {self.graph.name} "
                f"takes {sizes[1]} × {sizes[2]} with {_channels(int(sizes[0])) if sizes[0].isdigit() else sizes[0]}",
                note=(shown, *(d.message for d in problem.diagnostics if d.code not in ("E0802",))) if shown else (),
                help=(
                    "make the model for that size: " + " ".join(f"`--set {name}=…`" for name in names),
                    "or convert the pictures first",
                ),
            ) from None

    def _other(self, count: int) -> Batch:
        return {self.input("label"): np.zeros(count, dtype=np.int64)}

    def training(self, data: Pictures, step: int, part: int = 0) -> Batch:
        rows = drawn(self.recipe, len(data.images), step, part)
        images, reach = data.images[rows], int(self.choice.number("shift"))
        if reach:
            draws = Draws(TRAINING, self.recipe.seed, step, part)
            moves = draws.integers(2 * reach + 1, 2 * len(rows)).reshape(2, -1)
            images = shifted(images, moves[0], moves[1], reach)
        return self._given(images) | {self.input("label"): data.labels[rows]}

    def evaluation(self, data: Pictures, batches: int) -> Iterator[Batch]:
        for rows in spread(self.recipe, len(data.images), batches):
            yield self._given(data.images[rows]) | {self.input("label"): data.labels[rows]}

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Pictures: arrays, or rows with the column for them."""
        from attndsl.data.table import Table

        column = str(self.choice.options["image"])
        given = [np.asarray(example[column] if isinstance(example, Mapping) else example) for example in examples]
        sizes = sorted({str(list(each.shape)) for each in given})
        if len(sizes) != 1:
            raise error("E0756", f"pictures of several sizes: {', '.join(sizes[:4])}", help="convert them to one size")
        images = Table({column: np.stack(given)}, "the examples").images(column)
        self.require_size(images[:1], "the examples")
        return self._given(images)

    def _given(self, images: Array) -> Batch:
        mean, std = self.choice.number("mean"), self.choice.number("std")
        return {self.input("image"): ((images - np.float32(mean)) / np.float32(std)).astype(np.float32)}

    def positions(self, batch: Mapping[str, Array]) -> int:
        return len(batch[self.input("image")])

    def metrics(self, predict: Predict, data: Pictures, batches: int, known: Known) -> list[Metric]:
        assert self.labels is not None
        label, every = self.input("label"), -(-len(data.images) // self.recipe.batch)
        said = answers(
            predict, self.graph, label, len(self.labels), self.evaluation(data, max(batches, every)), [label]
        )
        found = loss_metrics(known)
        return found + (class_metrics(*said, len(self.labels)) if said is not None else [])

    def predictions(self, predict: Predict, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
        """For each picture one prediction, its class."""
        return whole_predictions(self, predict, self.inputs(examples), top)


def shifted(images: Array, down: Array, right: Array, reach: int) -> Array:
    """Pictures moved by `down - reach` and `right - reach` pixels; what comes in at the edge is 0."""
    height, width = images.shape[2:]
    around = np.pad(images, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    y = (2 * reach - down)[:, None] + np.arange(height)
    x = (2 * reach - right)[:, None] + np.arange(width)
    rows = np.arange(len(images))
    moved: Array = around[rows[:, None, None], :, y[:, :, None], x[:, None, :]]
    return moved.transpose(0, 3, 1, 2)


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
