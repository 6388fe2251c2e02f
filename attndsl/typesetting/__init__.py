"""Tables and equations as papers print them, in Markdown and in LaTeX.

Given reports of models; gives a table of their sizes and one of their layers, models side by side. Given a graph; gives
what it computes as equations, with a definition for each block, by the rules of its primitives.
"""

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.typesetting.columns import paper_tables
    from attndsl.typesetting.definitions import Definition, Equations, equations
    from attndsl.typesetting.documents import equations_in_latex, equations_in_markdown
    from attndsl.typesetting.tables import PaperTable, as_latex, as_markdown

__all__ = [
    "Definition",
    "Equations",
    "PaperTable",
    "as_latex",
    "as_markdown",
    "equations",
    "equations_in_latex",
    "equations_in_markdown",
    "paper_tables",
]

__getattr__, __dir__ = lazily(__name__)
