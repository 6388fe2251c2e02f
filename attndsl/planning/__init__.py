"""Plans on paper: what a layout over many machines costs in time and memory, before anything starts.

Given a checked graph, a plan and a machine of the table; gives a `StepPrediction`. Nothing is run or measured.
"""

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.planning.finding_work import work_of
    from attndsl.planning.machines import MachineModel, machine
    from attndsl.planning.plan import ParallelPlan
    from attndsl.planning.prediction import StepPrediction, predict
    from attndsl.planning.work import Workload

__all__ = [
    "MachineModel",
    "ParallelPlan",
    "StepPrediction",
    "Workload",
    "machine",
    "predict",
    "work_of",
]

__getattr__, __dir__ = lazily(__name__)
