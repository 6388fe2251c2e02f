"""A file for each family: `FAMILIES`, a tuple of `tests.parity.harness.Family`."""
