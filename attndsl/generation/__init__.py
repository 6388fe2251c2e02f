"""What a trained model is used for: text written, answers, predictions and vectors.

Given a run's model with its tokenizer, and examples; gives what the model makes of them, by the objective that it was
trained for. How tokens are chosen is up to `attndsl.decoding`.
"""

from attndsl.decoding.sampling import Sampling
from attndsl.generation.generate import generate, generate_each
from attndsl.runs.run import Run, load_run

__all__ = ["Run", "Sampling", "generate", "generate_each", "load_run"]
