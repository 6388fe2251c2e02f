"""Data to train on: text as token files, tables of records and pictures, tokenizers, examples that a machine has.

Given paths; gives tokens or a `Table`, each in a part to learn from and a part held out. What a model learns from them
is up to the objective.
"""
