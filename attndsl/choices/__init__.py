"""What a recipe chooses by name: kinds with options (`adamw(lr=0.001)`), and the registries that know the kinds.

Given a name and values as they were written; gives an object of the class that owns the name, its options all read. An
optimizer, a schedule and an objective are each one class; nothing here knows any of them.
"""

from attndsl.choices.kind import Kind, read_options
from attndsl.choices.option import Option, Plain, unknown
from attndsl.choices.registry import Registry

__all__ = ["Kind", "Option", "Plain", "Registry", "read_options", "unknown"]
