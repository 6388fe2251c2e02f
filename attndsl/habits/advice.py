"""What to write instead of an expression of another library, with the author's own names."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Protocol

from attndsl.diagnostics import Fix
from attndsl.habits import notations
from attndsl.habits.table import ARGUMENTS, CALLS, LAST_AXIS, MODULES, NAMES, NUMPY_LIKE, OPTIONS, STATEMENTS
from attndsl.habits.written import ForeignText, bracketed, items, operand_before, quoted, read, split
from attndsl.records import Frozen, replace

_HOLE = re.compile(r"\{(\w+)(?:\|([^{}]*))?\}")
_FORM = re.compile(r"\[(\w+)(?: (.+))?\]")
LONGEST = 60
"""Characters of an argument that is taken over as it stands."""


class KnownNames(Protocol):
    """What is known where the expression stands."""

    def axes(self, expression: str) -> Sequence[str]:
        """The axes of the tensor that an expression is, empty where that is not known."""

    def options(self, name: str) -> Sequence[str] | None:
        """The keywords of the function of this name; None where there is no such function."""


def called_here(name: str, habits: Mapping[str, str], known: Container[str]) -> tuple[str, ...]:
    """A help line that says what `name` is called here, where that is among the known; a tuple that may be empty."""
    here = habits.get(name)
    return (Fix.of(f"it is called `{here}` here", name, here),) if here is not None and here in known else ()


def advise(text: str, start: int, names: KnownNames, receiver: str = "") -> str:
    """A help line about the expression at `start` of `text`, or "" where no habit is seen. `receiver` is what a method
    belongs to, of which `start` is the name."""
    found = read(text, start)
    if found is None:
        return ""
    path = found.path
    if not receiver:
        if path[0] == "self":
            return "there is no `self`: refer to a layer or a value by its name" + (
                f", `{path[1]}`" if path[1:] else ""
            )
        while len(path) > 1 and path[0] in MODULES:
            path = path[1:]
        if len(path) > 1 and len(path) == len(found.path):
            return ""  # a member of something that is not known
    is_foreign = bool(receiver) or len(path) < len(found.path)
    if not is_foreign and path[0] in NAMES:
        return Fix.of(f"write `{NAMES[path[0]]}`", path[0], NAMES[path[0]])
    call = ForeignCall(found, names, receiver)
    row, why = CALLS.get(call.name), ""
    if row is not None:
        form = _FORM.fullmatch(row)
        row, _, why = row.partition(" ; ")
        code = FORMS[form[1]](call, form[2]) if form else call.fill(row)
    else:
        code = call.same_name() if is_foreign and names.options(call.name) is not None else ""
    if code or not is_foreign or receiver:
        return f"write `{code}`{why and f': {why}'}" if code else ""
    return (
        f"nothing is called through a module such as `{found.path[0]}`: docs/library.md lists all functions and blocks"
    )


def advise_layer(text: str, start: int, names: KnownNames) -> str:
    """A help line about the block at `start` that is called as a layer is elsewhere, `linear(width, hidden)(x)`."""
    found = read(text, start) if start >= 0 else None
    if found is None or found.name.capitalize() not in CALLS:
        return ""
    operands = () if found.operands else tuple(a for a in found.arguments if names.axes(a))
    arguments = tuple(a for a in found.arguments if a not in operands)
    call = ForeignCall(
        replace(found, path=(found.name.capitalize(),), arguments=arguments, operands=found.operands or operands), names
    )
    return f"write `{call.fill(CALLS[call.name])}`"


_HEADS = (
    re.compile(r"for\s+(?P<i>\w+)\s+in\s+range\((?P<n>[^(),]+)\)"),
    re.compile(r"for\s+(?P<i>\w+)\s+in\s+(?P<n>[\w.]+)"),
    re.compile(r"\w+\s+(?P<name>[A-Za-z]\w*)(?:\(\s*(?:self\s*,\s*)?(?P<x>[A-Za-z]\w*)?)?"),
)


def advise_statement(line: str) -> str:
    """A help line about a statement that starts with a word of `STATEMENTS`."""
    row = STATEMENTS[re.match(r"\w+", line).group()]  # type: ignore[union-attr]
    said = next((found.groupdict() for head in _HEADS if (found := head.match(line))), {})
    return _HOLE.sub(lambda hole: (said.get(hole[1]) or hole[2] or "…").strip(), row)


def advise_option(text: str, start: int, name: str, names: KnownNames) -> str:
    """A help line about the option `name` of the call at `start`, "" for one that is no habit."""
    found = read(text, start)
    if found is None:
        return ""
    renamed = called_here(name, ARGUMENTS, names.options(found.name) or ())
    if renamed:
        return renamed[0]
    return f"write `{ForeignCall(found, names).same_name()}`" if name in OPTIONS else ""


def advise_subscript(text: str, bracket: int, names: KnownNames) -> str:
    """A help line about axes by their places, as in `x[:, -1]`, whose bracket opens at `bracket`."""
    operand, inside = operand_before(text, bracket), bracketed(text, bracket)
    if not operand or inside is None:
        return ""
    code = notations.selected(operand, split(inside), names.axes(operand))
    return f"write `{code}`" + (": tensors align by the names of their axes" if code == operand else "")


def advise_product(text: str, at: int, names: KnownNames) -> str:
    """A help line about the `@` at `at`."""
    a, after = (
        operand_before(text, at) or "a",
        read(text, at + 1 + len(text[at + 1 :]) - len(text[at + 1 :].lstrip(" "))),
    )
    b = ".".join(after.path) if after is not None else "b"
    shared = [axis for axis in names.axes(a) if axis in names.axes(b)]
    return f"write `dot({a}, {b}, over={shared[-1] if shared else '…'})`"


class ForeignCall(Frozen):
    """A foreign expression, with its operand and the arguments after it."""

    written: ForeignText
    names: KnownNames
    receiver: str = ""

    @property
    def name(self) -> str:
        return self.written.name

    @property
    def is_layer(self) -> bool:
        return not self.receiver and (bool(self.written.operands) or self.name[:1].isupper())

    @property
    def operand(self) -> str:
        """`x`, or "" where there is none."""
        if self.receiver:
            return self.receiver
        given = self.written.operands if self.is_layer else self.written.arguments
        return _short(given[0]) if given else ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What comes after the operand; for a layer all that makes it."""
        given = self.written.arguments
        return given if self.receiver or self.is_layer else given[1:]

    def argument(self, place: int) -> str:
        """The argument that a template counts so: from 1 after an operand, from 0 for a layer."""
        place -= not self.is_layer
        return _short(self.arguments[place]) if 0 <= place < len(self.arguments) else ""

    @property
    def axes(self) -> Sequence[str]:
        return self.names.axes(self.operand)

    def numbers(self) -> list[str]:
        """The axes that are given by number, by keyword or by position."""
        given = next(
            (self.written.options[name] for name in ("dim", "axis", "dims", "axes") if name in self.written.options), ""
        )
        texts = [given] if given else [a for a in self.arguments if notations.NUMBER.fullmatch(a) or items(a)][:1]
        return [number for text in texts for number in (items(text) or [text])]

    def over(self) -> str:
        """What `over=` says: the axes of these numbers, all axes without any, the last of what is not known."""
        axes, numbers = self.axes, self.numbers()
        if not axes:
            return "…"
        named = [axis for number in numbers if (axis := notations.axis_at(number, axes))]
        if not named and self.name in LAST_AXIS:
            named = [axes[-1]]
        named = named or list(axes)
        return named[0] if len(named) == 1 else f"[{', '.join(named)}]"

    def shared(self) -> str:
        """The axis that a product sums over: the last that both operands have."""
        others = self.names.axes(self.argument(1))
        both = [axis for axis in self.axes if axis in others]
        return both[-1] if both else "…"

    def fill(self, template: str) -> str:
        """The template with the author's text in its holes."""

        def hole(found: re.Match[str]) -> str:
            for name in (found[1], *(found[2] or "").split("|")):
                text = self._hole(name)
                if text is not None:
                    return text
            return (found[2] or "…").rpartition("|")[2]

        return re.sub(r"\((?:, )+", "(", _HOLE.sub(hole, template)).removeprefix(" |> ")

    def _hole(self, name: str) -> str | None:
        known: dict[str, Callable[[], str]] = {
            "x": lambda: self.operand, "over": self.over, "shared": self.shared, "all": lambda: ", ".join(self.axes),
        }  # fmt: skip
        if name in known:
            return known[name]()
        text = self.argument(int(name)) if name.isdigit() else _short(self.written.options.get(name, ""))
        return text or None

    def same_name(self) -> str:
        """`tanh(x)` for `torch.tanh(x)`: the same function, called by its name alone, with its axes by name."""
        if not self.written.is_called:
            return self.name
        options = self.names.options(self.name) or ()
        given = [_short(a) or "…" for a in self.arguments if not ("over" in options and _numbers(a))]
        kept = [f"{key}={value}" for key, value in self.written.options.items() if key in options and key != "over"]
        over = [f"over={self.written.options.get('over') or self.over()}"] if "over" in options else []
        return f"{self.name}({', '.join([*filter(None, [self.operand]), *given, *kept, *over])})"


def _numbers(text: str) -> bool:
    return all(notations.NUMBER.fullmatch(part) for part in items(text) or [text])


def _short(text: str) -> str:
    """An argument as it stands, where it is short and may be understood here."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST and not re.search(r"lambda|['\":{}]", text) else ""


# ---------------------------------------------------------------- what is more than a template


def _sizes(call: ForeignCall) -> list[str]:
    """Sizes as arguments or as one tuple."""
    given = [_short(a) for a in call.arguments]
    return items(given[0]) or given if given else []


def _joined(call: ForeignCall, _: str | None) -> str:
    parts = items(call.written.arguments[0]) if call.written.arguments else []
    parts = parts or ["a", "b"]
    axes = [call.names.axes(part) for part in parts]
    pattern = quoted(call.arguments[0]) if call.name == "pack" and call.arguments else None
    numbers = [str(pattern.split().index("*"))] if pattern and "*" in pattern.split() else call.numbers()
    number = numbers[0] if numbers else {"hstack": "1", "vstack": "0"}.get(call.name, "0")
    joined = [notations.axis_at(number, each) or "T" for each in axes]
    return f"concat({', '.join(parts)}, over=[{', '.join(joined)}] -> joined)"


def _parted(call: ForeignCall, _: str | None) -> str:
    pattern = next((quoted(a) for a in call.arguments if quoted(a)), None) or ""
    if "*" in pattern.split():
        axis = notations.axis_at(str(pattern.split().index("*")), call.axes) or "T"
        return f"split({call.operand}, over={axis} -> [a={axis} / 2, b={axis} / 2])"
    keywords = ("dim", "axis")
    numbers = [call.written.options[key] for key in keywords if key in call.written.options] or list(
        call.arguments[1:2]
    )
    axis = (notations.axis_at(numbers[0], call.axes) if numbers else None) or (call.axes[:1] or ["D"])[0]
    count = call.argument(1)
    if call.name == "split" and items(count):
        return f"split({call.operand}, over={axis} -> {count.replace('(', '[').replace(')', ']')})"
    if count and call.name == "split" and call.written.path[0] not in NUMPY_LIKE:
        return f"split({call.operand}, over={axis} -> [a={count}, b={axis} - {count}])"
    parts = int(count) if count.isdigit() and 1 < int(count) < 9 else 2
    size = f"{axis} / {parts}"
    return f"split({call.operand}, over={axis} -> [{', '.join(f'{letter}={size}' for letter in 'abcdefgh'[:parts])}])"


def _repeated(call: ForeignCall, _: str | None) -> str:
    pattern = quoted(call.arguments[0]) if call.arguments else None
    if pattern is None:
        times = dict(zip(call.axes, _sizes(call), strict=False))
        axis = next((axis for axis, count in times.items() if count != "1"), "T")
        copies = f"broadcast({call.operand}, [{', '.join([f'copies={times.get(axis, 2)}', *call.axes])}])"
        return f"rearrange({copies}, [copies, {axis}] -> [copies * {axis}])"
    _before, after = notations.pattern_axes(pattern, call.axes, call.written.options)
    return f"broadcast({call.operand}, [{', '.join(after)}])"


def _pattern(call: ForeignCall, _: str | None) -> str:
    given = call.arguments[0] if call.arguments else ""
    pattern = quoted(given)
    if pattern is None:
        return ""
    before, after = notations.pattern_axes(pattern, call.axes, call.written.options)
    return notations.rearranged(call.operand, before, [axis for axis in after if axis != "1"]).replace("(, ", "(")


def _reduction(call: ForeignCall, _: str | None) -> str:
    pattern = quoted(call.arguments[0]) if call.arguments else None
    how = quoted(call.arguments[1]) if len(call.arguments) > 1 else None
    if pattern is None:
        return ""
    before, after = notations.pattern_axes(pattern, call.axes, call.written.options)
    gone = [axis for axis in before if axis not in after]
    over = gone[0] if len(gone) == 1 else f"[{', '.join(gone)}]"
    return f"{how or 'mean'}({', '.join(filter(None, [call.operand, f'over={over}']))})"


def _einsum(call: ForeignCall, _: str | None) -> str:
    given = call.written.arguments
    pattern = next((text for a in given if (text := quoted(a)) is not None), "")
    operands = [a for a in given if quoted(a) is None]
    if not pattern or not operands:
        return "dot(a, b, over=K)"
    return notations.einsum(pattern, operands, [call.names.axes(operand) for operand in operands])


def _sized(call: ForeignCall, _: str | None) -> str:
    numbers = [call.written.index] if call.written.index else list(call.arguments[:1])
    axis = notations.axis_at(numbers[0], call.axes) if numbers else None
    return axis or ("" if call.receiver else ", ".join(call.axes))


def _filled(call: ForeignCall, value: str | None) -> str:
    if call.name.endswith("_like"):
        return f"broadcast({value}, [{', '.join(call.axes) or 'T'}])"
    sizes = items(call.written.arguments[0]) if call.written.arguments else []
    sizes = sizes or [_short(a) for a in call.written.arguments]
    is_start = not call.receiver and len(sizes) < 2
    return call.name if is_start else f"broadcast({value}, [{', '.join(sizes)}])"


def _counted(call: ForeignCall, _: str | None) -> str:
    length = call.operand or "T"
    return f"range({length})" if length.isidentifier() else f"range(n={length})"


def _cast(call: ForeignCall, _: str | None) -> str:
    wanted = call.argument(1)
    return (
        f"{'int' if 'int' in wanted or 'long' in wanted else 'bool' if 'bool' in wanted else 'float'}({call.operand})"
    )


def _flattened(call: ForeignCall, _: str | None) -> str:
    numbers = call.numbers()
    start = int(numbers[0]) if numbers and numbers[0].isdigit() else 0
    axes = list(call.axes[start:]) or ["T", "D"]
    return f"rearrange({call.operand}, [{', '.join(axes)}] -> [{' * '.join(axes)}])"


def _reshaped(call: ForeignCall, _: str | None) -> str:
    return notations.reshaped(call.operand, call.axes, _sizes(call))


def _swapped(call: ForeignCall, _: str | None) -> str:
    places = _sizes(call) or ["-2", "-1"]
    return notations.ordered(call.operand, call.axes, places, swap=len(places) == 2)


def _moved(call: ForeignCall, _: str | None) -> str:
    axes, places = list(call.axes), [int(size) for size in _sizes(call) if size.lstrip("-").isdigit()]
    after = list(axes)
    if len(places) == 2 and axes:
        after.insert(places[1] % len(axes), after.pop(places[0] % len(axes)))
    numbers = [str(axes.index(axis)) for axis in after]
    return notations.ordered(call.operand, axes, numbers, swap=False)


def _permuted(call: ForeignCall, _: str | None) -> str:
    return notations.ordered(call.operand, call.axes, _sizes(call), swap=False)


def _activation(call: ForeignCall, _: str | None) -> str:
    return f"{call.name.lower()}({call.operand})" if call.operand else call.name.lower()


FORMS: dict[str, Callable[[ForeignCall, str | None], str]] = {
    "joined": _joined, "parted": _parted, "repeated": _repeated, "pattern": _pattern, "reduction": _reduction,
    "einsum": _einsum, "sized": _sized, "filled": _filled, "counted": _counted, "cast": _cast,
    "flattened": _flattened, "reshaped": _reshaped, "swapped": _swapped, "moved": _moved, "permuted": _permuted,
    "activation": _activation,
}  # fmt: skip
