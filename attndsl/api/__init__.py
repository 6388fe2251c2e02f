"""Models and trained models as Python handles them: what `attndsl.load` and `attndsl.open_run` give."""
