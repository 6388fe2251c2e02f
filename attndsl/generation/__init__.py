"""Text from trained models."""

from attndsl.generation.generate import generate
from attndsl.generation.run import Run, load_run
from attndsl.generation.sampling import Sampling

__all__ = ["Run", "Sampling", "generate", "load_run"]
