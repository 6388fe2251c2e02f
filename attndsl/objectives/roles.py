"""What an input of a model can be for: the roles that objectives fill, and the data that they are filled from."""

from __future__ import annotations

from enum import Enum

from attndsl.records import Frozen


class Data(Enum):
    """What an objective learns from. The value is what an input is filled with, as a message says it."""

    TEXT = "text"
    RECORDS = "a column"
    IMAGES = "pictures"


class Role(Frozen):
    """An input's purpose, and what the input must be: its `dtype`, and the first axes of the first of the roles `like`
    that is filled, as many as it has (none: axes of its own; after `batch`: by default those of the objective's first
    role). `form` is how such an input is declared, and `of_text` whether tokens of a text fill it: a row for each text,
    or, of its words, one for each word. Where it `may_be_spelled`, it may be of the words' characters instead."""

    name: str
    dtype: str
    form: str
    like: tuple[str, ...] = ()
    of_text: bool = True
    may_be_spelled: bool = False

    @property
    def rank(self) -> int:
        return self.form.count(",") + 1

    @property
    def leads(self) -> bool:
        """Whether its axes are its own."""
        return not self.like

    @property
    def is_sequence(self) -> bool:
        """Whether it has a row of tokens for each text, or of words, of its own length."""
        return self.leads and self.of_text

    @property
    def is_one_each(self) -> bool:
        """Whether it has one number for each example."""
        return BATCH in self.like

    def __str__(self) -> str:
        return self.name


BATCH = "batch"
TOKENS = Role("tokens", "int", "int[B, T]")
SOURCE = Role("source", "int", "int[B, S]")
TARGET = Role("target", "int", "int[B, T]")
CHARACTERS = Role("characters", "int", "int[B, T, C]")
TOKENS_OR_CHARACTERS = Role("tokens", "int", "int[B, T]", may_be_spelled=True)
IMAGE = Role("image", "float", "float[B, channels, height, width]", of_text=False)
TARGETS = Role("targets", "int", "int[B, T]", ("target", "tokens"))
NEXT_WORD = Role("next_word", "int", "int[B, T]", ("characters",))
PREVIOUS_WORD = Role("previous_word", "int", "int[B, T]", ("characters",))
VALID = Role("valid", "bool", "bool[B, T]", ("source", "tokens", "characters"))
SEGMENT = Role("segment", "int", "int[B, T]", ("tokens",))
NEXT = Role("next", "int", "int[B]", (BATCH,))
CODES = Role("codes", "int", "int[B, P]", of_text=False)
LABEL = Role("label", "int", "int[B]", (BATCH,))
LAST = Role("last", "int", "int[B]", (BATCH, "tokens"))
START = Role("start", "int", "int[B]", (BATCH,))
END = Role("end", "int", "int[B]", (BATCH,))
MATCH = Role("match", "int", "int[B]", (BATCH,))
