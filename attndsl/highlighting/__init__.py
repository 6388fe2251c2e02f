"""Colours for spec texts, from the grammar: what stands where, by regular expressions, in the order they are tried.

Given the grammar's words and marks; gives one list of rules, which serves all: `AttnLexer` is Pygments' (so notebooks,
Sphinx and `pygmentize` know `attn`), and `scripts/textmate.py` writes `grammars/attn.tmLanguage.json` for editors.
"""

from attndsl.highlighting.colours import ColourRule, rules

__all__ = ["ColourRule", "rules"]
