"""The tables of rules are complete."""

from __future__ import annotations

from attndsl import ops
from attndsl.onnx_export.body import RULES, WITHOUT_RULE


def test_every_operator_has_a_rule_or_a_reason_for_none() -> None:
    assert RULES.keys() | WITHOUT_RULE.keys() == set(ops.OPS.values())
    assert not RULES.keys() & WITHOUT_RULE.keys()
