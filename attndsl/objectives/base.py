"""What an objective is: it fills a model's inputs from data, for training, for evaluation and for use.

Objectives keep no state: the batch of a step is a function of (seed, step, part), so a run that was stopped sees the
same batches as one that was not.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from attndsl.choices import Option
from attndsl.data.special import stands_for
from attndsl.diagnostics import error
from attndsl.lazy import np
from attndsl.objectives.choice import ObjectiveChoice, names
from attndsl.objectives.roles import IMAGE, Data, Role
from attndsl.records import Frozen

if TYPE_CHECKING:
    import numpy

    from attndsl.data.table import Table
    from attndsl.data.tokenizers import Tokenizer
    from attndsl.decoding.sampling import Sampling
    from attndsl.graph import Graph
    from attndsl.objectives.metrics import Metric
    from attndsl.objectives.predictions import Prediction
    from attndsl.objectives.words import Spelling

    Array = numpy.ndarray[Any, Any]

Batch = dict[str, "Array"]
Predict = Callable[[Mapping[str, "Array"], Sequence[str]], Mapping[str, "Array"]]
IGNORED = -100  # a target that does not count


class Use(Enum):
    """What is done with a model that was trained."""

    CONTINUE = "continue a text"
    ANSWER = "turn one text into another"
    EMBED = "turn into vectors"
    PREDICT = "classify"
    DRAW = "draw a picture"


class Batching(Protocol):
    """What of a recipe decides the batches."""

    @property
    def objective(self) -> ObjectiveChoice: ...
    @property
    def batch(self) -> int: ...
    @property
    def accumulate(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def seed(self) -> int: ...


class Objective(ABC):
    """One objective of one model; its class says all that a recipe, the checker, the trainer and the verbs that use a
    trained model need to know of it. `unit` is what its positions are counted in."""

    name: ClassVar[str]
    doc: ClassVar[str]
    data: ClassVar[Data]
    required: ClassVar[tuple[Role, ...]]
    optional: ClassVar[tuple[Role, ...]] = ()
    options: ClassVar[Mapping[str, Option]] = {}
    companion: ClassVar[str | None] = None  # the option with the folder of a run that it cannot do without
    special: ClassVar[tuple[str, ...]] = ()  # roles of the special tokens that it cannot do without
    classes: ClassVar[str | None] = None  # the role that is filled with the numbers of classes
    scored: ClassVar[str | None] = "targets"  # the role whose cross entropy says how good a model is, if any does
    joint: ClassVar[bool] = False  # whether the loss compares the examples of a batch, so that no part stands alone
    open_labels: ClassVar[bool] = False  # whether a trained model can be asked for other classes than it was trained on
    answers: ClassVar[tuple[str, ...]] = ("targets", "label", "next")  # roles that a model in use is not given
    held: ClassVar[tuple[str, ...]] = ()  # roles that are filled alike for whatever `predictions` is asked of
    reads: ClassVar[tuple[str, ...]] = ()  # the options that name columns, in the order of rows without names
    shows: ClassVar[tuple[str, ...]] = ()  # those of them that a trained model is given
    unit: ClassVar[str] = "tokens"
    says_every_token: ClassVar[bool] = False  # of a running text, so that there are nats per byte
    # How a trained model is used: for what, what it then does, by which command, and what it is given.
    use: ClassVar[Use]
    does: ClassVar[str]
    command: ClassVar[str]
    takes: ClassVar[str] = "a text"
    takes_pairs: ClassVar[bool] = False
    # What a prediction stands at (`word`; empty: the whole example), what it says (`tag`), and whether those that are
    # less likely are shown beside the likeliest.
    places: ClassVar[str] = ""
    says: ClassVar[str] = "class"
    ranks: ClassVar[bool] = True

    def __init__(
        self, recipe: Batching, graph: Graph, tokenizer: Tokenizer | None = None, labels: Sequence[str] | None = None
    ) -> None:
        self.recipe = recipe
        self.choice: ObjectiveChoice = recipe.objective
        self.graph = graph
        self._tokenizer = tokenizer
        self.labels = tuple(labels) if labels is not None else None

    # ------------------------------------------------------------ what is known of the class

    @classmethod
    def sees(cls) -> bool:
        """Whether a model is given pictures."""
        return IMAGE in cls.required

    @classmethod
    def reads_texts(cls) -> bool:
        """Whether a model is given tokens."""
        return any(role.is_sequence for role in cls.required)

    @classmethod
    def role(cls, name: str) -> Role | None:
        """The role of that name; None where it fills no such role."""
        return next((role for role in (*cls.required, *cls.optional) if role.name == name), None)

    @classmethod
    def shown(cls, name: str | None = None) -> str:
        """How it is written with one name for each role, or with its roles' own."""
        return f"{cls.name}({', '.join(name or role for role in names(cls.required))})"

    @classmethod
    def columns(cls, choice: ObjectiveChoice, options: Sequence[str] | None = None) -> tuple[str, ...]:
        """The columns of a table that some of its `options` name (None: all of `reads`), in that order."""
        named = (choice.column(option) for option in (cls.reads if options is None else options))
        return tuple(column for column in named if column is not None)

    @classmethod
    def labels_of(cls, choice: ObjectiveChoice, table: Table) -> tuple[str, ...] | None:
        """The names of the classes that a table has; None where there are no classes. Raises E0711, E0716."""
        if cls.classes is None:
            return None
        return tuple(table.labels_of(str(choice.options["label"])))

    @classmethod
    def labels_in(cls, choice: ObjectiveChoice, tokens: Array, tokenizer: Tokenizer) -> tuple[str, ...] | None:
        """The names of the classes that a running text has; None where there are no classes. Raises E0704."""
        return None

    @classmethod
    def texts_of(cls, choice: ObjectiveChoice, table: Table) -> list[str]:
        """All texts of a table that the model is shown in training, for a tokenizer to learn from. Raises E0711,
        E0716."""
        columns = cls.columns(choice, [option for option in cls.reads if option != "label"])
        return [text for column in columns for text in table.texts(column)]

    @classmethod
    def examples_of(cls, choice: ObjectiveChoice, table: Table) -> list[Any]:
        """The rows of a table as `inputs` takes them. Raises E0711, E0716."""
        found = [table.texts(column) for column in cls.columns(choice, cls.shows) or ("text",)]
        return list(zip(*found, strict=True)) if len(found) > 1 else list(found[0])

    @classmethod
    def accepts(cls, example: Any) -> bool:
        """Whether an example that is not a row is one that `inputs` takes."""
        if isinstance(example, str):
            return True
        several = isinstance(example, (tuple, list)) and all(isinstance(part, str) for part in example)
        return cls.takes_pairs and several and len(example) == 2

    # ------------------------------------------------------------ what subclasses give

    @abstractmethod
    def prepare(self, data: Any, say: Callable[[str], None] = lambda text: None) -> Any:
        """A part of the data (tokens of a text, or a table) as `training` and `evaluation` take it; `say` is told what
        does not fit."""

    @abstractmethod
    def training(self, data: Any, step: int, part: int = 0) -> Batch:
        """The batch of `step` (its `part`-th, where gradients are accumulated over several), by input."""

    @abstractmethod
    def evaluation(self, data: Any, batches: int) -> Iterator[Batch]:
        """At most `batches` batches, always the same ones; none where there is too little data."""

    @property
    def in_order(self) -> bool:
        """Whether the rows of batches follow one another, so that the states of rows go on."""
        return False

    def goes_on(self, data: Any, step: int) -> bool:
        """Whether the rows of the batch of `step` begin where those of the step before ended."""
        return False

    @property
    def stretches(self) -> int:
        """Into how many stretches a running text is cut, each for a row of its own."""
        return self.recipe.batch * self.recipe.accumulate if self.in_order else 1

    @abstractmethod
    def inputs(self, examples: Sequence[Any]) -> Batch:
        """What the model is given for examples whose answer is not known, made by the same code as in training."""

    @abstractmethod
    def metrics(self, predict: Predict, data: Any, batches: int, known: Known) -> list[Metric]:
        """What people ask of a model of this kind, on held-out `data`; `predict(batch, outputs)` runs the model."""

    def predictions(self, predict: Predict, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
        """For each example what a trained model says of it, the `top` likeliest answers at each place."""
        raise NotImplementedError(f"`{self.name}` is used to {self.use.value}")

    def draw(self, predict: Predict, examples: Sequence[Any], sampling: Sampling, first: int = 0) -> Array:
        """For each example the picture that a trained model makes of it, float32 `[rows, channels, height, width]` with
        values between 0 and 1. What is sampled depends on the number of the example alone, counted from `first`."""
        raise NotImplementedError(f"`{self.name}` is used to {self.use.value}")

    # ------------------------------------------------------------ what all have

    def counted(self, batch: Mapping[str, Array]) -> int:
        """How many positions count in the loss of a batch, which is their mean."""
        if "targets" in self.choice.roles:
            return int((batch[self.input("targets")] >= 0).sum())
        return len(batch[self.input("label")])

    def positions(self, batch: Mapping[str, Array]) -> int:
        """How many positions the model works on in a batch."""
        inputs = {self.choice.roles[role.name] for role in self.required if role.is_sequence}
        return sum(math.prod(batch[name].shape[:2]) for name in inputs)

    def input(self, role: str) -> str:
        """The model's input that plays a role."""
        return self.choice.roles[role]

    def given(self, **arrays: Array) -> Batch:
        """The arrays by input, those without an input left out."""
        return {self.choice.roles[role]: array for role, array in arrays.items() if role in self.choice.roles}

    @property
    def tokenizer(self) -> Tokenizer:
        assert self._tokenizer is not None
        return self._tokenizer

    def special_token(self, role: str) -> int | None:
        """The number of a special token, or of the one that stands in for it; None where neither is named."""
        known = self.tokenizer.special
        name = stands_for(role, dict.fromkeys(known, True))
        return None if name is None else known[name]

    def token(self, role: str) -> int:
        """The number of a special token that the recipe is known to name."""
        found = self.special_token(role)
        assert found is not None, role
        return found

    @cached_property
    def word_starts(self) -> Array:
        """Which tokens begin a word, bool `[vocab]`."""
        return self.tokenizer.word_starts()

    @cached_property
    def sentence_ends(self) -> Array:
        """Which tokens end a sentence, bool `[vocab]`."""
        return self.tokenizer.sentence_ends()

    @cached_property
    def reserved(self) -> Array:
        """Which tokens are special, bool `[vocab]`."""
        found = np.zeros(self.tokenizer.vocab, dtype=bool)
        found[[*self.tokenizer.special.values(), *self.tokenizer.sentinels]] = True
        return found

    @cached_property
    def ordinary(self) -> Array:
        """The tokens that are not."""
        return np.flatnonzero(~self.reserved)

    @cached_property
    def padding(self) -> int:
        """What stands where a row is over (0 where nothing is named for it)."""
        return self.special_token("pad") or 0

    @cached_property
    def spelling(self) -> Spelling | None:
        """How words are spelled, where the model reads the characters of each; None where it reads tokens."""
        from attndsl.objectives.words import Spelling

        name = next(self.choice.roles[role.name] for role in self.required if role.is_sequence)
        rank = next(info.value.type.rank for info in self.graph.inputs if info.name == name)
        return Spelling.of(self, name) if rank == 3 else None

    @property
    def places_in(self) -> str:
        """What the places of a text are."""
        return "tokens" if self.spelling is None else "words"

    def encoded(self, texts: Sequence[str], say: Callable[[str], None] | None = None) -> list[Array]:
        """The tokens of texts, int64 `[tokens]` each, or the characters of their words, `[words, longest]`. A word that
        is too long for the model is cut where there is a `say`, which is told, and else refused (E0767)."""
        if self.spelling is not None:
            return self.spelling.texts(texts, say)
        return self.tokenizer.encode_batch(texts)

    def pieces(self, row: Array) -> tuple[str, ...]:
        """What stands at each place of a text: its tokens, `[tokens]`, or its words, `[words, longest]`."""
        if self.spelling is not None:
            return tuple(self.tokenizer.decode(word.tolist(), skip_special=True) for word in row)
        return tuple(self.tokenizer.decode([token]) for token in row.tolist())

    def framing(self, role: str) -> int | None:
        """The token that begins or ends a text; None where none is named, or it is words that they begin and end."""
        return None if self.spelling is not None else self.special_token(role)

    def framed(self, tokens: Array, *, begin: bool = True, end: bool = True) -> Array:
        """A text between the tokens that begin and end one, as far as they are named."""
        first, last = (self.framing("begin") if begin else None), (self.framing("end") if end else None)
        parts = [part for part in (first, last) if part is not None]
        if not parts:
            return tokens
        before = [] if first is None else [first]
        after = [] if last is None else [last]
        return np.concatenate([before, tokens, after]).astype(np.int64)

    @property
    def frame(self) -> int:
        """How many tokens `framed` adds."""
        return sum(self.framing(role) is not None for role in ("begin", "end"))

    def shown_and_said(self, tokens: Array, *, whole: bool = True) -> tuple[Array, Array]:
        """What a decoder is shown of a text, and what it is to say: the same, one place further on, to the end. Where
        the text is not `whole`, because something was cut off, it does not end, and nothing is to be learnt of an
        end."""
        start = self.token("start")
        said = self.framed(tokens, begin=self.special_token("begin") != start, end=whole)
        return np.concatenate([[start], said[:-1]]), said

    def limit(self, role: str) -> int | None:
        """How long the input of a role may be, for use: what the model takes; None where there is no bound."""
        from attndsl.graph.limits import most

        return most(self.graph, self.input(role))

    def require_short(self, rows: Sequence[Array], role: str) -> None:
        """Raise E0752 for a row that is longer than the model takes."""
        limit = self.limit(role)
        longest = max((len(row) for row in rows), default=0)
        if limit is not None and longest > limit:
            where = "the text" if len(rows) == 1 else f"text {max(range(len(rows)), key=lambda i: len(rows[i])) + 1}"
            raise error(
                "E0752",
                f"{where} has {longest:,} {self.places_in}, and {self.graph.name} takes {limit:,}",
                note="tokens that begin and end a text are counted",
                help="shorten it, or cut it into pieces",
            )


class Known(Frozen):
    """What is known beside the rows: `bytes_per_token` and `entropy` (nats per byte, of bytes counted by themselves)
    of a held-out text; `loss`, what was minimised, over the held-out data, and `cross_entropy`, the part of it that
    says how well the answers are said, in nats (None where no output says them)."""

    bytes_per_token: float | None = None
    entropy: float | None = None
    loss: float = math.nan
    cross_entropy: float | None = None


def padded(rows: Sequence[Array], filler: int, width: int | None = None) -> Array:
    """Rows of different lengths as one int64 array `[rows, longest]`, filled up on the right; rows `[length, n]` as
    `[rows, longest, n]`."""
    longest = max((len(row) for row in rows), default=0) if width is None else width
    beyond = rows[0].shape[1:] if len(rows) else ()
    found = np.full((len(rows), max(longest, 1), *beyond), filler, dtype=np.int64)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


def lengths_of(rows: Sequence[Array]) -> Array:
    return np.array([len(row) for row in rows], dtype=np.int64)


def present(lengths: Array, width: int) -> Array:
    """True where a row is not padding, bool `[rows, width]`."""
    found: Array = np.arange(width) < lengths[:, None]
    return found
