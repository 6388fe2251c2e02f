"""E00xx: text and syntax."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

ENTRIES = (
    Code(
        "E0001",
        "a file cannot be read",
        "The path names no file, a folder, or a file that may not be read. Paths are relative to the current "
        "folder; those in a `use` are relative to the file that they stand in.",
        "attndsl check no/such/file.attn",
        "attndsl check gpt2",
        "command",
    ),
    Code(
        "E0002",
        "a file is not UTF-8 text",
        "A spec is UTF-8 text without NUL bytes. The place of the first byte that does not fit is shown.",
        "iconv -f utf-8 -t utf-16 my.attn > other.attn; attndsl check other.attn",
        "iconv -f utf-16 -t utf-8 other.attn > my.attn; attndsl check my.attn",
        "situation",
    ),
    Code(
        "E0003",
        "a file is too large",
        "An attn file has at most 256 KiB, several times the longest architecture that anybody has written down. "
        "Larger files are refused before they are read. Parts can move to files of their own and come back with "
        "`use`.",
        "attndsl check weights.safetensors",
        "attndsl check gpt2 && attndsl run gpt2 --weights weights.safetensors",
        "situation",
    ),
    Code(
        "E0004",
        "something is nested too deeply, or goes on too long",
        "Brackets nest at most 200 deep, and a chain of operators has at most 1,000 operands. Repetition is what "
        "`repeat` is for; a part of a long expression can have a name of its own.",
        """
model M(width=8) {
  input x: [B, width]
  output y = """
        + "(" * 201
        + "x"
        + ")" * 201
        + """
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = ((x))
}
""",
    ),
    Code(
        "E0005",
        "a file holds no declaration",
        "A file with nothing in it, or only comments, is most likely one that was not saved. A file holds at "
        "least one `model`, `block`, `mask` or `bias`.",
        "# a comment, and nothing else\n",
        """
model M(width=8) {
  input x: [B, width]
  output y = x
}
""",
    ),
    Code(
        "E0010",
        "something stands where it cannot, or is missing",
        "What could stand at this place is something else. The message says what came, and, where it is clear, "
        "what is missing before it.",
        """
model M(width=8) {
  input x: [B, width]
  output y = x +
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = x + x
}
""",
    ),
    Code(
        "E0011",
        "a bracket is missing or closes nothing",
        "Every `(`, `[` and `{` is closed by its own kind. The message shows the bracket that stayed open, or the "
        "one that closes nothing.",
        """
model M(width=8) {
  input x: [B, width]
  output y = tanh(x
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = tanh(x)
}
""",
    ),
    Code(
        "E0012",
        "a character means nothing here",
        "Strings stand in double quotes, statements end with their line, and names are made of the letters a to z "
        "and A to Z, digits and `_`. Signs that only look like those of the language (× for *, ≤ for <=) are not "
        "taken for them.",
        """
model M(width=8) {
  input x: [B, width]
  output y = x × 2
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = x * 2
}
""",
    ),
    Code(
        "E0013",
        "a string does not end, or holds an escape that means nothing",
        'A string ends on the line where it begins. The escapes are \\", \\\\, \\n and \\t.',
        """
use "my norms.attn

model M(width=8) {
  input x: [B, width]
  output y = x
}
""",
        """
use std.norms

model M(width=8) {
  input x: [B, width]
  output y = x
}
""",
    ),
    Code(
        "E0014",
        "a number is not written as one, or is too large",
        "Numbers are written 12, 50_257, 0.5, 1e-5. There is no multiplication without a sign: `4 * width`, not "
        "`4width`.",
        """
model M(width=8) {
  input x: [B, width]
  output y = linear(x, 4width)
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = linear(x, 4 * width)
}
""",
    ),
    Code(
        "E0015",
        "a word cannot stand here",
        "A declaration starts with `model`, `block`, `mask`, `bias`, `variant`, `weights`, `train` or `use`; a "
        "statement with a name or one of the language's words. Such words cannot be names where they could start "
        "something.",
        """
modle M(width=8) {
  input x: [B, width]
  output y = x
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = x
}
""",
    ),
    Code(
        "E0016",
        "`=` where `==` was meant, or the other way round",
        "`=` gives a name its value, `==` compares.",
        """
model M(width=8) {
  input x: [B, width]
  if width = 8 {
    x = tanh(x)
  }
  output y = x
}
""",
        """
model M(width=8) {
  input x: [B, width]
  if width == 8 {
    x = tanh(x)
  }
  output y = x
}
""",
    ),
    Code(
        "E0017",
        "comparisons do not chain",
        "`a < b < c` is two comparisons, and is written as two.",
        """
mask near(q, k) = 0 <= q - k < 8

model M(width=8) {
  input x: [B, T, width]
  output y = attention(x, 2, mask=near)
}
""",
        """
mask near(q, k) = 0 <= q - k and q - k < 8

model M(width=8) {
  input x: [B, T, width]
  output y = attention(x, 2, mask=near)
}
""",
    ),
    Code(
        "E0018",
        "a list of parameters holds something that does not belong there",
        "A block's tensors have types (`x: [*, D]`), its hyperparameters have none. The variables of an index "
        "function, `(q, k)` or `(b in B, q, k)`, stand in the last list of a `mask` or `bias` and have neither "
        "type nor default.",
        """
mask near(q, k=3) = q >= k

model M(width=8) {
  input x: [B, T, width]
  output y = attention(x, 2, mask=near)
}
""",
        """
mask near(q, k) = q >= k

model M(width=8) {
  input x: [B, T, width]
  output y = attention(x, 2, mask=near)
}
""",
    ),
    Code(
        "E0019",
        "a value goes nowhere, or only part of a name is given one",
        "A statement that computes something without keeping it does nothing. Values do not change in place: a "
        "new name, or the same name again, takes the new value.",
        """
model M(width=8) {
  input x: [B, width]
  tanh(x)
  output y = x
}
""",
        """
model M(width=8) {
  input x: [B, width]
  x = tanh(x)
  output y = x
}
""",
    ),
    Code(
        "E0020",
        "something stands outside of where it belongs",
        "Declarations stand side by side at the top of a file, statements inside a model or block, and a "
        "docstring (`///`) on the lines before what it documents.",
        """
x = 3

model M(width=8) {
  input x: [B, width]
  output y = x
}
""",
        """
model M(width=8, n=3) {
  input x: [B, width]
  output y = x * n
}
""",
    ),
)
