"""The tables of rules are complete."""

from __future__ import annotations

from attndsl import ops
from attndsl.onnx_export.body import RULES, WITHOUT_RULE


def test_every_operator_has_a_rule_or_a_reason_for_none() -> None:
    assert {op.name for op in RULES} | WITHOUT_RULE.keys() == ops.OPS.keys()
    assert not {op.name for op in RULES} & WITHOUT_RULE.keys()
