"""E05xx: files, specs, variants."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

ENTRIES = (
    Code(
        "E0501",
        "there is no such spec or file",
        "A SPEC is the path of a file, or the name of a shipped spec (`attndsl list`). A `use` names a file "
        "relative to the one that it stands in, in quotes, or a file of the standard library: `use std.norms`.",
        "attndsl check gtp2",
        "attndsl check gpt2",
        "command",
    ),
    Code(
        "E0502",
        "a spec has no such variant",
        "What stands behind the colon is a `variant` of the file, or one of its models.",
        "attndsl check gpt2:huge",
        "attndsl check gpt2:large",
        "command",
    ),
    Code(
        "E0503",
        "it is not clear which model is meant",
        "A spec needs a model. Where a file declares several, the one that is meant stands behind a colon: "
        "`my.attn:Encoder`. A file of blocks alone is there to be imported with `use`.",
        """
block double(x: [*]) -> [*] {
  return 2 * x
}
""",
        """
block double(x: [*]) -> [*] {
  return 2 * x
}

model M(width=8) {
  input x: [B, width]
  output y = double(x)
}
""",
    ),
    Code(
        "E0590",
        "the system refuses a file",
        "The disk is full, a permission is missing, or a folder is not there. What was being written is left as "
        "it was.",
        "attndsl compile gpt2 --emit python -o /proc/gpt2.py",
        "attndsl compile gpt2 --emit python -o gpt2.py",
        "situation",
    ),
)
