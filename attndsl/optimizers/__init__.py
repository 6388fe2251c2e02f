"""Optimizers: a class each, which has the options, what is kept beside a parameter, and the update.

Given a parameter, its gradient and what was kept of earlier steps; gives their new values, in place. The update is
written once, on arrays of NumPy or of PyTorch; both trainers call it. `OPTIMIZERS` knows the classes by name, and
`OPTIMIZERS.register` adds one.
"""

from attndsl.choices import Registry
from attndsl.optimizers.base import Optimizer, Step

OPTIMIZERS: Registry[type[Optimizer]] = Registry(
    "optimizer",
    {
        "adamw": "attndsl.optimizers.adam:AdamW",
        "adam": "attndsl.optimizers.adam:Adam",
        "sgd": "attndsl.optimizers.sgd:Descent",
        "adafactor": "attndsl.optimizers.adafactor:Adafactor",
        "lion": "attndsl.optimizers.lion:Lion",
    },
)

__all__ = ["OPTIMIZERS", "Optimizer", "Step"]
