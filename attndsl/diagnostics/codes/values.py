"""E04xx: hyperparameters and overrides."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

ENTRIES = (
    Code(
        "E0401",
        "a hyperparameter gets a value of another kind",
        "A value is of the kind of the default: a whole number where that is one, a number, true or false, a "
        "block, a mask.",
        "attndsl check gpt2 --set depth=2.5",
        "attndsl check gpt2 --set depth=2",
        "command",
    ),
    Code(
        "E0402",
        "there is no hyperparameter of this name",
        "`--set`, a variant and `load` give values to the hyperparameters in the parentheses of the model's "
        "declaration.",
        "attndsl check gpt2 --set dpeth=2",
        "attndsl check gpt2 --set depth=2",
        "command",
    ),
    Code(
        "E0403",
        "a number is outside of its range, or cannot be read as one",
        "A rate of dropout lies between 0 and 1.",
        """
model M(width=8, p=1.5) {
  input x: [B, width]
  output y = dropout(x, p)
}
""",
        """
model M(width=8, p=0.5) {
  input x: [B, width]
  output y = dropout(x, p)
}
""",
    ),
    Code(
        "E0404",
        "a value must be known at compile time",
        "Conditions, depths, sizes and the settings of blocks are decided when the spec is checked. `if` does not "
        "look into tensors: to choose element by element there is `where(condition, a, b)`.",
        """
model M(width=8) {
  input x: [B, width]
  output y = x if x > 0 else -x
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = where(x > 0, x, -x)
}
""",
    ),
    Code(
        "E0405",
        "a number cannot be computed",
        "A division by zero, the root of a negative number, or a result that no float can hold.",
        """
model M(width=8, heads=0) {
  input x: [B, width]
  output y = x * (1 / heads)
}
""",
        """
model M(width=8, heads=2) {
  input x: [B, width]
  output y = x * (1 / heads)
}
""",
    ),
)
