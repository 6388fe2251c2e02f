"""The folder of a training run: what it records, how it is read again for use, and weights that come with a spec."""
