"""A picture from its caption: `text_to_image(tokens, codes)` (Ramesh et al., 2021, section 2).

A picture is a grid of codes, row by row, those of a discrete autoencoder that was trained before (`codebook`). The
model says the codes one after the other, and the autoencoder draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from attndsl.choices import Option
from attndsl.diagnostics import error
from attndsl.lazy import np
from attndsl.objectives.base import Batch, Known, Objective, Predict, Use, lengths_of, padded, present
from attndsl.objectives.metrics import NATS, Metric, entropy, loss_metrics, unlikelihood
from attndsl.objectives.pictures import IMAGE_COLUMN
from attndsl.objectives.predictions import prediction_output, said
from attndsl.objectives.roles import CODES, TOKENS, VALID, Data
from attndsl.objectives.rows import drawn, spread, tell_cut
from attndsl.records import Frozen

if TYPE_CHECKING:
    import numpy

    from attndsl.data.table import Table
    from attndsl.decoding.sampling import Sampling
    from attndsl.objectives.choice import ObjectiveChoice

    Array = numpy.ndarray[Any, Any]


class Codebook(Protocol):
    """A discrete autoencoder: pictures float32 `[rows, channels, height, width]` with values between 0 and 1, as grids
    of codes `[rows, down, across]`, and back."""

    origin: str
    codes: int

    def encode(self, images: Array) -> Array: ...
    def decode(self, grids: Array) -> Array: ...
    def grid(self, images: Array) -> tuple[int, int]:
        """How many codes stand below and beside one another for such pictures."""
        ...


class Described(Frozen, eq=False):
    """The tokens of each caption, and the codes of its picture, int64 `[rows, cells]`."""

    captions: list[Array]
    codes: Array


class TextToImage(Objective):
    name = "text_to_image"
    doc = "a picture from its caption"
    data = Data.IMAGES
    required = (TOKENS, CODES)
    optional = (VALID,)
    options: ClassVar = {
        "caption": Option("word", "caption", "the column with the text, or a list of texts, of which one is drawn"),
        "image": IMAGE_COLUMN,
        "codebook": Option("word", "none", "the folder of a run with `reconstruct`, whose codes pictures are made of"),
    }
    companion = "codebook"
    scored = None
    answers = ()
    reads = ("caption", "image")
    shows = ("caption",)
    use = Use.DRAW
    does = "draws a picture"
    command = 'generate {run} --prompt "…" -o picture.png'
    takes = "a caption"

    codebook: Codebook  # set by who opens the run

    @classmethod
    def texts_of(cls, choice: ObjectiveChoice, table: Table) -> list[str]:
        return [text for texts in table.captions(str(choice.options["caption"])) for text in texts]

    # ------------------------------------------------------------ training

    def prepare(self, data: Table, say: Callable[[str], None] = lambda text: None) -> Described:
        images = data.images(str(self.choice.options["image"]))
        texts = [several[0] for several in data.captions(str(self.choice.options["caption"]))]
        encoded, room = self.tokenizer.encode_batch(texts), max(1, self._room - self.frame)
        tell_cut(say, sum(len(row) > room for row in encoded), len(encoded), self._room, "captions")
        captions = [self.framed(row[:room]) for row in encoded]
        if not len(images):
            return Described(captions, np.zeros((0, self._cells), dtype=np.int64))
        self._require_codebook(images)
        return Described(captions, self.codebook.encode(images).reshape(len(images), -1))

    def limit(self, role: str) -> int | None:
        """A caption has as many places as the model says, where that is a number."""
        type = next(info.value.type for info in self.graph.inputs if info.name == self.input(role))
        width = type.axes[-1].size.known(self.graph.sizes)
        return super().limit(role) if width is None else int(width)

    @property
    def _room(self) -> int:
        """The tokens that a caption may have."""
        return self.limit("tokens") or self.recipe.length

    @property
    def _cells(self) -> int:
        """The codes of a picture."""
        type = next(info.value.type for info in self.graph.inputs if info.name == self.input("codes"))
        found = type.axes[-1].size.known(self.graph.sizes)
        if found is None:
            raise error(
                "E0721",
                f"`{self.input('codes')}` is {type}, and a picture has a fixed number of codes",
                help="make its last axis a number of the model: `[B, side * side]`",
            )
        return int(found)

    def _require_codebook(self, images: Array) -> None:
        """Raise E0766 where the codes are more, or the grids others, than the model takes."""
        down, across = self.codebook.grid(images[:1])
        bound = next(i for i in self.graph.inputs if i.name == self.input("codes"))
        limits = [b.limit.known(self.graph.sizes) for b in bound.bounds if b.relation == "<"]
        most = min((limit for limit in limits if limit is not None), default=self.codebook.codes)
        height, width = images.shape[2:]
        sizes = ", ".join(f"{name} = {value}" for name, value in self.graph.sizes.items() if name in _symbols(bound))
        if down * across != self._cells:
            raise error(
                "E0766",
                f"{self.codebook.origin} makes {down} × {across} codes of a picture of {height} × {width}, and "
                f"{self.graph.name} takes {self._cells}",
                note=sizes,
                help="set the model's grid to that of the codebook, or train a codebook for it",
            )
        if self.codebook.codes > most:
            raise error(
                "E0766",
                f"{self.codebook.origin} has {self.codebook.codes} codes, and {self.graph.name} takes {most}",
                note=sizes,
                help="set the model's number of codes to that of the codebook",
            )

    def training(self, data: Described, step: int, part: int = 0) -> Batch:
        return self._batch(data, drawn(self.recipe, len(data.codes), step, part))

    def evaluation(self, data: Described, batches: int) -> Iterator[Batch]:
        for rows in spread(self.recipe, len(data.codes), batches):
            yield self._batch(data, rows)

    def _batch(self, data: Described, rows: Array) -> Batch:
        return self._given([data.captions[row] for row in rows.tolist()], data.codes[rows])

    def _given(self, captions: Sequence[Array], codes: Array) -> Batch:
        type = next(info.value.type for info in self.graph.inputs if info.name == self.input("tokens"))
        width = type.axes[-1].size.known(self.graph.sizes)
        tokens = padded(captions, self.padding, None if width is None else int(width))
        return self.given(tokens=tokens, valid=present(lengths_of(captions), tokens.shape[1]), codes=codes)

    def counted(self, batch: Mapping[str, Array]) -> int:
        return int(batch[self.input("codes")].size)

    def positions(self, batch: Mapping[str, Array]) -> int:
        return int(batch[self.input("tokens")].size + batch[self.input("codes")].size)

    def metrics(self, predict: Predict, data: Described, batches: int, known: Known) -> list[Metric]:
        """How well each code is said after the caption and the right codes before it, in nats, beside what knowing how
        often each code occurs in the held-out pictures would reach."""
        found, name, nats = loss_metrics(known), self.input("codes"), 0.0
        for batch in self.evaluation(data, max(batches, -(-len(data.codes) // self.recipe.batch))):
            if prediction_output(self.graph, name, self.codebook.codes, batch) is None:
                return found
            logits = said(self, predict, batch, "codes", self.codebook.codes).astype(np.float64)
            nats += unlikelihood(logits.reshape(-1, logits.shape[-1]), batch[name].ravel())
        if not data.codes.size:
            return found
        unigram = entropy(data.codes.ravel())
        return [*found, Metric("loss per code", nats / data.codes.size, NATS, unigram, "unigram entropy of the codes")]

    # ------------------------------------------------------------ use

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Captions, or rows with the column for them, and pictures of nothing but the first code. Raises E0752 for a
        caption that is longer than the model takes."""
        column = str(self.choice.options["caption"])
        texts = [str(example[column]) if isinstance(example, Mapping) else str(example) for example in examples]
        captions = [self.framed(row) for row in self.tokenizer.encode_batch(texts)]
        self.require_short(captions, "tokens")
        return self._given(captions, np.zeros((len(captions), self._cells), dtype=np.int64))

    def draw(self, predict: Predict, examples: Sequence[Any], sampling: Sampling, first: int = 0) -> Array:
        """A code after the other, each from the caption and those before it; then the codebook draws them."""
        given = self.inputs(examples)
        codes = given[self.input("codes")]
        for place in range(codes.shape[1]):
            found = said(self, predict, given, "codes", self.codebook.codes)
            for row, logits in enumerate(found[:, place, : self.codebook.codes]):
                codes[row, place] = sampling.choose(logits, place, first + row)
        return self.codebook.decode(codes)


def _symbols(info: Any) -> set[str]:
    sizes = [axis.size for axis in info.value.type.axes] + [bound.limit for bound in info.bounds]
    return {symbol for size in sizes for symbol in size.symbols}
