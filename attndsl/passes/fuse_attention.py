"""Attention, however it is spelled: dot(dropout(softmax(dot(q, k) * scale + bias, where=mask)), v).

Anchored at the softmax. Forward from it, through at most a dropout, renames and transpositions, there is one weighted sum over
the very axis; back from it there is a sum of terms, one of which is a dot product over which that axis is left, times
whatever is the same for all keys. All between must be of no use to anything else. Projections are not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from attndsl.graph import BOOL, Axis, Graph, Node, Value
from attndsl.ops import (
    Add,
    And,
    Attention,
    Constant,
    Div,
    Dot,
    Dropout,
    Mul,
    Neg,
    Not,
    Op,
    Rename,
    Softmax,
    Sub,
    Transpose,
    Where,
)
from attndsl.passes.algebra import Algebra
from attndsl.passes.attention_score import Score, leads_to_dot, read_score, unscaled
from attndsl.passes.base import Pass, Refusal, Report
from attndsl.passes.matching import Match, NearMiss, axis_names, fuse
from attndsl.passes.rewrite import Rewriter
