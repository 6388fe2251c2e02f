"""Plans on paper: what a layout over many machines costs in time and memory, before anything starts.

Given a checked graph, a plan and a machine of the table; gives a `Prediction`. Nothing is run or measured.
"""

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.planning.machines import Machine, machine, machines
    from attndsl.planning.plan import Plan
    from attndsl.planning.prediction import Prediction, predict
    from attndsl.planning.work import Work, work_of

__all__ = ["Machine", "Plan", "Prediction", "Work", "machine", "machines", "predict", "work_of"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Machine": "machines", "machine": "machines", "machines": "machines", "Plan": "plan",
        "Prediction": "prediction", "predict": "prediction", "Work": "work", "work_of": "work",
    },
)  # fmt: skip
