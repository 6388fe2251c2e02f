"""Equations as a page of Markdown, and as a LaTeX document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from attndsl.records import Frozen
from attndsl.typesetting.definitions import Definition, Equations
from attndsl.typesetting.escaping import code_in_latex, code_in_markdown, prose_in_latex, prose_in_markdown
from attndsl.typesetting.writer import Equation

CONVENTIONS = (
    "Indices begin at 0. One that an equation only carries along is not written: it holds for all values of that.",
    "A function in upright letters is a block, defined below; below its name stands the layer, which has parameters of "
    "its own, and above it the round of a loop. What a state becomes is its next.",
    "σ is the logistic function; brackets around a condition are 1 where it holds and 0 elsewhere; "
    "softmax is over the index below it, where the condition behind it holds.",
)


class _Form(Frozen):
    """How a page is written: prose, code, a formula in a line and one of its own, headings of both levels, and what
    stands around it all."""

    prose: Callable[[str], str]
    code: Callable[[str], str]
    within: str
    apart: str
    title: str
    section: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


_MARKDOWN = _Form(prose_in_markdown, code_in_markdown, "${}$", "$$\n{}\n$$", "# {}", "## {}")
_LATEX = _Form(
    prose_in_latex, code_in_latex, r"\({}\)", "\\[\n{}\n\\]", r"\section*{{{}}}", r"\subsection*{{{}}}",
    before=(
        "\n".join((
            r"\documentclass{article}", r"\usepackage[T1]{fontenc}", r"\usepackage{textcomp}", r"\usepackage{amsmath}",
            r"\usepackage[margin=2cm]{geometry}", r"\setlength{\parindent}{0pt}", r"\setlength{\parskip}{1ex}",
            r"\begin{document}",
        )),
    ),
    after=(r"\end{document}",),
)  # fmt: skip


def equations_in_markdown(found: Equations) -> str:
    """With formulas between `$` and between `$$`, as GitHub, Jupyter and Pandoc read them."""
    return _page(found, _MARKDOWN)


def equations_in_latex(found: Equations) -> str:
    """A document of its own, for LaTeX with `amsmath`."""
    return _page(found, _LATEX)


def _page(found: Equations, form: _Form) -> str:
    parts = [*form.before, form.title.format(form.prose(found.title)), form.prose(found.doc)]
    parts += [*_definition(found.model, form), " ".join(map(form.prose, CONVENTIONS))]
    for block in found.blocks:
        layers = f"As {', '.join(map(form.code, block.layers))}."
        parts += [form.section.format(form.code(block.kind)), form.prose(block.doc), layers, *_definition(block, form)]
    return "\n\n".join(part for part in (*parts, *form.after) if part) + "\n"


def _definition(found: Definition, form: _Form) -> tuple[str, str]:
    """The equations, and what their indices run along; where several layers share them, without the sizes."""
    several = len(found.layers) > 1
    axes = [(letter, axis.partition("=")[0] if several else axis) for letter, axis in found.indices]
    said = ", ".join(f"{form.within.format(letter)} along {form.code(axis)}" for letter, axis in axes)
    return form.apart.format(_body(found.lines, 0)), f"Indices: {said}." if said else ""


def _body(lines: Sequence[Equation], depth: int) -> str:
    """Equations below one another. The body of a loop stands beside a bar, behind the words that say how often."""
    rows = []
    for line, inside in _with_bodies(lines, depth):
        if line.left:
            rows.append(f"{line.left} &= {line.right}")
        else:
            rows.append(rf"{line.right} &\;\left|\;{_body(inside, depth + 1)}\right.")
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def _with_bodies(lines: Sequence[Equation], depth: int) -> Iterator[tuple[Equation, Sequence[Equation]]]:
    """Each line of this depth, with the deeper ones behind it."""
    starts = [number for number, line in enumerate(lines) if line.depth == depth]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[start], lines[start + 1 : end]
