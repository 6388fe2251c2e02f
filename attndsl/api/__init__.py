"""Models and trained models as Python handles them: what `attndsl.load` and `attndsl.open_run` give.

Given a spec with its hyperparameters, or the folder of a run; gives a `Model` or a `TrainedModel`, whose methods are
the verbs of the command line. NumPy and PyTorch are loaded by the methods that need them.
"""
