"""A record is what the standard library makes of the same declaration, in every way that is asked for."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError
from typing import Any, ClassVar

import pytest

from attndsl import records

OPTIONS = [
    {"frozen": frozen, "slots": slots, "eq": eq}
    for frozen in (True, False)
    for slots in (True, False)
    for eq in (True, False)
]


def declared(make: Any, **options: Any) -> tuple[Any, Any]:
    """A class and one that extends it."""

    @make.dataclass(**options)
    class Base:
        """Documented."""

        kind: ClassVar[str] = "base"
        first: int
        second: Any = 2
        hidden: Any = make.field(default_factory=dict, compare=False, repr=False)

        def __post_init__(self) -> None:
            self.hidden["seen"] = self.first

    @make.dataclass(**options)
    class Derived(Base):
        second: Any = "other"
        third: tuple[int, ...] = ()

        def __repr__(self) -> str:
            return f"own {self.third}"

    return Base, Derived


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_record_does_what_a_dataclass_does(options: dict[str, bool]) -> None:
    for ours, theirs in zip(declared(records, **options), declared(dataclasses, **options), strict=True):
        assert dataclasses.is_dataclass(ours)
        assert ours.__match_args__ == theirs.__match_args__
        for reads in (records.fields, dataclasses.fields):
            assert [(f.name, f.type, f.repr, f.compare) for f in reads(ours)] == [
                (f.name, f.type, f.repr, f.compare) for f in dataclasses.fields(theirs)
            ]
        assert hasattr(ours(1), "__dict__") == hasattr(theirs(1), "__dict__")
        for arguments in ((1,), (1, 3), (1, [])):
            one, other = ours(*arguments), theirs(*arguments)
            assert repr(one) == repr(other)
            assert one.hidden == other.hidden == {"seen": 1}
            assert one.hidden is not ours(*arguments).hidden
            assert (one == ours(*arguments)) == (other == theirs(*arguments))
            assert (one == ours(7)) == (other == theirs(7)) is False
            assert one != other
            assert (ours.__hash__ is None) == (theirs.__hash__ is None)
            if ours.__hash__ is not None and arguments != (1, []):
                assert (hash(one) == hash(ours(*arguments))) == (hash(other) == hash(theirs(*arguments)))
            for replaced in (records.replace(one, first=5), dataclasses.replace(one, first=5)):
                assert (replaced.first, replaced.second) == (5, one.second)
            copied = copy.deepcopy(one)
            assert (type(copied), copied.first, copied.hidden) == (ours, one.first, one.hidden)
            if options["frozen"]:
                with pytest.raises(FrozenInstanceError):
                    one.first = 2
                with pytest.raises(FrozenInstanceError):
                    del one.first
            else:
                one.first = 2
                assert one.first == 2
        for wrong in ((), (1, 2, 3, 4, 5)):
            with pytest.raises(TypeError, match=r"__init__\(\)"):
                ours(*wrong)


@records.dataclass(frozen=True, slots=True)
class Point:
    """Two numbers."""

    x: int
    y: int = 0


def test_a_record_can_be_pickled_and_matched() -> None:
    assert pickle.loads(pickle.dumps(Point(1, 2))) == Point(1, 2)
    match Point(3):
        case Point(x, 0):
            assert x == 3
        case _:
            pytest.fail("not matched")


def test_a_dataclass_may_extend_a_record() -> None:
    @dataclasses.dataclass(frozen=True)
    class Far(Point):
        z: int = 9

    assert (Far(1).x, Far(1).y, Far(1).z) == (1, 0, 9)


def test_a_default_that_can_change_is_refused() -> None:
    with pytest.raises(ValueError, match="use a factory"):

        @records.dataclass
        class Shared:
            names: Any = []  # noqa: RUF012


def test_a_cycle_is_shown_as_one() -> None:
    @records.dataclass(eq=False)
    class Knot:
        next: Any = None

    knot = Knot()
    knot.next = knot
    assert repr(knot).endswith("Knot(next=...)")


def test_is_record_says_what_is_dataclass_says() -> None:
    _, derived = declared(records)
    for item in (derived(1), derived, 3, "text", (derived(1),)):
        assert records.is_record(item) == dataclasses.is_dataclass(item)


class Shape(records.Frozen):
    """The first of a kind."""

    sides: ClassVar[int] = 0


class Square(Shape):
    side: int = 1
    seen: list[int] = records.field(default_factory=list, compare=False)


class Tile(Square):
    sides = 4


class Place(records.Frozen, eq=False):
    x: int


class Corner(Place):
    y: int = 0


def test_what_extends_frozen_is_a_record() -> None:
    assert [f.name for f in records.fields(Tile)] == ["side", "seen"] == list(Tile.__match_args__)
    assert repr(Tile(2)) == "Tile(side=2, seen=[])"
    assert (Shape.sides, Tile.sides, Corner(3).y) == (0, 4, 0)
    assert dataclasses.is_dataclass(Tile)
    assert records.replace(Tile(2), side=3) == Tile(3, [1]) == pickle.loads(pickle.dumps(Tile(3)))


@pytest.mark.parametrize("made", [Shape(), Square(), Tile(), Place(1), Corner(1)], ids=lambda made: type(made).__name__)
def test_what_extends_frozen_has_slots_and_stays_as_it_is(made: Any) -> None:
    assert not hasattr(made, "__dict__")
    for name in ("sides", "side", "x"):
        with pytest.raises(AttributeError):
            setattr(made, name, 5)


def test_records_of_one_kind_are_compared_alike() -> None:
    assert Tile(1) == Tile(1, [5])
    assert len({Shape(), Shape(), Tile(1), Tile(1), Tile(2), Square(1)}) == 4
    assert len({Place(1), Place(1), Corner(1), Corner(1)}) == 4


class Sum(records.Frozen, eq=False):
    """Compared by what it says itself."""

    x: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and (self.x - other.x) % 2 == 0

    def __hash__(self) -> int:
        return self.x % 2


class Mixin:
    __slots__ = ()


class Marked(Mixin, Place):
    mark: int = 0


class Weighed(Sum):
    weight: int = 0


def test_a_kind_says_how_its_records_are_compared() -> None:
    assert Weighed(1) == Weighed(3, 5)
    assert Marked(1) != Marked(1)


@pytest.mark.parametrize(("bases", "options"), [((records.Frozen,), {"qe": False}), ((Place,), {"eq": True})])
def test_an_option_that_would_do_nothing_is_refused(bases: tuple[type, ...], options: dict[str, bool]) -> None:
    with pytest.raises(TypeError, match="may say `eq`"):
        type(records.Frozen)("Wrong", bases, {}, **options)
