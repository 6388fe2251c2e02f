"""Text that stands in Markdown or in LaTeX as what it is, whatever signs are in it."""

from __future__ import annotations

import re

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
    "-": "{-}",  # two in a row are no dash
    "×": r"$\times$", "·": r"$\cdot$", "–": "--", "—": "---", "…": r"\ldots{}", "²": r"$^2$", "³": r"$^3$",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "ε": r"$\varepsilon$", "θ": r"$\theta$", "λ": r"$\lambda$",
    "μ": r"$\mu$", "π": r"$\pi$", "σ": r"$\sigma$", "φ": r"$\varphi$", "Σ": r"$\Sigma$", "Φ": r"$\Phi$",
    "≤": r"$\le$", "≥": r"$\ge$", "≠": r"$\ne$", "→": r"$\to$", "←": r"$\gets$", "\u00a0": "~",
}  # fmt: skip

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#$~&])")


def in_latex(text: str) -> str:
    """`text` in LaTeX's text mode. Letters of any alphabet stay as they are: files are UTF-8."""
    return "".join(_LATEX.get(sign, sign) for sign in text)


def prose_in_latex(text: str) -> str:
    """A sentence in LaTeX's text mode: as `in_latex`, and what stands between `` ` `` as code; hyphens and quotes are
    those of prose."""
    parts = text.split("`")
    closed = len(parts) % 2 == 1
    return "".join(
        code_in_latex(part) if number % 2 and closed else _prose("`" * (number > 0 and not closed) + part)
        for number, part in enumerate(parts)
    )


def _prose(text: str) -> str:
    return "".join(sign if sign in "-'" else _LATEX.get(sign, sign) for sign in text)


def code_in_latex(text: str) -> str:
    """`text` as a spec writes it, in LaTeX's text mode."""
    return rf"\texttt{{{in_latex(text)}}}" if text else ""


def in_markdown(text: str) -> str:
    """`text` in a paragraph or a cell of a table in Markdown."""
    return _MARKDOWN.sub(r"\\\1", text)


def prose_in_markdown(text: str) -> str:
    """A sentence in Markdown: as `in_markdown`, and what stands between `` ` `` as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return in_markdown(text)
    return "".join(code_in_markdown(part) if number % 2 else in_markdown(part) for number, part in enumerate(parts))


def code_in_markdown(text: str) -> str:
    """`text` as a spec writes it, in a paragraph or a cell of a table in Markdown."""
    if not text:
        return ""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " * (longest > 0)
    return f"{fence}{space}{text.replace('|', chr(92) + '|')}{space}{fence}"
