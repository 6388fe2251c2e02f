"""The folder of a training run: what it records, how it is read again for use, and weights that come with a spec.

Given a folder; gives the `Run` that was recorded there, with its graph, recipe, tokenizer and parameters, or what keeps
it from being read. One process writes to a folder at a time (`lock`).
"""
