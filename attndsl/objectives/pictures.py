"""Pictures as a model is shown them: what every objective with an `image` has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.choices import Option
from attndsl.diagnostics import AttnError, error
from attndsl.lazy import np
from attndsl.objectives.base import Batch, Objective
from attndsl.objectives.draws import TRAINING, Draws
from attndsl.running.inputs import check_inputs

if TYPE_CHECKING:
    import numpy

    from attndsl.data.table import Table
    from attndsl.objectives.choice import ObjectiveChoice

    Array = numpy.ndarray[Any, Any]

NORMALISED = {
    "mean": Option("numbers", 0.5, "subtracted from values between 0 and 1; several: one for each channel"),
    "std": Option("numbers", 0.5, "what they are then divided by", 1e-9),
}
SHIFTED = Option("int", 0, "pixels that a picture is shifted by in training, at most, in each direction", 0)
IMAGE_COLUMN = Option("word", "image", "the column with the picture")


class PictureObjective(Objective):
    """Pictures are shown as (value - mean) / std, with values between 0 and 1; in training they may be shifted. A model
    in use is given pictures, unless a subclass says otherwise."""

    shows = ("image",)
    unit = "images"
    takes = "a picture: an array [height, width], or with channels"

    @classmethod
    def examples_of(cls, choice: ObjectiveChoice, table: Table) -> list[Any]:
        return list(table.images(str(choice.options["image"])))

    @classmethod
    def accepts(cls, example: Any) -> bool:
        return getattr(example, "ndim", 0) in (2, 3)

    def require_size(self, images: Array, origin: str) -> None:
        """Raise E0756 where the model takes pictures of another size, or of other channels than these float32
        `[rows, channels, height, width]`; E0721 where the recipe's `mean` or `std` is for other channels."""
        for name in NORMALISED:
            if (count := len(self.choice.numbers(name))) not in (1, images.shape[1]):
                raise error(
                    "E0721",
                    f"`{name}` has {count} numbers, and the pictures in {origin} have {_channels(images.shape[1])}",
                    help="give one number for each channel, or one for all",
                )  # fmt: skip
        try:
            check_inputs(self.graph, self.given_pictures(images) | self.beside(len(images)))
        except AttnError as problem:
            channels, height, width = images.shape[1:]
            type = next(i.value.type for i in self.graph.inputs if i.name == self.input("image"))
            sizes = [str(a.size.known(self.graph.sizes) or a) for a in type.axes[1:]]
            given = zip(type.axes[1:], images.shape[1:], strict=True)
            misfits = [axis.size for axis, length in given if axis.size.known(self.graph.sizes) != length]
            names = sorted({symbol for size in misfits for symbol in size.symbols} & self.graph.sizes.keys())
            shown = ", ".join(f"{name} = {self.graph.sizes[name]}" for name in names)
            settings, convert = " ".join(f"`--set {name}=…`" for name in names), "convert the pictures first"
            raise error(
                "E0756",
                f"the pictures in {origin} are {height} × {width} with {_channels(channels)}, and {self.graph.name} "
                f"takes {sizes[1]} × {sizes[2]} with {_channels(int(sizes[0])) if sizes[0].isdigit() else sizes[0]}",
                note=(
                    *([shown] if shown else ()),
                    *(d.message for d in problem.diagnostics if d.code not in ("E0802",)),
                ),
                help=(f"make the model for that size: {settings}", f"or {convert}") if names else convert,
            ) from None

    def beside(self, count: int) -> Batch:
        """Something for the other inputs that the model needs beside `count` pictures."""
        return {}

    def given_pictures(self, images: Array) -> Batch:
        """The input for pictures with values between 0 and 1."""
        mean, std = (self._by_channel(name) for name in NORMALISED)
        return {self.input("image"): ((images - mean) / std).astype(np.float32)}

    def plain_pictures(self, shown: Array) -> Array:
        """The inverse: what stands in such an input, as values between 0 and 1."""
        mean, std = (self._by_channel(name) for name in NORMALISED)
        plain: Array = np.clip(shown * std + mean, 0, 1).astype(np.float32)
        return plain

    def _by_channel(self, option: str) -> Array:
        return np.asarray(self.choice.numbers(option), dtype=np.float32)[:, None, None]

    def drawn_pictures(self, images: Array, step: int, part: int) -> Array:
        """The pictures of a batch, shifted as the recipe says."""
        reach = int(self.choice.number("shift"))
        if not reach:
            return images
        draws = Draws(TRAINING, self.recipe.seed, step, part)
        moves = draws.integers(2 * reach + 1, 2 * len(images)).reshape(2, -1)
        return shifted(images, moves[0], moves[1], reach)

    def pictures_in(self, examples: Sequence[Any]) -> Array:
        """Examples as float32 `[rows, channels, height, width]`: arrays, or rows with the column for them. Raises E0756
        for pictures of several sizes, and what `require_size` raises."""
        from attndsl.data.table import Table

        column = str(self.choice.options["image"])
        given = [np.asarray(example[column] if isinstance(example, Mapping) else example) for example in examples]
        sizes = sorted({str(list(each.shape)) for each in given})
        if len(sizes) != 1:
            raise error("E0756", f"pictures of several sizes: {', '.join(sizes[:4])}", help="convert them to one size")
        images: Array = Table({column: np.stack(given)}, "the examples").images(column)
        self.require_size(images[:1], "the examples")
        return images


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
