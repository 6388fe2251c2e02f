"""Tokens that stand for no text: padding, the beginning and end of a text, what hides a word, sentinels for spans."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.records import Frozen

ROLES = ("pad", "unknown", "begin", "end", "mask", "start")
# Those that another may stand for, in the order in which they are looked for.
STAND_INS = {"start": ("start", "begin", "pad")}


class SpecialTokens(Frozen):
    """The name of each special token that a spec speaks of, and how many sentinels there are (`<extra_id_0>`, …).

    `order` has the roles as they were written (roles that it leaves out follow): a trained tokenizer gives them its
    first numbers in that order, and the sentinels its last, `<extra_id_0>` the very last (Raffel et al., 2020). Two
    roles may share a name, and then share its number.
    """

    pad: str | None = None
    unknown: str | None = None
    begin: str | None = None
    end: str | None = None
    mask: str | None = None
    start: str | None = None
    sentinels: int = 0
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        named = dict.fromkeys((*self.order, *ROLES))
        object.__setattr__(self, "order", tuple(role for role in named if getattr(self, role)))

    @staticmethod
    def of(names: Mapping[str, object]) -> SpecialTokens:
        """From `{"pad": "[PAD]", "sentinels": 100}`, in the order of writing."""
        roles = tuple(name for name in names if name in ROLES and names[name])
        known = {name: str(names[name]) for name in roles}
        count = names.get("sentinels") or 0
        assert isinstance(count, int)
        return SpecialTokens(**known, sentinels=count, order=roles)

    def to_json(self) -> dict[str, object]:
        """As plain values, in the order of writing; `from_json` reads it back."""
        named: dict[str, object] = {name: getattr(self, name) for name in self.order}
        return named | ({"sentinels": self.sentinels} if self.sentinels else {})

    @staticmethod
    def from_json(plain: Mapping[str, object]) -> SpecialTokens:
        """What `to_json` wrote."""
        return SpecialTokens.of(plain)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all of them, each once, without the sentinels."""
        return tuple(dict.fromkeys(str(getattr(self, role)) for role in self.order))

    @property
    def last(self) -> tuple[str, ...]:
        """The sentinels by ascending number of their tokens: `<extra_id_0>` comes last."""
        return tuple(sentinel(number) for number in reversed(range(self.sentinels)))

    def __bool__(self) -> bool:
        return bool(self.order or self.sentinels)


def sentinel(number: int) -> str:
    """`<extra_id_0>`, …"""
    return f"<extra_id_{number}>"


def stands_for(role: str, named: Mapping[str, object]) -> str | None:
    """Which of the special tokens that are `named` plays `role`: `start` may be `begin` or `pad`. None: none does."""
    return next((name for name in STAND_INS.get(role, (role,)) if named.get(name)), None)
