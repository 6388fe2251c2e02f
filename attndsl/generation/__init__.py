"""Text from trained models."""

from attndsl.decoding.sampling import Sampling
from attndsl.generation.generate import generate
from attndsl.runs.run import Run, load_run

__all__ = ["Run", "Sampling", "generate", "load_run"]
