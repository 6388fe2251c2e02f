"""A picture from what a model keeps of it: `reconstruct(image)` (Ramesh et al., 2021, section 2.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.diagnostics import error
from attndsl.graph import Graph, OutputInfo
from attndsl.lazy import np
from attndsl.objectives.base import Batch, Known, Predict, Use
from attndsl.objectives.metrics import ERROR, Metric, loss_metrics
from attndsl.objectives.pictures import IMAGE_COLUMN, SHIFTED, PictureObjective
from attndsl.objectives.roles import IMAGE, Data
from attndsl.objectives.rows import drawn, spread

if TYPE_CHECKING:
    import numpy

    from attndsl.data.table import Table
    from attndsl.decoding.sampling import Sampling

    Array = numpy.ndarray[Any, Any]


class Reconstruct(PictureObjective):
    """Pictures are shown with values between 0 and 1, unless the recipe says otherwise."""

    name = "reconstruct"
    doc = "a picture from what is kept of it"
    data = Data.IMAGES
    required = (IMAGE,)
    options: ClassVar = {
        "image": IMAGE_COLUMN,
        "mean": Option("numbers", 0.0, "subtracted from values between 0 and 1; several: one for each channel"),
        "std": Option("numbers", 1.0, "what they are then divided by", 1e-9),
        "shift": SHIFTED,
    }
    scored = None
    reads = ("image",)
    use = Use.DRAW
    does = "draws a picture again"
    command = "generate {run} --image FILE -o picture.png"

    def prepare(self, data: Table, say: Callable[[str], None] = lambda text: None) -> Array:
        images: Array = data.images(str(self.choice.options["image"]))
        if len(images):
            self.require_size(images[:1], data.origin)
        return images

    def training(self, data: Array, step: int, part: int = 0) -> Batch:
        return self.given_pictures(self.drawn_pictures(data[drawn(self.recipe, len(data), step, part)], step, part))

    def evaluation(self, data: Array, batches: int) -> Iterator[Batch]:
        for rows in spread(self.recipe, len(data), batches):
            yield self.given_pictures(data[rows])

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Pictures: arrays, or rows with the column for them."""
        return self.given_pictures(self.pictures_in(examples))

    def counted(self, batch: Mapping[str, Array]) -> int:
        return len(batch[self.input("image")])

    positions = counted

    def metrics(self, predict: Predict, data: Array, batches: int, known: Known) -> list[Metric]:
        """The mean squared error of the values, beside that of the mean picture."""
        found, name = loss_metrics(known), self.input("image")
        output = picture_output(self.graph, name)
        if output is None or not len(data):
            return found
        total, count, shown = 0.0, 0, []
        for batch in self.evaluation(data, max(batches, -(-len(data) // self.recipe.batch))):
            said = np.asarray(predict(batch, [output.name])[output.name], dtype=np.float64)
            total, count = total + float(((said - batch[name]) ** 2).sum()), count + said.size
            shown.append(batch[name])
        images = np.concatenate(shown).astype(np.float64)
        plain = float(((images - images.mean(0)) ** 2).mean())
        return [*found, Metric("squared error", total / count, ERROR, plain, "the mean picture")]

    def draw(self, predict: Predict, examples: Sequence[Any], sampling: Sampling, first: int = 0) -> Array:
        name = self.input("image")
        output = picture_output(self.graph, name)
        if output is None:
            raise error(
                "E0753",
                f"{self.graph.name} has no output with a picture",
                note=f"one has the axes of `{name}`",
                help="`output picture = …`",
            )
        return self.plain_pictures(np.asarray(predict(self.inputs(examples), [output.name])[output.name]))


def picture_output(graph: Graph, image: str) -> OutputInfo | None:
    """The output with a picture: of the type of the input `image`, computed from it alone."""
    type = next(info.value.type for info in graph.inputs if info.name == image)
    return next((o for o in graph.outputs if o.value.type == type and o.needs <= {image}), None)
