"""The class of a picture: `classify_images(image, label)` (Dosovitskiy et al., 2021, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.lazy import Array, np
from attndsl.objectives.base import Batch, Known, Predict, Use
from attndsl.objectives.metrics import Metric, class_metrics, loss_metrics
from attndsl.objectives.pictures import IMAGE_COLUMN, NORMALISED, SHIFTED, PictureObjective
from attndsl.objectives.predictions import Prediction, answers, whole_predictions
from attndsl.objectives.roles import IMAGE, LABEL, Data
from attndsl.objectives.rows import drawn, spread
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.data.table import Table


class Pictures(Frozen, eq=False):
    """`images` float32 `[rows, channels, height, width]`, values between 0 and 1; `labels` the number of each class."""

    images: Array
    labels: Array


class ClassifyImages(PictureObjective):
    """`labels` are the names of the classes, in the order of their numbers."""

    name = "classify_images"
    doc = "the class of a picture"
    data = Data.IMAGES
    required = (IMAGE, LABEL)
    options: ClassVar = {
        "image": IMAGE_COLUMN,
        "label": Option("word", "label", "the column with the class"),
        **NORMALISED,
        "shift": SHIFTED,
    }
    classes = scored = "label"
    reads = ("image", "label")
    use = Use.PREDICT
    does = "predicts the class of a picture"
    command = "predict {run} --image FILE"

    def prepare(self, data: Table, say: Callable[[str], None] = lambda text: None) -> Pictures:
        assert self.labels is not None
        images = data.images(str(self.choice.options["image"]))
        labels = data.encode_labels(str(self.choice.options["label"]), self.labels)
        if len(images):
            self.require_size(images[:1], data.origin)
        return Pictures(images, labels)

    def beside(self, count: int) -> Batch:
        return {self.input("label"): np.zeros(count, dtype=np.int64)}

    def training(self, data: Pictures, step: int, part: int = 0) -> Batch:
        rows = drawn(self.recipe, len(data.images), step, part)
        images = self.drawn_pictures(data.images[rows], step, part)
        return self.given_pictures(images) | {self.input("label"): data.labels[rows]}

    def evaluation(self, data: Pictures, batches: int) -> Iterator[Batch]:
        for rows in spread(self.recipe, len(data.images), batches):
            yield self.given_pictures(data.images[rows]) | {self.input("label"): data.labels[rows]}

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Pictures: arrays, or rows with the column for them."""
        return self.given_pictures(self.pictures_in(examples))

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
