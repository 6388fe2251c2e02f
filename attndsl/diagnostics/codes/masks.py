"""E03xx: masks, positions, index functions."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

ENTRIES = (
    Code(
        "E0301",
        "a mask or bias speaks of an axis that is not there",
        "A mask over queries and keys gets the axes of the attention that it is given to; what it captures, and "
        "further variables such as `b in B`, must fit the tensors there.",
        """
model M(width=8, heads=2) {
  input x: [B, T, width]
  input memory: [B, S, width]
  input valid: bool[B, T]
  output y = attention(x, memory, heads, mask=keys(valid))
}
""",
        """
model M(width=8, heads=2) {
  input x: [B, T, width]
  input memory: [B, S, width]
  input valid: bool[B, S]
  output y = attention(x, memory, heads, mask=keys(valid))
}
""",
    ),
    Code(
        "E0302",
        "a mask or bias is used as what it is not",
        "A mask is true where a query attends to a key, and combines with `&`, `|` and `not`. A bias is a number "
        "added to the score, and combines with `+`, `-` and `*`. Either becomes a tensor when its variables are "
        "given axes: `causal[q=T, k=S]`.",
        """
mask near(q, k) = q - k

model M(width=8, heads=2) {
  input x: [B, T, width]
  output y = attention(x, heads, mask=near)
}
""",
        """
mask near(q, k) = q - k < 4

model M(width=8, heads=2) {
  input x: [B, T, width]
  output y = attention(x, heads, mask=near)
}
""",
    ),
    Code(
        "E0303",
        "it is not clear which axis an index runs over",
        "A variable of an index function gets its axis where the function is used (`causal[q=T, k=S]`) or where "
        "it is declared (`h in heads`). A tensor inside is indexed by all of its axes, in order or by name.",
        """
model M(width=8) {
  input score: [T, S]
  output weight = softmax(score, over=S, where=causal[T, S])
}
""",
        """
model M(width=8) {
  input score: [T, S]
  output weight = softmax(score, over=S, where=causal[q=T, k=S])
}
""",
    ),
)
