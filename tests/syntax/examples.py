"""Programs that use every construct of the language, each once or more."""

EXAMPLES = {
    "decoder": """
/// A small decoder-only Transformer.
/// It is normalised before each sublayer.

use std.norms
use std.attention: attention, mlp as feed_forward
use "blocks/mine.attn": my_norm

/// The model itself.
model Decoder(vocab=50_257, context=1024, depth=12, width=768, heads=12, p=0.1, norm=layer_norm(eps=1e-6)) {
  /// Token numbers.
  input tokens: int[B, T] where T <= context, tokens < vocab

  layer wte = embedding(vocab, width)
  x = wte(tokens) + embedding(range(T), context, width) as wpe
  x = dropout(x, p)                                              # only in training

  repeat h in depth {
    x += x |> norm as ln_1 |> attention(heads, mask=causal & window(4), dropout=p) as attn |> dropout(p)
    x += x
      |> norm as ln_2
      # a comment between two stages

      |> feed_forward(4 * width, act=gelu_tanh) as mlp
      |> dropout(p)
  }

  output logits = x |> norm as ln_f |> dot(wte.table, over=width)
  input targets: int[B, T] optional
  output loss = cross_entropy(logits, targets, over=vocab)
}

/// Two sizes.
variant Decoder:small { depth=2, width=64, heads=4, }
variant Decoder:1.3b {
  depth = 24
  width = 2048, heads = 16
}
""",
    "encoder": """
model Encoder(vocab, segments=2, width=768, hidden=4*width, act=gelu, heads=12, depth=12, p=0.1) {
  input tokens: int[B, T] where T <= 512
  input segment: int[B, T] optional = zeros
  input valid: bool[B, T] optional
  x = embedding(tokens, vocab, width) as word + embedding(range(T), 512, width) as place
    + embedding(segment, segments, width) as kind
  repeat layer in depth {
    x = layer_norm(x + (attention(x, heads, mask=keys(valid), dropout=p) as attn |> dropout(p)), eps=1e-12) as norm_1
    x = layer_norm(x + (mlp(x, hidden, act) as mlp |> dropout(p)), eps=1e-12) as norm_2
  }
  output hidden = x
  /// What the classifiers read.
  output pooled: [B, width] = tanh(linear(x[T=0], width) as pooler)
}
""",
    "encoder-decoder": """
model Translator(vocab=32128, heads=8, head=64, depth=6) {
  layer shared = embedding(vocab, heads * head)
  memory = scope encoder {
    x = shared(source)
    distance = bucketed(heads, 32, 128, bidirectional=true)
    repeat block in depth {
      x += x |> rms_norm as norm_1
        |> attention(heads, head, mask=keys(valid), position=distance, scale=1, bias=false) as attn
    }
    return rms_norm(x) as norm
  }
  output y = memory
}
""",
    "blocks": """
block rms_norm(eps=1e-6)(x: [*, D]) -> [*, D] {
  param scale: [D] = ones
  return x * rsqrt(mean(x ^ 2, over=D) + eps) * scale
}
block linear(out, bias=true)(x: [*, D]) -> [*, out] {
  param weight: [in=D, out=out] = normal(0.02 / sqrt(2 * depth))
  y = dot(x, rearrange(weight, [in] -> [D]), over=D)
  if bias { param shift: [out] }
  return y
}
block both(x: [*, T, D], memory: [*, S, E] = x) -> [*, T, D], [*, S] {
  head = D / heads
  q = linear(x, D) as q |> rearrange([D] -> [heads, head])
  score = dot(q, k, over=head) / sqrt(head)
  weight = softmax(score, over=S, where=causal[q=T, k=S])
  h, c = lstm_cell(x)
  delta: int[T, S] = range(T) - range(S)
  return dot(weight, v, over=S) |> rearrange([heads, head] -> [D]) |> linear(D) as out, h
}
block images(n)(x: float16[B, Y, X, C]) {
  y = rearrange(x, [Y*P, X*Q, C] -> [Y*X, P*Q*C])
  m = mean(y, over=[Y*X, P*Q*C])
  parts = split(y, over=S -> [M, T])
  z = windows(y, over=T -> [U, R], size=3, stride=2, pad=[1, 1])
  return x[T < n], x[T=:n], x[T=n:], x[T=a:b -> U], x[T=:, 4 * width=0], f(n)(x)(y), x[i].weight[j, k], x[T=0:n -> in=U]
}
""",
    "masks": """
mask causal(q, k) = k <= q
mask strided(n)(q, k) = q >= k and (q - k) % n == 0
mask same(doc: int[B, T])(b in B, q, k) = doc[b, q] == doc[b, k]
/// ALiBi.
bias alibi(heads)(h in heads, q, k) = -(2 ^ (-8 * (h + 1) / heads)) * (q - k)
bias learned(reach)(q, k) {
  param table: [reach]
  return table[min(q - k, reach - 1)]
}
""",
    "recurrence": """
model Recurrent(hidden=512, depth=2, M=64) {
  states, last = scan t in T with s: [B, hidden] = tanh(linear(h[S=0], hidden) as start), n = 0 {
    c = bahdanau(hidden)(s, h, valid) as attend
    s = gru_cell(hidden)(concat(y[T=t], c, over=[width, 2*hidden] -> F), s) as cell
    n = n + 1
    emit s, c
  }
  repeat layer in depth with z = states {
    state memory: [B, M, width] = zeros
    past = concat(memory, x, over=[M, T] -> S)
    memory <- stop_gradient(past[S=T:T+M -> M])
    if layer % 2 == 0 { z = z + 1 } else if layer == 3 {
      z = z * 2
    }
    else {
      z = z if layer > 4 else -z
    }
  }
  scope tail { require hidden % 2 == 0 }
  output y = z
}
""",
    "weights": """
/// How a norm is called.
maps outer(at) { if tied { "weight" <- at } }
weights Decoder from huggingface {
  config { vocab = vocab_size, context = n_positions,
           depth = n_layer
           require activation_function == "gelu_new", scale_attn == false,
           heads = n_head = n_key_head, ignore summary, n_ctx
           experts <- n_routed + n_shared }
  maps norm(at,) { "weight" <-> at.scale, "bias" <-> at.shift optional }
  maps nothing() { }
  prefix "transformer." optional {
    prefix "model.{i}." { "{part in [q, k -> key]}." <-> linear(h[i][part]) }
    ignore "h.{i}.attn.bias",
           "h.{i}.attn.masked_bias"
  }
  "bias_ih" + "bias_hh": [out] <-> lstm.bias
  "wte.weight" <-> wte.table, "ln." <-> norm(ln)
  "h.{i}.attn.c_attn.weight": [in, out] <-> concat(h[i].attn.q.weight, h[i].attn.k.weight, over=out)
  "old.\\"name\\"" <- h[2 * i].ln.scale
  "tied" -> wte.table
}
weights Encoder from huggingface {
  config {
    act = choose(hidden_act or "gelu", "gelu" -> gelu, "gelu_new" -> gelu_tanh, absent -> "none", -1 -> 2.5)
    labels = count(id2label) or 2
  }
  if head == "classify" and labels > 2 {
    prefix "classifier." {
      "weight": [out, in] <-> classifier.weight
    }
    if kind(act) != "none" { ignore "act" }
  } else if head == "tag" {
    "conv": [out, C, P, Q] <-> rearrange(w, [in] -> [C=channels, P=patch, Q=patch])
  }
  else { }
  if not tied { "head" <-> head.weight } else { "bias": [1, vocab] <-> 0 }
}
train Decoder {
  batches = next_token(tokens, targets)
  optimizer = adamw(lr=6e-4, betas=[0.9, 0.95], decay=0.1)
  schedule = warmup_cosine(warmup=2000, steps=600000)
  clip = 1.0
}
train Decoder:1.3b { batch = 512 }
""",
    "layouts": """
layout tensor for Decoder over (data=2, model=1_6,) {
  B on data
  heads, 4 * width on model
  parameters on data
}
/// As few lines as that.
layout rows for Decoder over (on=2) { parameters, B on on
  parameters whole }
layout nothing for Decoder over (on=2) { }
""",
}
