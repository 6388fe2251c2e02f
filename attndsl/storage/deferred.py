"""Arrays by name that are made as they are asked for: of a model that is read, gathered or written, one is there at a
time."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Mapping, ValuesView

from attndsl.lazy import Array, np

Pairs = Iterator[tuple[str, "Array"]]


class Deferred(Mapping[str, "Array"]):
    """Each is made by `make`, anew every time, and kept by whoever asks. `stated` has for each name an array of its
    shape and dtype, of zeros that take no memory. `items()` and `values()` make all, by `through` where several come of
    one thing that is costly to read, in whichever order that gives them; one who asks by name has it read again for
    each."""

    def __init__(
        self, stated: Mapping[str, Array], make: Callable[[str], Array], through: Callable[[], Pairs] | None = None
    ) -> None:
        self.stated = stated
        self._make, self._through = make, through

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]], dtype: object, make: Callable[[str], Array]) -> Deferred:
        """Those of these shapes, all of one dtype."""
        return cls({name: stating(shape, dtype) for name, shape in shapes.items()}, make)

    @classmethod
    def joined(cls, *parts: Mapping[str, Array]) -> Deferred:
        """Those of all `parts`, which have none in common, each part in its own way."""
        place = {name: part for part in parts for name in part}
        return cls(
            {name: array for part in parts for name, array in stated(part).items()},
            lambda name: place[name][name],
            lambda: (pair for part in parts for pair in part.items()),
        )

    def __getitem__(self, name: str) -> Array:
        if name not in self.stated:
            raise KeyError(name)
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.stated)

    def __len__(self) -> int:
        return len(self.stated)

    def __contains__(self, name: object) -> bool:
        return name in self.stated

    def items(self) -> ItemsView[str, Array]:
        return _Items(self)

    def values(self) -> ValuesView[Array]:
        return _Values(self)

    def pairs(self) -> Pairs:
        return self._through() if self._through is not None else ((name, self._make(name)) for name in self.stated)


class _Items(ItemsView[str, "Array"]):
    _mapping: Deferred

    def __iter__(self) -> Pairs:
        return self._mapping.pairs()


class _Values(ValuesView["Array"]):
    _mapping: Deferred

    def __iter__(self) -> Iterator[Array]:
        return (array for _, array in self._mapping.pairs())


def stating(shape: tuple[int, ...], dtype: object) -> Array:
    """An array of zeros of this shape and dtype that takes no memory."""
    found: Array = np.broadcast_to(np.zeros((), dtype), shape)  # type: ignore[call-overload]
    return found


def stated(arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """What is known of the arrays without making them: others of their shapes and dtypes."""
    return arrays.stated if isinstance(arrays, Deferred) else arrays
