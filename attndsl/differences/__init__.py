"""What changes in meaning from one model to another.

Given two checked graphs; gives the changes between them, each with its class, and a drawing of both in one picture.
"""

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.differences.changes import Change, Differences, differences
    from attndsl.differences.classes import CLASSES
    from attndsl.differences.picture import scene_of_both

__all__ = ["CLASSES", "Change", "Differences", "differences", "scene_of_both"]

__getattr__, __dir__ = lazily(__name__)
