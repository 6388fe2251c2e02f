"""Text from trained models."""

from attndsl.generation.generate import generate
from attndsl.generation.sampling import Sampling
from attndsl.runs.run import Run, load_run

__all__ = ["Run", "Sampling", "generate", "load_run"]
