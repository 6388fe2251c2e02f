"""The backend that needs nothing but NumPy, and says what every other one must compute."""

from attndsl.backends.numpy_reference.evaluator import NumpyProgram

__all__ = ["NumpyProgram"]
