"""Files as such: written whole or not at all (`whole`), what the system refuses (`refusals`), safetensors
(`safetensors`). Whatever reads or writes a file does it through here."""
