"""What changes in meaning from one model to another.

Given two checked graphs; gives the changes between them, each with its class, and a drawing of both in one picture.
"""

from __future__ import annotations

from attndsl.differences.changes import Change, Differences, differences
from attndsl.differences.classes import CLASSES
from attndsl.differences.picture import scene_of_both

__all__ = ["CLASSES", "Change", "Differences", "differences", "scene_of_both"]
