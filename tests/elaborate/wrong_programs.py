"""Wrong programs: what is wrong with each, by code and line, in the order in which it is said."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wrong:
    """A program and the diagnostics it must give: (code, line of the primary span, line of the other span or None)."""

    name: str
    text: str
    expected: tuple[tuple[str, int, int | None], ...]
    settings: dict[str, str] = field(default_factory=dict)


def wrong(name: str, text: str, *expected: tuple[str, int] | tuple[str, int, int], **settings: str) -> Wrong:
    return Wrong(name, text.lstrip("\n"), tuple((e[0], e[1], e[2] if len(e) > 2 else None) for e in expected), settings)


PROGRAMS = [
    # ------------------------------------------------------------ what only some rounds of a repeat get wrong
    wrong(
        "an_index_that_one_round_lacks",
        """
model M(width=8, depth=3) {
  input x: [B, T, width]
  param table: [depth, width]
  repeat h in depth {
    x += table[depth=h + 1]
  }
  output y = x
}
""",
        ("E0211", 5),
    ),
    wrong(
        "a_lookup_that_one_pair_of_rounds_lacks",
        """
model M(width=8) {
  input x: [B, T, width]
  repeat a in 2 {
    repeat b in 8 {
      x += take(x, a + b, over=width)
    }
  }
  output y = x
}
""",
        ("E0211", 5),
    ),
    wrong(
        "a_spread_below_zero_in_one_round",
        """
model M(width=8, depth=3) {
  input x: [B, T, width]
  repeat h in depth {
    param p: [width] = normal(1 - h)
    x *= p
  }
  output y = x
}
""",
        ("E0403", 4),
    ),
    # ------------------------------------------------------------ axes
    wrong(
        "an_axis_summed_twice",
        """
model M(width=8) {
  input x: [B, T, width]
  output y = sum(x, over=[T, T])
  output z = dot(x, x, over=[width, width])
}
""",
        ("E0205", 3),
        ("E0205", 4),
    ),
    # ------------------------------------------------------------ sizes
    wrong(
        "width_not_divisible_by_heads",
        """
model M(width=100, heads=12) {
  input x: float[B, T, width]
  output y = attention(x, heads)
}
""",
        ("E0212", 3),
    ),
    wrong(
        "width_not_divisible_after_override",
        """
model M(width=96, heads=12) {
  input x: float[B, T, width]
  output y = attention(x, heads)
}
""",
        ("E0212", 3),
        heads="7",
    ),
    wrong(
        "residual_of_another_width",
        """
model M(width=768, heads=12, hidden=770) {
  input tokens: int[B, T] where tokens < 100

  layer wte = embedding(100, width)
  x = wte(tokens)

  repeat h in 12 {
    x += attention(x, heads)
    x += linear(layer_norm(x), hidden)
  }
  output y = x
}
""",
        ("E0203", 9, 8),
    ),
    wrong(
        "same_value_other_name",
        """
model M(width=768, hidden=768) {
  input x: float[B, T, width]
  y = linear(x, hidden)
  output z = x + y
}
""",
        ("E0203", 4, 2),
    ),
    wrong(
        "context_exceeded",
        """
model M(context=8, length=9, width=16) {
  input tokens: int[B, length] where length <= context, tokens < 100
  output y = embedding(tokens, 100, width)
}
""",
        ("E0211", 2),
    ),
    wrong(
        "position_table_too_short",
        """
model M(context=8, width=16) {
  input tokens: int[B, T] where T == 9, tokens < 100
  x = embedding(tokens, 100, width)
  pad = embedding(range(n=9), context, width)
  output y = x
}
""",
        ("E0211", 4),
    ),
    wrong(
        "not_a_whole_size",
        """
model M(width=768) {
  input x: float[B, width]
  output y = linear(x, width / 5)
}
""",
        ("E0212", 3),
    ),
    wrong(
        "negative_size",
        """
model M(width=4) {
  input x: float[B, width]
  output y = linear(x, width - 8)
}
""",
        ("E0209", 3),
    ),
    wrong(
        "size_from_repeat_index",
        """
model M(width=4) {
  input x: float[B, width]
  repeat h in 3 {
    x += linear(x, width * (h + 1)) |> linear(width)
  }
  output y = x
}
""",
        ("E0209", 4),
    ),
    wrong(
        "float_as_size",
        """
model M(width=4.0) {
  input x: float[B, 3]
  output y = linear(x, width)
}
""",
        ("E0209", 3),
    ),
    wrong(
        "requirement_fails",
        """
model M(width=6, heads=3) {
  require width % 2 == 0
  require heads % 2 == 0
  input x: float[B, width]
  output y = x
}
""",
        ("E0210", 3),
    ),
    wrong(
        "slice_beyond_the_end",
        """
model M(width=6) {
  input x: float[B, width]
  output y = x[width=4:8]
}
""",
        ("E0211", 3),
    ),
    wrong(
        "rearrange_of_another_size",
        """
model M(width=6, heads=4, head=2) {
  input x: float[B, width]
  output y = rearrange(x, [width] -> [heads, head])
}
""",
        ("E0206", 3),
    ),
    wrong(
        "depth_of_an_input",
        """
model M(width=6) {
  input x: float[B, T, width]
  repeat h in T {
    x += linear(x, width)
  }
  output y = x
}
""",
        ("E0404", 3),
    ),
    # ------------------------------------------------------------ axes and types
    wrong(
        "mask_over_the_wrong_axis",
        """
model M(width=8, heads=2) {
  input x: float[B, T, width]
  input memory: float[B, S, width]
  input valid: bool[B, T]
  output y = attention(x, memory, heads, mask=keys(valid))
}
""",
        ("E0301", 5),
    ),
    wrong(
        "mask_with_foreign_axis_in_softmax",
        """
model M(width=8) {
  input score: float[B, T, S]
  input valid: bool[B, U]
  output y = softmax(score, over=S, where=valid)
}
""",
        ("E0301", 4, 4),
    ),
    wrong(
        "mask_without_axes",
        """
model M(width=8) {
  input score: float[B, T, S]
  output y = softmax(score, over=S, where=causal)
}
""",
        ("E0302", 3),
    ),
    wrong(
        "bias_among_masks",
        """
model M(width=8, heads=2) {
  input x: float[B, T, width]
  output y = attention(x, heads, mask=causal & alibi(heads))
}
""",
        ("E0302", 3),
    ),
    wrong(
        "mask_that_gives_numbers",
        """
mask far(n)(q, k) = q - k

model M(width=8, heads=2) {
  input x: float[B, T, width]
  output y = attention(x, heads, mask=far(3))
}
""",
        ("E0302", 1),
    ),
    wrong(
        "mask_variable_without_axis",
        """
mask per_head(h, q, k) = h > q - k

model M(width=8, heads=2) {
  input x: float[B, T, width]
  output y = attention(x, heads, mask=per_head)
}
""",
        ("E0303", 5, 1),
    ),
    wrong(
        "softmax_over_missing_axis",
        """
model M(width=8) {
  input score: float[B, T, S]
  output y = softmax(score, over=U)
}
""",
        ("E0203", 3),
    ),
    wrong(
        "mean_without_axis",
        """
model M(width=8) {
  input x: float[B, width]
  output y = mean(x)
}
""",
        ("E0103", 3),
    ),
    wrong(
        "dot_over_axis_of_one_side",
        """
model M(width=8) {
  input a: float[B, width]
  input b: float[B, T]
  output y = dot(a, b, over=width)
}
""",
        ("E0203", 4),
    ),
    wrong(
        "axis_twice",
        """
model M(width=8) {
  param square: [width, width]
  input x: float[B, width]
  output y = dot(x, square, over=width)
}
""",
        ("E0205", 2),
    ),
    wrong(
        "heads_and_time_exchanged",
        """
block norm_heads()(x: [B, H, T]) -> [B, H, T] {
  return softmax(x, over=T)
}

model M(H=4) {
  input x: float[B, T, H]
  output y = norm_heads(x)
}
""",
        ("E0202", 7, 1),
    ),
    wrong(
        "wrong_rank",
        """
block pool()(x: [B, T, D]) -> [B, D] {
  return mean(x, over=T)
}

model M(width=4) {
  input x: float[B, width]
  output y = pool(x)
}
""",
        ("E0201", 7, 1),
    ),
    wrong(
        "axes_in_front_that_are_not_declared",
        """
block relative(q: [*, T, H], k: [*, S, H], u: [H]) -> [*, T, S] {
  return dot(q + u, k, over=H)
}

model M(width=4, heads=2) {
  input x: [B, T, width]
  param u: [heads, head=width / heads]
  output y = attention(x, heads, position=relative(u=u))
}
""",
        ("E0201", 8, 1),
    ),
    wrong(
        "a_tensor_where_a_block_is_needed",
        """
block residual(f)(x: [*, D]) -> [*, D] {
  return x + f(x)
}

model M(width=4, heads=2) {
  input x: [B, T, width]
  input y: [B, S, width]
  output z = x |> residual(attention(heads, y))
}
""",
        ("E0104", 8, 1),
    ),
    wrong(
        "float_where_int_is_needed",
        """
model M(vocab=10, width=4) {
  input x: float[B, T]
  output y = embedding(x, vocab, width)
}
""",
        ("E0204", 3),
    ),
    wrong(
        "int_where_float_is_needed",
        """
model M(width=4) {
  input x: int[B, width]
  output y = layer_norm(x)
}
""",
        ("E0204", 3),
    ),
    wrong(
        "and_of_numbers",
        """
model M(width=4) {
  input x: float[B, width]
  output y = x and x
}
""",
        ("E0204", 3),
    ),
    wrong(
        "unknown_dtype",
        """
model M(width=4) {
  input x: flaot[B, width]
  output y = x
}
""",
        ("E0204", 2),
    ),
    wrong(
        "result_not_as_declared",
        """
block squash()(x: [*, T, D]) -> [*, T, D] {
  return mean(x, over=T)
}

model M(width=4) {
  input x: float[B, T, width]
  output y = squash(x)
}
""",
        ("E0208", 2, 1),
    ),
    wrong(
        "result_carries_one_axis_twice",
        """
block scores()(x: [*, T, D], memory: [*, S, D] = x) -> [*, T, S] {
  return dot(x, memory, over=D)
}

model M(width=4) {
  input x: float[B, T, width]
  output y = scores(x)
}
""",
        ("E0205", 2),
    ),
    wrong(
        "written_type_lacks_an_axis",
        """
model M(width=4) {
  input x: float[B, T, width]
  y: [B, width] = x + 1
  output z = y
}
""",
        ("E0208", 3, 3),
    ),
    wrong(
        "carried_value_changes",
        """
model M(width=4) {
  input x: float[B, T, width]
  repeat h in 3 {
    x = mean(x, over=T)
  }
  output y = x
}
""",
        ("E0207", 4, 2),
    ),
    wrong(
        "signature_bound_to_two_axes",
        """
block mix()(a: [*, D], b: [*, D]) -> [*, D] {
  return a * b
}

model M(width=4, hidden=4) {
  input a: float[B, width]
  input b: float[B, hidden]
  output y = mix(a, b)
}
""",
        ("E0201", 8, 1),
    ),
    # ------------------------------------------------------------ names and calls
    wrong(
        "unknown_name_with_a_near_one",
        """
model M(width=4) {
  input x: float[B, width]
  output y = layer_nrom(x)
}
""",
        ("E0101", 3),
    ),
    wrong(
        "unknown_variable",
        """
model M(width=4) {
  input x: float[B, width]
  hidden = linear(x, width)
  output y = hiden * 2
}
""",
        ("E0101", 4),
    ),
    wrong(
        "unknown_argument",
        """
model M(width=4) {
  input x: float[B, width]
  output y = layer_norm(x, epz=1e-5)
}
""",
        ("E0102", 3),
    ),
    wrong(
        "missing_argument",
        """
model M(width=4) {
  input x: float[B, T, width]
  output y = attention(x)
}
""",
        ("E0103", 3),
    ),
    wrong(
        "one_tensor_too_many",
        """
model M(width=4) {
  input x: float[B, width]
  output y = layer_norm(x, x)
}
""",
        ("E0104", 3),
    ),
    wrong(
        "tensor_as_hyperparameter",
        """
model M(width=4) {
  input x: float[B, width]
  output y = linear(x, out=x)
}
""",
        ("E0104", 3),
    ),
    wrong(
        "axis_of_a_tensor_that_failed",
        """
model M(width=4) {
  input x: [B, T, width]
  past = rearrange(x, [Q] -> [S=T])
  output y = softmax(dot(x, x, over=width), over=T, where=causal[q=T, k=S])
}
""",
        ("E0203", 3),
    ),
    wrong(
        "captured_in_another_size",
        """
block rel(q: [*, T, D], k: [*, S, D], u: [D]) -> [*, T, S] {
  return dot(q + u, k, over=D)
}
model M(width=8, heads=2, head=4) {
  input x: [B, T, width]
  param u: [head]
  output y = attention(x, heads, position=rel(u=u)) as attn
}
""",
        ("E0201", 7),
    ),
    wrong(
        "captured_twice",
        """
block adaptive(x: [*, D], by: [*, C]) -> [*, D] {
  return x * linear(by, D)
}
model M(width=4) {
  input x: [B, T, width]
  input c: [B, width]
  norm = adaptive(by=c)
  output y = norm(x, by=c)
}
""",
        ("E0107", 8, 7),
    ),
    wrong(
        "still_lacking_tensors",
        """
block adaptive(x: [*, D], by: [*, C]) -> [*, D] {
  return x * linear(by, D)
}
block two(x: [*, D], y: [*, D], z: [*, D]) -> [*, D], [*, D] {
  return x, y + z
}
model M(width=4) {
  input x: [B, T, width]
  output a = x + adaptive(by=x)
  output b = x |> adaptive
  output c = x |> mlp(8, act=adaptive)
  output d = x |> adaptive as norm
  p, q = two(x, x)
  norm = adaptive(by=x)
  output e = norm(x, x)
}
""",
        ("E0104", 9),
        ("E0104", 10),
        ("E0104", 11),
        ("E0103", 12),
        ("E0113", 13),
        ("E0104", 15),
    ),
    wrong(
        "layer_that_holds_a_tensor_of_another_body",
        """
block gate(x: [*, D], by: [*, D]) -> [*, D] {
  return x * by
}
block outer(x: [*, D]) -> [*, D] {
  layer inner = gate(by=tanh(x))
  return inner(x)
}
model M(width=4) {
  input x: [B, width]
  layer a = outer
  repeat h in 2 { x = a(x) }
  output y = a.inner(x)
}
""",
        ("E0108", 12, 5),
    ),
    wrong(
        "number_applied",
        """
model M(width=4) {
  input x: float[B, width]
  output y = width(x)
}
""",
        ("E0105", 3),
    ),
    wrong(
        "label_used_twice",
        """
model M(width=4) {
  input x: float[B, width]
  x = linear(x, width) as proj
  x = linear(x, width) as proj
  output y = x
}
""",
        ("E0106", 4, 3),
    ),
    wrong(
        "loop_called_like_a_layer",
        """
model M(width=4) {
  input x: float[B, width]
  x = linear(x, width) as h
  repeat h in 2 {
    x += linear(x, width)
  }
  output y = x
}
""",
        ("E0106", 4, 3),
    ),
    wrong(
        "declared_twice",
        """
block twice()(x: [*]) -> [*] {
  return x + x
}

block twice()(x: [*]) -> [*] {
  return 2 * x
}

model M(width=4) {
  input x: float[B, width]
  output y = twice(x)
}
""",
        ("E0107", 5, 1),
    ),
    wrong(
        "input_declared_twice",
        """
model M(width=4) {
  input x: float[B, width]
  input x: float[B, width]
  output y = x
}
""",
        ("E0107", 3, 2),
    ),
    wrong(
        "unknown_member",
        """
model M(width=4) {
  input x: float[B, width]
  layer proj = linear(width)
  y = proj(x)
  output z = y + proj.wieght
}
""",
        ("E0108", 5),
    ),
    wrong(
        "member_before_the_layer_is_applied",
        """
model M(width=4) {
  input x: float[B, width]
  layer proj = linear(width)
  output z = x + proj.bias
}
""",
        ("E0108", 4),
    ),
    wrong(
        "block_calls_itself",
        """
block again()(x: [*]) -> [*] {
  return again(x)
}

model M(width=4) {
  input x: float[B, width]
  output y = again(x)
}
""",
        ("E0111", 2, 1),
    ),
    wrong(
        "block_without_return",
        """
block lost()(x: [*]) -> [*] {
  y = x + 1
}

model M(width=4) {
  input x: float[B, width]
  output y = lost(x)
}
""",
        ("E0112", 1),
    ),
    *(
        wrong(
            name,
            f"""
model M(width=4) {{
  input x: float[B, T, width]
  {statement}
  output y = x
}}
""",
            *expected,
        )
        for name, statement, *expected in (
            ("other_axes_by_training", "x = x if training else mean(x, over=T)", ("E0119", 3, 3)),
            ("other_axes_behind_training", "if training { x = mean(x, over=T) }", ("E0119", 3, 2)),
            ("another_dtype_by_training", "seen = x > 0\n  if training { seen = 2.0 * x }", ("E0119", 4, 3)),
            ("a_block_by_training", "x = x |> (relu if training else gelu)", ("E0119", 3, 3)),
            ("an_output_in_training", "if training { output z = x }", ("E0119", 3, 3)),
            ("a_return_in_training", "x = scope s { if training { return x } }", ("E0119", 3, 3)),
            ("an_emit_in_training", "x = repeat h in 2 { if training { emit x } }", ("E0119", 3, 3)),
            ("results_by_training", "a, b = split(x, over=width -> [2, 2]) if training else x", ("E0119", 3, 3)),
            ("a_name_of_one_branch", "if training { a = 2 * x }\n  x = a", ("E0101", 4)),
            ("training_is_required", "require training", ("E0104", 3)),
            ("training_as_a_number", "x = x * training", ("E0104", 3)),
            ("training_and_a_tensor", "if training and x > 0 { x *= 2 }", ("E0104", 3)),
        )
    ),
    wrong(
        "return_in_a_model",
        """
model M(width=4) {
  input x: float[B, width]
  output y = x
  return x
}
""",
        ("E0112", 4),
    ),
    wrong(
        "two_results_for_one_name",
        """
block halves()(x: [*, D]) {
  return x * 0.5, x * 0.5
}

model M(width=4) {
  input x: float[B, width]
  y = halves(x)
  output z = y
}
""",
        ("E0113", 7, 7),
    ),
    wrong(
        "input_in_a_repeat",
        """
model M(width=4) {
  input x: float[B, width]
  repeat h in 3 {
    input y: float[B, width]
    x += linear(x, width)
  }
  output z = x
}
""",
        ("E0114", 4),
    ),
    wrong(
        "no_output",
        """
model M(width=4) {
  input x: float[B, width]
  y = x + 1
}
""",
        ("E0114", 1),
    ),
    wrong(
        "condition_on_a_tensor",
        """
model M(width=4) {
  input x: float[B, width]
  if x > 0 {
    x = x * 2
  }
  output y = x
}
""",
        ("E0404", 3),
    ),
    wrong(
        "block_added",
        """
model M(width=4) {
  input x: float[B, width]
  output y = x + layer_norm
}
""",
        ("E0104", 3),
    ),
    wrong(
        "division_by_zero",
        """
model M(width=4, heads=0) {
  input x: float[B, width]
  output y = x * (width / heads)
}
""",
        ("E0405", 3),
    ),
    wrong(
        "dropout_rate_out_of_range",
        """
model M(width=4, p=1.5) {
  input x: float[B, width]
  output y = dropout(x, p)
}
""",
        ("E0403", 3),
    ),
    wrong(
        "parameter_from_a_tensor",
        """
model M(width=4) {
  input x: float[B, width]
  param scale: [width] = mean(x, over=B)
  output y = x * scale
}
""",
        ("E0104", 3),
    ),
    wrong(
        "two_independent_mistakes",
        """
model M(width=4, hidden=8) {
  input x: float[B, width]
  a = liner(x, width)
  b = x + linear(x, hidden)
  output y = a + b
}
""",
        ("E0101", 3),
        ("E0203", 4),
    ),
    wrong(
        "mistake_in_a_called_block",
        """
block add_rows()(x: [*, D], y: [*, E]) -> [*, D] {
  return x + y
}

model M(width=4, hidden=8) {
  input x: float[B, width]
  input y: float[B, hidden]
  a = add_rows(x, y)
  output z = a + add_rows(x, y)
}
""",
        ("E0203", 2),
    ),
    wrong(
        "variant_of_unknown_hyperparameter",
        """
model M(width=4) {
  input x: float[B, width]
  output y = x
}
variant M:big { widht=8 }
""",
        ("E0402", 5, 1),
    ),
    wrong(
        "variant_of_unknown_model",
        """
model M(width=4) {
  input x: float[B, width]
  output y = x
}
variant N:big { width=8 }
""",
        ("E0101", 5),
    ),
    wrong(
        "override_of_the_wrong_type",
        """
model M(width=4) {
  input x: float[B, width]
  output y = linear(x, width)
}
""",
        ("E0401", 1),
        width="1.5",
    ),
    wrong(
        "override_by_a_mask",
        """
model M(width=4, norm=layer_norm) {
  input x: float[B, width]
  output y = norm(x)
}
""",
        ("E0401", 1),
        norm="causal",
    ),
    wrong(
        "override_of_unknown_hyperparameter",
        """
model M(width=4) {
  input x: float[B, width]
  output y = linear(x, width)
}
""",
        ("E0402", 0, 1),
        widht="8",
    ),
    wrong(
        "override_that_cannot_be_read",
        """
model M(width=4) {
  input x: float[B, width]
  output y = linear(x, width)
}
""",
        ("E0403", 0),
        width="4 +",
    ),
    wrong(
        "unknown_import",
        """
use "nowhere.attn"

model M(width=4) {
  input x: float[B, width]
  output y = x
}
""",
        ("E0501", 1),
    ),
    # ------------------------------------------------------------ states
    wrong(
        "a_state_in_a_scan",
        """
model M(width=4) {
  input x: float[B, T, width]
  y = scan t in T {
    state s: [B, width] = zeros
    emit s
  }
  output z = y
}
""",
        ("E0115", 4),
    ),
    wrong(
        "a_state_of_a_layer_that_iterations_share",
        """
model M(width=4) {
  input x: float[B, T, width]
  layer f = kept()
  repeat h in 2 { x = f(x) }
  output z = x
}
block kept(x: [*]) -> [*] {
  state s: [*] = zeros
  return x + s
}
""",
        ("E0115", 8),
    ),
    wrong(
        "a_state_written_in_a_loop",
        """
model M(width=4) {
  input x: float[B, T, width]
  state s: [B, width] = zeros
  repeat h in 2 {
    s <- x[T=0]
    x = x + s
  }
  output z = x
}
""",
        ("E0115", 5),
    ),
    wrong(
        "a_state_written_twice",
        """
model M(width=4) {
  input x: float[B, T, width]
  state s: [B, width] = zeros
  s <- x[T=0]
  s <- x[T=T - 1]
  output z = x + s
}
""",
        ("E0115", 5),
    ),
    wrong(
        "a_layer_with_a_state_applied_twice",
        """
model M(width=4) {
  input x: float[B, T, width]
  layer f = kept()
  output z = f(f(x))
}
block kept(x: [*]) -> [*] {
  state s: [*] = zeros
  s <- x
  return x + s
}
""",
        ("E0115", 8),
    ),
    wrong(
        "what_is_written_is_not_a_state",
        """
model M(width=4) {
  input x: float[B, T, width]
  s = x[T=0]
  s <- x[T=1]
  output z = x + s
}
""",
        ("E0115", 4),
    ),
    wrong(
        "what_is_written_is_nothing",
        """
model M(width=4) {
  input x: float[B, T, width]
  state memory: [B, width] = zeros
  memroy <- x[T=1]
  output z = x + memory
}
""",
        ("E0101", 4),
    ),
    wrong(
        "a_state_that_is_drawn",
        """
model M(width=4) {
  input x: float[B, T, width]
  state s: [B, width] = normal(0.02)
  output z = x + s
}
""",
        ("E0104", 3),
    ),
    wrong(
        "a_state_that_begins_with_an_input",
        """
model M(width=4) {
  input x: float[B, T, width]
  state s: [B, width] = x[T=0]
  output z = x + s
}
""",
        ("E0104", 3),
    ),
    wrong(
        "a_state_of_another_dtype",
        """
model M(width=4) {
  input x: float[B, T, width]
  state n: int[] = 0.5
  n <- n + 1
  output z = x + n
}
""",
        ("E0204", 3),
    ),
    wrong(
        "a_write_of_another_dtype",
        """
model M(width=4) {
  input x: float[B, T, width]
  state n: int[] = 0
  n <- n + 0.5
  output z = x + n
}
""",
        ("E0204", 4),
    ),
    wrong(
        "a_write_with_other_axes",
        """
model M(width=4) {
  input x: float[B, T, width]
  state s: [B, width] = zeros
  s <- x
  output z = x + s
}
""",
        ("E0208", 4),
    ),
    wrong(
        "a_state_of_a_size_that_nothing_says",
        """
model M(width=4) {
  input x: float[B, T, width]
  state s: [B, M, width] = zeros
  output z = x + mean(s, over=M)
}
""",
        ("E0101", 3),
    ),
    wrong(
        "a_state_that_needs_an_optional_input",
        """
model M(width=4) {
  input x: float[B, T, width]
  input by: [B] optional
  state s: [B] = zeros
  s <- by
  output z = x + s
}
""",
        ("E0115", 4),
    ),
    wrong(
        "a_state_called_as_an_output",
        """
model M(width=4) {
  input x: float[B, T, width]
  state s: [B] = zeros
  output s = x
}
""",
        ("E0107", 4),
    ),
    # ------------------------------------------------------------ optional inputs
    wrong(
        "default_of_an_input_that_is_not_optional",
        """
model M(width=4) {
  input x: float[B, T, width]
  input valid: bool[B, T] = true
  output y = x * valid
}
""",
        ("E0116", 3),
    ),
    wrong(
        "default_of_another_dtype",
        """
model M(width=4) {
  input x: float[B, T, width]
  input valid: bool[B, T] optional = 1
  output y = x * valid
}
""",
        ("E0204", 3, 3),
    ),
    wrong(
        "default_with_an_axis_too_many",
        """
model M(width=4) {
  input x: float[B, T, width]
  input weight: float[B, T] optional = x
  output y = x * weight
}
""",
        ("E0208", 3, 3),
    ),
    wrong(
        "default_that_is_no_tensor",
        """
model M(width=4) {
  input x: float[B, T, width]
  input valid: bool[B, T] optional = causal
  output y = x * valid
}
""",
        ("E0104", 3),
    ),
    wrong(
        "default_that_uses_the_input_itself",
        """
model M(width=4) {
  input x: float[B, T, width]
  input valid: bool[B, T] optional = not valid
  output y = x * valid
}
""",
        ("E0101", 3),
    ),
    wrong(
        "default_as_large_as_nothing",
        """
model M(width=4) {
  input x: float[B, width]
  input weight: float[T] optional = 1.0
  output y = x * mean(weight, over=T)
}
""",
        ("E0117", 3),
    ),
    wrong(
        "defaults_as_large_as_each_other",
        """
model M(width=4) {
  input x: float[B, width]
  input valid: bool[T, 2 * N] optional = true
  input weight: float[T] optional = 1.0
  output y = x * mean(where(valid, weight, 0.0), over=[T, 2 * N])
}
""",
        ("E0117", 3, 4),
        ("E0117", 4, 3),
    ),
    wrong(
        "default_above_its_bound",
        """
model M(width=4, segments=2) {
  input x: float[B, T, width]
  input segment: int[B, T] optional = segments where segment < segments
  output y = x + embedding(segment, segments, width)
}
""",
        ("E0118", 3, 3),
    ),
    wrong(
        "default_below_zero",
        """
model M(width=4, segments=2) {
  input x: float[B, T, width]
  input segment: int[B, T] optional = -1 where segment < segments
  output y = x + embedding(segment, segments, width)
}
""",
        ("E0118", 3, 3),
    ),
    # ------------------------------------------------------------ what used to pass, or to fail badly
    wrong(
        "label_taken_by_an_unlabelled_layer",
        """
model M(width=4) {
  input x: float[B, width]
  x = linear(x, width)
  x = linear(x, width) as linear
  output y = x
}
""",
        ("E0106", 4),
    ),
    wrong(
        "label_taken_by_a_parameter",
        """
model M(width=4) {
  input x: float[B, width]
  param w: [width]
  x = linear(x * w, width) as w
  output y = x
}
""",
        ("E0106", 4, 3),
    ),
    wrong(
        "label_on_a_layer_made_already",
        """
model M(width=4) {
  input x: float[B, width]
  layer a = linear(width)
  y = a(x) as b
  output z = y
}
""",
        ("E0106", 4, 3),
    ),
    wrong(
        "position_that_is_none",
        """
model M(width=4) {
  input x: float[B, T, width]
  output y = attention(x, 2, position=causal)
}
""",
        ("E0210", 3),
    ),
    wrong(
        "hyperparameter_given_twice",
        """
model M(width=4, width=8) {
  input x: float[B, width]
  output y = x
}
""",
        ("E0107", 1, 1),
    ),
    wrong(
        "text_compared_with_a_number",
        """
model M(mode="sum") {
  input x: float[B]
  if mode == 3 { x = x + 1 }
  output y = x
}
""",
        ("E0104", 3),
    ),
    wrong(
        "axes_as_hyperparameter",
        """
model M(width=[in=3]) {
  input x: float[B]
  output y = x
}
""",
        ("E0104", 1),
    ),
    wrong(
        "list_with_an_unknown_name",
        """
model M(width=8, kinds=[1, widht]) {
  input x: float[B]
  output y = x
}
""",
        ("E0101", 1),
    ),
    wrong(
        "list_of_another_kind",
        """
model M(depths=[2, 2, 6]) {
  input x: float[B]
  output y = x
}
variant M:odd { depths=["a"] }
""",
        ("E0401", 5, 1),
    ),
    wrong(
        "beyond_a_list",
        """
model M(kinds=["full", "band"]) {
  input x: float[B]
  output y = x if kinds[2] == "full" else x * 2
}
""",
        ("E0211", 3),
    ),
    wrong(
        "a_condition_that_a_list_lacks_for_a_round",
        """
model M(kinds=["full", "band"], depth=3) {
  input x: float[B]
  repeat layer in depth {
    if kinds[layer] == "full" { x *= 2 }
  }
  output y = x
}
""",
        ("E0405", 4),
    ),
    wrong(
        "a_number_that_a_list_lacks_for_a_round",
        """
model M(rates=[0.5, 0.25], depth=3) {
  input x: float[B]
  repeat layer in depth {
    x *= rates[layer]
  }
  output y = x
}
""",
        ("E0405", 4),
    ),
    wrong(
        "a_list_indexed_by_a_tensor",
        """
model M(rates=[0.5, 0.25]) {
  input at: int[B]
  output y = rates[at] * 2
}
""",
        ("E0404", 3),
    ),
    wrong(
        "a_list_indexed_by_a_fraction",
        """
model M(rates=[0.5, 0.25]) {
  input x: float[B]
  output y = x * rates[0.5]
}
""",
        ("E0104", 3),
    ),
    wrong(
        "a_tensor_in_a_list",
        """
model M(places=[0, 4]) {
  input at: int[B]
  output y = float(at in places)
}
""",
        ("E0104", 3),
    ),
    wrong(
        "rearrange_of_a_missing_axis",
        """
model M(width=4) {
  input x: float[B, width]
  output y = rearrange(x, [S] -> [U=S])
}
""",
        ("E0203", 3),
    ),
    wrong(
        "rearrange_of_an_axis_of_another_name",
        """
model M(width=8) {
  input x: float[B, T, width]
  output y = rearrange(x, [inner=width] -> [a=2, b=4])
}
""",
        ("E0203", 3),
    ),
    wrong(
        "rearrange_of_factors_of_one_size",
        """
model M(patch=2, channels=3) {
  input image: float[B, channels, Y * patch, X * patch]
  output y = rearrange(image, [channels, Y * patch, X * patch] -> [Y * X, channels * patch * patch])
}
""",
        ("E0214", 3, 3),
    ),
    wrong(
        "rearrange_with_names_on_one_side_only",
        """
model M(patch=2, channels=3) {
  P = patch
  Q = patch
  input image: float[B, channels, Y * patch, X * patch]
  output y = rearrange(image, [channels, Y * patch, X * patch] -> [Y * X, channels * P * Q])
}
""",
        ("E0214", 5, 5),
    ),
    wrong(
        "rearrange_gives_an_axis_twice",
        """
model M(patch=2) {
  P = patch
  Q = patch
  input image: float[B, Y * patch, X * patch]
  output y = rearrange(image, [Y * P, X * Q] -> [Y, X, P, Q])
}
""",
        ("E0205", 5),
    ),
    wrong(
        "windows_larger_than_what_they_go_over",
        """
model M(width=4) {
  input x: float[B, 6, width]
  output y = conv(x, 8, 3, dilation=3)
}
""",
        ("E0206", 3),
    ),
    wrong(
        "windows_without_a_stride",
        """
model M(width=4) {
  input x: float[B, T, width]
  output y = max_pool(x, 2, stride=0)
}
""",
        ("E0209", 3),
    ),
    wrong(
        "rearrange_of_nothing",
        """
model M(width=4) {
  input x: float[B, width]
  output y = rearrange(x, [] -> [])
}
""",
        ("E0206", 3),
    ),
    wrong(
        "axis_by_number",
        """
model M(width=4) {
  input x: float[B, T, width]
  output y = mean(x, over=-1)
}
""",
        ("E0203", 3),
    ),
    wrong(
        "comparison_with_an_input_size",
        """
model M(width=4) {
  input x: float[B, T, width]
  output y = x * (T > 3)
}
""",
        ("E0404", 3),
    ),
    wrong(
        "parameter_of_an_input_size",
        """
model M(width=4) {
  input x: float[B, T]
  output y = layer_norm(x)
}
""",
        ("E0209", 3),
    ),
    wrong(
        "integer_parameter",
        """
model M(width=4) {
  input x: float[B, width]
  param w: int[width]
  output y = x * w
}
""",
        ("E0204", 3),
    ),
    wrong(
        "identity_with_one_axis",
        """
model M(width=4) {
  input x: float[B, width]
  param w: [width] = identity
  output y = x * w
}
""",
        ("E0104", 3),
    ),
    wrong(
        "negative_hyperparameter_as_axis",
        """
model M(width=-4) {
  input x: float[B, width]
  output y = x
}
""",
        ("E0209", 2),
    ),
    wrong(
        "number_beyond_floats",
        """
model M(width=4) {
  input x: float[B, width]
  output y = x * 10 ^ 4000
}
""",
        ("E0405", 3),
    ),
    wrong(
        "hyperparameter_beyond_integers",
        """
model M(width=99999999999999999999999999) {
  input x: float[B, width]
  output y = x
}
""",
        ("E0403", 1),
    ),
    wrong(
        "mask_over_one_axis_twice",
        """
model M(width=4) {
  input x: float[B, T]
  output y = causal[q=T, k=T]
}
""",
        ("E0303", 3),
    ),
    wrong(
        "shape_of_a_tensor",
        """
model M(width=4) {
  input x: float[B, T]
  output y = x.shape
}
""",
        ("E0108", 3),
    ),
    wrong(
        "rearrange_into_an_axis_without_a_size",
        """
model M(width=8, heads=2) {
  input x: [B, width]
  output y = rearrange(x, [width] -> [heads, head])
}
""",
        ("E0101", 3),
    ),
    wrong(
        "method_of_a_tensor",
        """
model M(width=4) {
  input x: float[B, T]
  output y = x.mean(over=T)
}
""",
        ("E0108", 3),
    ),
    wrong(
        "variant_of_the_wrong_type",
        """
model M(width=4) {
  input x: float[B, width]
  output y = x
}
variant M:half { width=4.5 }
""",
        ("E0401", 5, 1),
    ),
    wrong(
        "one_target_for_many_positions",
        """
model M(labels=3, width=4, vocab=10) {
  input tokens: int[B, T] where tokens < vocab
  input label: int[B] where label < labels
  logits = embedding(tokens, vocab, width) |> linear(labels)
  output loss = cross_entropy(logits, label, over=labels)
}
""",
        ("E0203", 5),
    ),
    wrong(
        "a_block_whose_tensor_has_no_type",
        """
block swish(x) {
  return x * sigmoid(x)
}
model M(width=4) {
  input x: [B, width]
  output y = swish(x)
}
""",
        ("E0104", 6, 1),
    ),
]


def nonsense(name: str, code: str, value: str) -> Wrong:
    """A program whose one statement gives the library what it cannot take."""
    model = f"model M(width=8, heads=2, n=4) {{\n  input x: [B, T, width]\n  output y = {value}\n}}\n"
    return wrong(name, model, (code, 3))


PROGRAMS += [
    nonsense(*each)
    for each in (
        ("an_expert_that_lacks_a_tensor", "E0103", "x |> experts(n, 2, dot_score)"),
        ("class_weights_in_a_list", "E0104", "cross_entropy(x, argmax(x, over=width), over=width, weight=[1, 2])"),
        (
            "class_weights_too_few",
            "E0201",
            "cross_entropy(x, argmax(x, over=width), width, weight=x[width<n][B=0, T=0])",
        ),
        ("padding_in_a_word", "E0401", 'conv(x, width, 3, pad="same")'),
        ("an_image_that_lacks_axes", "E0201", "conv2d(x[B=0], width, 3)"),
        ("an_initial_state_without_brackets", "E0104", "x |> recurrent(gru_cell(8), initial=x[T=0])"),
        ("masks_by_training", "E0119", "attention(x, heads, mask=causal if training else full)"),
    )
]
PROGRAMS += [
    wrong(
        "a_state_declared_twice",
        """
model M(width=4) {
  input x: [B, width]
  state s: [width] = zeros
  state s: [width] = ones
  output y = x + s
}
""",
        ("E0106", 4, 3),
    ),
]
