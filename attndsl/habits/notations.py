"""Axes by number and by pattern (`transpose(1, 2)`, `"b t (h d) -> b h t d"`), said with the author's names of axes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

NUMBER = re.compile(r"-?\d+")


def axis_at(number: str, axes: Sequence[str]) -> str | None:
    """The name of the axis with this number, if it is one and there is such an axis."""
    if not NUMBER.fullmatch(number.strip()):
        return None
    place = int(number)
    return axes[place] if -len(axes) <= place < len(axes) else None


def rearranged(operand: str, before: Sequence[str], after: Sequence[str]) -> str:
    """`rearrange(x, [T, width] -> [heads, T, head])`, without the axes at the front that stay where they are."""
    same = 0
    while same < min(len(before), len(after)) - 1 and before[same] == after[same]:
        same += 1
    return f"rearrange({operand}, [{', '.join(before[same:])}] -> [{', '.join(after[same:])}])"


def reshaped(operand: str, axes: Sequence[str], sizes: Sequence[str]) -> str:
    """`x.view(B, T, heads, -1)`. The sizes that stand for themselves at the front are left out, and -1 is what remains
    of the others."""
    axes = list(axes) or ["D"]
    kept = 0
    while kept < min(len(axes), len(sizes)) and sizes[kept] == axes[kept]:
        kept += 1
    before, after = axes[kept:], list(sizes[kept:])
    if not before or not after:
        return operand
    others = [size for size in after if size != "-1"]
    factors = list(before)
    for size in others:
        if size in factors:
            factors.remove(size)
    divisors = [size for size in others if size not in before]
    rest = " * ".join(factors) + "".join(f" / {size}" for size in divisors)
    return rearranged(operand, before, [rest if size == "-1" else size for size in after])


def ordered(operand: str, axes: Sequence[str], numbers: Sequence[str], *, swap: bool) -> str:
    """`x.permute(0, 2, 1)`; with `swap` `x.transpose(1, 2)`; without numbers all axes the other way round."""
    axes = list(axes) or ["T", "D"]
    places = [int(n) % len(axes) for n in numbers if NUMBER.fullmatch(n)]
    if swap and len(places) == 2:
        after = list(axes)
        after[places[0]], after[places[1]] = after[places[1]], after[places[0]]
    elif sorted(places) == list(range(len(axes))):
        after = [axes[place] for place in places]
    else:
        after = list(reversed(axes))
    while len(axes) > 1 and axes[-1] == after[-1]:
        axes, after = axes[:-1], after[:-1]
    return rearranged(operand, axes, after)


def selected(operand: str, entries: Sequence[str], axes: Sequence[str]) -> str:
    """`x[:, -1]`, `x[..., 0]`, `x[:, 1:3]`, `x[:, None]`."""
    entries = [entry.replace(" ", "") for entry in entries]
    new = [entry for entry in entries if re.fullmatch(r"None|(?:\w+\.)?newaxis", entry)]
    entries = [entry for entry in entries if entry not in new]
    if "..." in entries:
        at = entries.index("...")
        missing = len(axes) - len(entries) + 1
        entries[at : at + 1] = [":"] * max(missing, 1)
    written = [
        _entry(entry, axes[place] if place < len(axes) else "T", axes)
        for place, entry in enumerate(entries)
        if entry != ":"
    ]
    return f"{operand}[{', '.join(written)}]" if written else operand


def _entry(entry: str, axis: str, axes: Sequence[str]) -> str:
    start, colon, stop = entry.partition(":")
    if colon and start in axes:
        return f"{start}={stop}"  # `x[T:0]`
    first, last = _place(start, axis), _place(stop.partition(":")[0], axis)
    return f"{axis}={first}{colon}{last}"


def _place(text: str, axis: str) -> str:
    """A place along an axis; one that is counted from the end from its size."""
    return f"{axis} - {text[1:]}" if re.fullmatch(r"-\d+", text) else text


# ---------------------------------------------------------------- einsum and einops


def einsum(pattern: str, operands: Sequence[str], axes: Sequence[Sequence[str]]) -> str:
    """`einsum("btd,bsd->bts", q, k)` as products that are summed over the letters that the result lacks."""
    left, _, right = pattern.partition("->")
    inputs = [_letters(part) for part in left.split(",")]
    kept = _letters(right)
    names = {
        letter: name
        for letters, known in zip(inputs, axes, strict=False)
        for letter, name in zip(letters, known or letters, strict=False)
    }
    summed = [
        names.get(letter, letter)
        for letter in dict.fromkeys(letter for letters in inputs for letter in letters)
        if letter not in kept
    ]
    over = summed[0] if len(summed) == 1 else f"[{', '.join(summed)}]"
    if len(operands) == 1:
        return f"sum({operands[0]}, over={over})" if summed else operands[0]
    if not summed:
        return " * ".join(operands)
    product = operands[0] if len(operands) == 2 else " * ".join(operands[:-1])
    return f"dot({product}, {operands[-1]}, over={over})"


def _letters(part: str) -> list[str]:
    """The axes of one operand: letters (`btd`), or words with spaces between them as einops has them."""
    part = part.strip()
    return part.split() if " " in part else [letter for letter in part if letter.isalnum()]


def pattern_axes(pattern: str, axes: Sequence[str], sizes: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Both sides of an einops pattern in the author's names: those of the operand's axes, sizes that the call gives,
    and where a side has a product its factors."""
    left, _, right = pattern.partition("->")
    groups = _groups(left)
    if ["..."] in groups:
        at = groups.index(["..."])
        groups[at : at + 1] = [[f"...{n}"] for n in range(max(len(axes) - len(groups) + 1, 0))]
    names = dict(sizes)
    for group, axis in zip(groups, axes, strict=False):
        unknown = [word for word in group if word not in sizes]
        if len(group) == 1:
            names.setdefault(group[0], axis)
        elif len(unknown) == 1:
            given = [sizes[word] for word in group if word in sizes]
            factors = axis.split(" * ")
            whole = all(size in factors for size in given)
            for size in given if whole else ():
                factors.remove(size)
            names[unknown[0]] = " * ".join(factors) if whole else " / ".join([axis, *given])
    dots = [[word] for group in groups for word in group if word.startswith("...")]
    after = [group for each in _groups(right) for group in (dots if each == ["..."] else [each])]

    def said(group: Sequence[str]) -> str:
        words = [names.get(word, word) for word in group]
        return " * ".join(f"({word})" if "/" in word else word for word in words) if len(words) > 1 else words[0]

    before = [
        axis if len(group) == 1 or _is_one_name(axis) else said(group)
        for group, axis in zip(groups, [*axes, *(said(g) for g in groups[len(axes) :])], strict=False)
    ]
    return before, [said(group) for group in after if group]


def _is_one_name(axis: str) -> bool:
    return re.fullmatch(r"\w+", axis) is not None


def _groups(side: str) -> list[list[str]]:
    return [
        word.strip("()").split() if word.startswith("(") else [word] for word in re.findall(r"\([^)]*\)|[^\s()]+", side)
    ]
