"""Tables and equations as papers print them, in Markdown and in LaTeX.

Given reports of models; gives a table of their sizes and one of their layers, models side by side.
"""

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.typesetting.columns import paper_tables
    from attndsl.typesetting.tables import PaperTable, as_latex, as_markdown

__all__ = ["PaperTable", "as_latex", "as_markdown", "paper_tables"]

__getattr__, __dir__ = lazily(
    __name__, {"paper_tables": "columns", "PaperTable": "tables", "as_latex": "tables", "as_markdown": "tables"}
)
