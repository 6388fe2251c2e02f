"""Where in a text the answer to a question stands: `answer(tokens, start, end)` (Devlin et al., 2019, section 4.2).

`[begin] question [end] text [end]`, with segments 0 and 1. A text that is too long is read in windows that overlap; in
those in which the answer does not lie, and where there is none, both ends are the first token (section 4.3 there).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.objectives.base import IGNORED, Batch, Known, Objective, Predict, Use, lengths_of, padded, present
from attndsl.objectives.metrics import Metric, answer_metrics, loss_metrics
from attndsl.objectives.predictions import Likely, Prediction
from attndsl.objectives.roles import END, SEGMENT, START, TOKENS, VALID, Data
from attndsl.objectives.rows import drawn, spread, tell_cut
from attndsl.objectives.spans import Window, likeliest_answers, windows
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.data.table import Table


class Asked(Frozen, eq=False):
    """Questions and texts, the answers to each (the first is learned), and the windows of all, each with the tokens at
    which the answer begins and ends."""

    pairs: list[tuple[str, str]]
    answers: list[list[str]]
    windows: list[Window]
    starts: Array
    ends: Array


class Answer(Objective):
    name = "answer"
    doc = "where in a text the answer to a question stands"
    data = Data.RECORDS
    required = (TOKENS, START, END)
    optional = (VALID, SEGMENT)
    options: ClassVar = {
        "question": Option("word", "question", "the column with the question"),
        "context": Option("word", "context", "the column with the text"),
        "answer": Option("word", "answer", "the column with the answer (or several): a part of the text; empty: none"),
        "at": Option("word", "start", "the column with the character of the text at which it begins"),
        "stride": Option("int", 128, "tokens from one window of a long text to the next", 1),
        "longest": Option("int", 30, "tokens that an answer may have, in use", 1),
    }
    special = ("pad",)
    scored = None
    answers = ("start", "end")
    reads = ("question", "context", "answer", "at")
    shows = ("question", "context")
    use = Use.PREDICT
    does = "finds the answer to a question in a text"
    command = 'predict {run} --text "QUESTION" --pair "TEXT"'
    takes = "a question and a text, as a pair"
    takes_pairs = True
    says = "answer"

    @classmethod
    def texts_of(cls, choice: Any, table: Table) -> list[str]:
        return [text for option in cls.shows for text in table.texts(str(choice.options[option]))]

    @classmethod
    def accepts(cls, example: Any) -> bool:
        return not isinstance(example, str) and super().accepts(example)

    # ------------------------------------------------------------ training

    def prepare(self, data: Table, say: Callable[[str], None] = lambda text: None) -> Asked:
        column = {name: str(self.choice.options[name]) for name in self.reads}
        questions, texts = data.texts(column["question"]), data.texts(column["context"])
        answers, places = data.captions(column["answer"]), data.require(column["at"])
        pairs = list(zip(questions, texts, strict=True))
        found, cut = self._windows(pairs, self.recipe.length)
        tell_cut(say, cut, len(pairs), self.recipe.length, "questions")
        if len(found) > len(pairs):
            say(f"{len(pairs):,} texts are read in {len(found):,} windows of up to {self.recipe.length:,} tokens")
        characters = [
            self._place(data, row, text, several[0], place)
            for row, (text, several, place) in enumerate(zip(texts, answers, places, strict=True))
        ]
        nowhere = 0 if self.special_token("begin") is not None else IGNORED
        ends = [window.tokens_at(*characters[window.example]) or (nowhere, nowhere) for window in found]
        starts, stops = np.array(ends, dtype=np.int64).reshape(-1, 2).T
        return Asked(pairs, answers, found, starts, stops)

    def _place(self, data: Table, row: int, text: str, answer: str, place: Any) -> tuple[int, int]:
        """The characters of the answer (none, where it is empty). Raises E0760 where it does not stand there."""
        first = place[0] if isinstance(place, (list, tuple)) and place else place
        if not answer.strip():
            return 0, 0
        try:
            at = int(first)
        except (TypeError, ValueError):
            at = -1
        if at >= 0 and text[at : at + len(answer)] == answer:
            return at + len(answer) - len(answer.lstrip()), at + len(answer.rstrip())
        there = text.find(answer)
        raise error(
            "E0760",
            f"{data.place(row)}: the text does not have the answer `{_short(answer)}` at its character {first}",
            note=f"there it has `{_short(text[max(at, 0) :])}`" if 0 <= at < len(text) else (),
            help=f"it stands at {there}" if there >= 0 else "an answer is a part of the text, letter by letter",
        )

    def _windows(self, pairs: Sequence[tuple[str, str]], length: int) -> tuple[list[Window], int]:
        """The windows of all pairs, and how many questions were cut: a question takes half of a window at most."""
        questions = self.tokenizer.encode_batch([question for question, _ in pairs])
        texts = self.tokenizer.encode_spans([text for _, text in pairs])
        room, cut = max(2, length - self.frame - (self.special_token("end") is not None)), 0
        found: list[Window] = []
        for example, (question, (tokens, spans)) in enumerate(zip(questions, texts, strict=True)):
            cut += len(question) > room // 2
            before = self.framed(question[: room // 2])
            pieces = windows(len(tokens), room - min(len(question), room // 2), int(self.choice.number("stride")))
            for first, last in pieces:
                row = np.concatenate([before, self.framed(tokens[first:last], begin=False)])
                found.append(Window(example, row, len(before), spans[first:last]))
        return found, cut

    def training(self, data: Asked, step: int, part: int = 0) -> Batch:
        return self._batch(data, drawn(self.recipe, len(data.windows), step, part))

    def evaluation(self, data: Asked, batches: int) -> Iterator[Batch]:
        for rows in spread(self.recipe, len(data.windows), batches):
            yield self._batch(data, rows)

    def _batch(self, data: Asked, rows: Array) -> Batch:
        ends = self.given(start=data.starts[rows], end=data.ends[rows])
        return self._given([data.windows[row] for row in rows.tolist()]) | ends

    def _given(self, found: Sequence[Window]) -> Batch:
        rows = [window.row for window in found]
        tokens, lengths = padded(rows, self.padding), lengths_of(rows)
        place = np.arange(tokens.shape[1])
        firsts = np.array([window.first for window in found])
        valid = present(lengths, tokens.shape[1])
        return self.given(tokens=tokens, valid=valid, segment=((place >= firsts[:, None]) & valid).astype(np.int64))

    def counted(self, batch: Mapping[str, Array]) -> int:
        return int((batch[self.input("start")] >= 0).sum())

    # ------------------------------------------------------------ use

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Pairs of a question and a text, or rows with the columns for them. Raises E0752 where they are too long to be
        read at once."""
        found, _ = self._windows(self._pairs(examples), 1 << 30)
        self.require_short([window.row for window in found], "tokens")
        return self._given(found)

    def _pairs(self, examples: Sequence[Any]) -> list[tuple[str, str]]:
        names = [str(self.choice.options[option]) for option in self.shows]
        pairs = [tuple(it[name] for name in names) if isinstance(it, Mapping) else tuple(it) for it in examples]
        return [(str(question), str(text)) for question, text in pairs]

    def _answers(self, predict: Predict, pairs: Sequence[tuple[str, str]], top: int) -> list[list[Likely]]:
        """The likeliest answers to each question, over all windows of its text."""
        found, _ = self._windows(pairs, self.limit("tokens") or self.recipe.length)
        scores: list[tuple[Array, Array]] = []
        for at in range(0, len(found), self.recipe.batch):
            given = self._given(found[at : at + self.recipe.batch])
            first, last = self._ends(given)
            said = predict(given, [first, last])
            scores += list(zip(np.asarray(said[first]), np.asarray(said[last]), strict=True))
        longest, nowhere = int(self.choice.number("longest")), self.special_token("begin") is not None
        answers = []
        for example, (_, text) in enumerate(pairs):
            own = [(window, *score) for window, score in zip(found, scores, strict=True) if window.example == example]
            answers.append(likeliest_answers(text, own, longest, top, nowhere=nowhere))
        return answers

    def _ends(self, given: Batch) -> tuple[str, str]:
        """The outputs that say where an answer begins and where it ends: the first two floats with the axes of the
        tokens. Raises E0753."""
        axes = next(info.value.type.axes for info in self.graph.inputs if info.name == self.input("tokens"))
        fitting = [
            info.name
            for info in self.graph.outputs
            if info.value.type.dtype == "float" and info.value.type.axes == axes and info.needs <= given.keys()
        ]
        if len(fitting) < 2:
            raise error(
                "E0753",
                f"{self.graph.name} has no two outputs with a number for each token, where an answer begins and ends",
                note=f"they are float with the axes of `{self.input('tokens')}`, computed from inputs that are known",
                help="`output start_logits = …` and `output end_logits = …`, or the variant that was trained",
            )
        return fitting[0], fitting[1]

    def metrics(self, predict: Predict, data: Asked, batches: int, known: Known) -> list[Metric]:
        said = [answers[0].name for answers in self._answers(predict, data.pairs, 1)]
        return loss_metrics(known) + answer_metrics(data.answers, said, [text for _, text in data.pairs])

    def predictions(self, predict: Predict, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
        """For each pair one prediction, the answer; an empty one says that it is not in the text."""
        return [[Prediction("", tuple(likely))] for likely in self._answers(predict, self._pairs(examples), top)]


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
