"""Data to train on: text as token files, tables of records and pictures, tokenizers, examples that a machine has."""
