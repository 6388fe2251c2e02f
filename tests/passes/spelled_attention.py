"""Attention as people write it out, each with the operator that it becomes, and near misses with what prevents it."""

from __future__ import annotations

SPEC = """
mask earlier(q, k) = k < q
block spelled(heads)(x: [*, T, D], memory: [*, S, E] = x) -> [*, T, D] {
  head = D / heads
  q = linear(x, D)      as q |> rearrange([D] -> [heads, head])
  k = linear(memory, D) as k |> rearrange([D] -> [heads, head])
  v = linear(memory, D) as v |> rearrange([D] -> [heads, head])
%s
  return rearrange(mixed, [heads, head] -> [D])
}
model M(width=12, heads=3) {
  input x: [B, T, width]
  input memory: [B, U, width]
  input valid: bool[B, T]
  repeat h in 2 { x += spelled(heads)(x) as attn }
  output y = x
}
"""


BODY = SPEC[: SPEC.index("%s")].count("\n") + 1  # the line of the spec on which a spelling starts


# name: (the spelling, what of the operator must be so)
SPELLINGS: dict[str, tuple[str, dict[str, object]]] = {
    "divided by the root": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S)
  mixed = dot(weight, v, over=S)""",
        {"scale": 0.5, "masked": False, "biased": False, "dropout": 0.0},
    ),
    "times a power": (
        """
  weight = softmax(head ^ -0.5 * dot(q, k, over=head), over=S)
  mixed = dot(weight, v, over=S)""",
        {"scale": 0.5},
    ),
    "scaled q": (
        """
  mixed = dot(softmax(dot(q / sqrt(head), k, over=head), over=S), v, over=S)""",
        {"scale": 0.5},
    ),
    "scaled k, operands swapped": (
        """
  mixed = dot(v, softmax(dot(k * head ^ -0.5, q, over=head), over=S), over=S)""",
        {"scale": 0.5},
    ),
    "half the scale on each": (
        """
  mixed = dot(softmax(dot(q * head ^ -0.25, -k * head ^ -0.25, over=head) * -1, over=S), v, over=S)""",
        {"scale": 0.5},
    ),
    "scores by hand: a sum of products": (
        """
  product: [B, heads, T, S, head] = q * k
  mixed = dot(softmax(sum(product, over=head) / sqrt(head), over=S), v, over=S)""",
        {"scale": 0.5},
    ),
    "values by hand: a sum of products": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S)
  weighed: [B, T, S, heads, head] = weight * v
  mixed = sum(weighed, over=S)""",
        {"scale": 0.5},
    ),
    "values first, over an axis that is renamed by hand": (
        """
  past = rearrange(x, [T] -> [U=T])
  keys_ = rearrange(past, [D] -> [heads, head])
  mixed = dot(keys_, softmax(dot(keys_, q, over=head), over=U, where=causal[q=T, k=U]), over=U)""",
        {"scale": 1.0, "masked": True},
    ),
    "no scale": (
        """
  mixed = dot(softmax(dot(q, k, over=head), over=S), v, over=S)""",
        {"scale": 1.0},
    ),
    "a scale for each head": (
        """
  param sharpness: [heads] = ones
  mixed = dot(softmax(dot(q, k, over=head) * sharpness / sqrt(head), over=S), v, over=S)""",
        {"scale": 0.5},
    ),
    "masked softmax": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S, where=causal[q=T, k=S])
  mixed = dot(weight, v, over=S)""",
        {"masked": True, "biased": False},
    ),
    "masked softmax, rows may be empty": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S, where=earlier[q=T, k=S])
  mixed = dot(weight, v, over=S)""",
        {"masked": True},
    ),
    "a low constant where the mask is false": (
        """
  score = dot(q, k, over=head) / sqrt(head)
  mixed = dot(softmax(where(causal[q=T, k=S], score, -1e9), over=S), v, over=S)""",
        {"masked": True, "biased": False, "scale": 0.5},
    ),
    "a low constant where a mask is true, scaled after": (
        """
  late: bool[T, S] = positions(S) > positions(T)
  score = where(late, -1e30, dot(q, k, over=head)) / sqrt(head)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        {"masked": True, "scale": 0.5},
    ),
    "an additive mask": (
        """
  score = dot(q, k, over=head) / sqrt(head) + where(window(2)[q=T, k=S], 0, -1e9)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        {"masked": True, "biased": False},
    ),
    "an additive mask by arithmetic": (
        """
  seen = float(causal[q=T, k=S])
  score = (1 - seen) * -1e9 + dot(q, k, over=head) / sqrt(head)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        {"masked": True, "biased": False},
    ),
    "an additive mask under which rows may be empty stays a bias": (
        """
  score = dot(q, k, over=head) / sqrt(head) + where(earlier[q=T, k=S], 0, -1e9)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        {"masked": False, "biased": True},
    ),
    "a bias and a mask": (
        """
  score = alibi(heads)[q=T, k=S] + dot(q, k, over=head) / sqrt(head)
  mixed = dot(softmax(score, over=S, where=causal[q=T, k=S]), v, over=S)""",
        {"masked": True, "biased": True},
    ),
    "two masks and two biases": (
        """
  score = (dot(q, k, over=head) + alibi(heads)[q=T, k=S]) / sqrt(head) - 2 * alibi(heads)[q=T, k=S]
  score = where(window(3)[q=T, k=S], score, -1e9)
  mixed = dot(softmax(score, over=S, where=causal[q=T, k=S]), v, over=S)""",
        {"masked": True, "biased": True, "scale": 0.5},
    ),
    "a soft cap": (
        """
  score = 30 * tanh(dot(q, k, over=head) / sqrt(head) / 30)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        {"cap": 30.0, "scale": 0.5},
    ),
    "a soft cap under a mask, a bias behind it": (
        """
  score = tanh(dot(q, k, over=head)) * -5 + alibi(heads)[q=T, k=S]
  mixed = dot(softmax(score, over=S, where=causal[q=T, k=S]), v, over=S)""",
        {"cap": 5.0, "scale": -5.0, "masked": True, "biased": True},
    ),
    "a sharpness for each head in the soft cap": (
        """
  param sharpness: [heads] = ones
  score = where(causal[q=T, k=S], 30 * tanh(dot(q, k, over=head) * sharpness), -1e9)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        {"cap": 30.0, "scale": 30.0, "masked": True},
    ),
    "a sink": (
        """
  param sink: [heads] = normal(1)
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S, where=causal[q=T, k=S], sink=sink)
  mixed = dot(dropout(weight, 0.1), v, over=S)""",
        {"sunk": True, "masked": True, "scale": 0.5, "dropout": 0.1},
    ),
    "minus infinity where a row may be empty": (
        """
  score = where(earlier[q=T, k=S], dot(q, k, over=head) / sqrt(head), -inf)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        {"masked": True, "scale": 0.5},
    ),
    "softmax from exp and sum": (
        """
  score = dot(q, k, over=head) / sqrt(head)
  e = exp(score - max(score, over=S))
  mixed = dot(e / sum(e, over=S), v, over=S)""",
        {"masked": False},
    ),
    "softmax from exp and sum, masked": (
        """
  e = where(causal[q=T, k=S], exp(dot(q, k, over=head) / sqrt(head)), 0)
  mixed = dot(e * (1 / sum(e, over=S)), v, over=S)""",
        {"masked": True},
    ),
    "a weighted sum over the sum of the weights": (
        """
  score = dot(q, k, over=head) / sqrt(head)
  e = exp(score - max(score, over=S))
  mixed = dot(e, v, over=S) / sum(e, over=S)""",
        {"masked": False, "scale": 0.5},
    ),
    "a weighted sum by hand over the sum of the weights, masked": (
        """
  e = where(causal[q=T, k=S], exp(dot(k, q, over=head) / sqrt(head)), 0)
  weighed: [B, T, S, heads, head] = v * e
  mixed = 1 / sum(e, over=S) * sum(weighed, over=S)""",
        {"masked": True},
    ),
    "one more in the sum": (
        """
  e = where(earlier[q=T, k=S], exp(dot(q, k, over=head)), 0)
  mixed = dot(e / (1 + sum(e, over=S)), v, over=S)""",
        {"sunk": True, "masked": True},
    ),
    "a single query, by sums of products": (
        """
  q = mean(q, over=T)
  weight = softmax(sum(q * k, over=head) / sqrt(head), over=S)
  found = sum(weight * v, over=S)
  mixed: [B, T, heads, head] = found""",
        {"scale": 0.5},
    ),
    "softmax from logsumexp": (
        """
  score = dot(q, k, over=head) / sqrt(head)
  mixed = dot(exp(score - logsumexp(score, over=S)), v, over=S)""",
        {},
    ),
    "dropout on the weights": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S) |> dropout(0.25)
  mixed = dot(weight, v, over=S)""",
        {"dropout": 0.25, "site": "h.*.attn.dropout"},
    ),
    "renamed weights": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S) |> rearrange([S] -> [L=S])
  mixed = dot(weight, rearrange(v, [S] -> [L=S]), over=L)""",
        {},
    ),
    "renamed scores, with a mask": (
        """
  score = where(causal[q=T, k=S], dot(q, k, over=head) / sqrt(head), -1e9)
  weight = softmax(rearrange(score, [S] -> [L=S]), over=L)
  mixed = dot(weight, rearrange(v, [S] -> [L=S]), over=L)""",
        {"masked": True},
    ),
    "another layout": (
        """
  q = rearrange(q, [T, heads] -> [heads, T])
  k = rearrange(k, [S, heads] -> [heads, S])
  score = rearrange(dot(q, k, over=head), [T, S] -> [S, T]) / sqrt(head)
  mixed = rearrange(dot(softmax(score, over=S), v, over=S), [heads, T] -> [T, heads])""",
        {},
    ),
    "a constant added to every score": (
        """
  mixed = dot(softmax(dot(q, k, over=head) / sqrt(head) + 3, over=S), v, over=S)""",
        {"biased": False},
    ),
    "the standard block": (
        """
  mixed = rearrange(attention(x, heads, mask=causal, dropout=0.1) as inner, [D] -> [heads, head])""",
        {"masked": True, "scale": 0.5, "dropout": 0.1},
    ),
    "the standard block on tensors": (
        """
  mixed = attend(rearrange(q, [T, heads] -> [heads, T]), rearrange(k, [S, heads] -> [heads, S]),
                 rearrange(v, [S, heads] -> [heads, S]), mask=causal, cap=20) |> rearrange([heads, T] -> [T, heads])""",
        {"masked": True, "scale": 0.5, "cap": 20.0},
    ),
    "the standard block, few key heads": (
        """
  mixed = rearrange(attention(x, heads, kv_heads=1, mask=causal, position=rotary) as inner, [D] -> [heads, head])""",
        {"masked": True, "scale": 0.5},
    ),
}


# name: (the spelling, a part of the reason, the culprit's line counted from the first of the spelling)
NEAR_MISSES: dict[str, tuple[str, str, int]] = {
    "softmax over another axis": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=T)
  mixed = dot(weight, v, over=S)""",
        "the softmax is over [T], and the weighted sum over [S]",
        1,
    ),
    "softmax over several axes": (
        """
  keys = rearrange(stack(k, 2 * k, over=copy), [copy] -> [copy])
  weight = softmax(dot(q, keys, over=head), over=[S, copy])
  mixed = dot(weight, stack(v, v, over=copy), over=[S, copy])""",
        "the softmax is over several axes, [S, copy]",
        2,
    ),
    "the weights are used twice": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S)
  mixed = dot(weight, v, over=S)
  mixed = mixed * mean(weight, over=S)""",
        "the weights are used elsewhere",
        3,
    ),
    "the score is used twice": (
        """
  score = dot(q, k, over=head) / sqrt(head)
  mixed = dot(softmax(score, over=S), v, over=S)
  mixed = mixed + mean(score, over=S)""",
        "the scores are used elsewhere",
        3,
    ),
    "a mask after the softmax": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S)
  mixed = dot(where(causal[q=T, k=S], weight, 0), v, over=S)""",
        "a mask after the softmax",
        2,
    ),
    "a mask multiplied in after the softmax": (
        """
  weight = softmax(dot(q, k, over=head) / sqrt(head), over=S)
  weight = weight * causal[q=T, k=S]
  mixed = dot(weight, v, over=S)""",
        "a mask after the softmax",
        2,
    ),
    "a finite constant where a row can be empty": (
        """
  score = dot(q, k, over=head) / sqrt(head)
  score = where(earlier[q=T, k=S], score, -1e9)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "gives a uniform row, not zeros, where nothing may be attended to",
        2,
    ),
    "a constant that is too high for a mask": (
        """
  score = where(causal[q=T, k=S], dot(q, k, over=head) / sqrt(head), -10)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "-10 instead of a score is not low enough",
        1,
    ),
    "dropout before the softmax": (
        """
  score = dropout(dot(q, k, over=head), 0.1)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "dropout is applied between the score and the softmax",
        1,
    ),
    "dropout twice": (
        """
  weight = softmax(dot(q, k, over=head), over=S) |> dropout(0.1)
  weight = dropout(weight, 0.1)
  mixed = dot(weight, v, over=S)""",
        "`dropout` comes between the softmax and the weighted sum",
        2,
    ),
    "scores multiplied by a mask": (
        """
  score = dot(q, k, over=head) * causal[q=T, k=S]
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "the score is multiplied by a mask: that makes scores 0, which still count",
        1,
    ),
    "scores scaled key by key": (
        """
  score = dot(q, k, over=head) * mean(k, over=head)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "the score is multiplied by something that differs from key to key",
        1,
    ),
    "scores through another curve": (
        """
  score = 30 * erf(dot(q, k, over=head) / 30)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "`erf` comes between the dot product and the softmax",
        1,
    ),
    "a bias inside the soft cap": (
        """
  score = 30 * tanh((dot(q, k, over=head) + alibi(heads)[q=T, k=S]) / 30)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "the soft cap is applied to more than a scaled dot product",
        1,
    ),
    "a constant inside the soft cap": (
        """
  score = 30 * tanh(dot(q, k, over=head) / 30 + 1)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "the soft cap is applied to more than a scaled dot product",
        1,
    ),
    "a soft cap of its own for each head": (
        """
  param cap: [heads] = constant(20)
  score = cap * tanh(dot(q, k, over=head) / cap)
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "what `tanh` gives is multiplied by more than a number",
        2,
    ),
    "two soft caps": (
        """
  score = 30 * tanh(dot(q, k, over=head) / 30) + 20 * tanh(dot(q, q, over=head) + dot(k, q, over=head))
  mixed = dot(softmax(score, over=S), v, over=S)""",
        "the soft cap is applied to more than a scaled dot product",
        1,
    ),
    "weights squared": (
        """
  weight = softmax(dot(q, k, over=head), over=S)
  mixed = dot(weight ^ 2, v, over=S)""",
        "`pow` comes between the softmax and the weighted sum",
        2,
    ),
    "weighed by powers where a row can be empty": (
        """
  e = where(earlier[q=T, k=S], exp(dot(q, k, over=head)), 0)
  mixed = dot(e, v, over=S) / sum(e, over=S)""",
        "divides zero by zero",
        2,
    ),
    "exp and sum where a row can be empty": (
        """
  e = where(earlier[q=T, k=S], exp(dot(q, k, over=head)), 0)
  mixed = dot(e / (sum(e, over=S)), v, over=S)""",
        "divides zero by zero",
        2,
    ),
}
