"""Files as such: written whole or not at all (`whole`, `whose`), what the system refuses (`refusals`), safetensors
(`safetensors`), NumPy's archives (`arrays`).

Given a path and arrays or text; gives a file that holds all of them or an `AttnError`, and the other way round.
Whatever reads or writes a file does it through here.
"""
