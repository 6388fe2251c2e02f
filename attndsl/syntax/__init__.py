"""From text to a tree, and back: lexer, parser, the tree's classes, and the printer.

Given the text of a spec; gives a `tree.File` in which every node knows its place, and a diagnostic for every mistake,
not only the first. The grammar is `grammars/attn.lark`; its tables are built ahead of time.
"""
