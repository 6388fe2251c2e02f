"""Layers that can be computed of what the layers before them make alone, and what leads back through them."""

STAGED = {
    "defined after the layers before": """model M(width=4, depth=4) {
      input n: [B, width]
      input at: int[B] where at >= 0, at < 1
      x = 1 + n * n
      repeat h in depth {
        x += 1 + exp(linear(log(x - h) + sqrt(x - h) + embedding(at - h, 1, width) as mark, width) as map)
        at += 1
      }
      output y = log(x)
    }""",
    "left by what is emitted alone": """model M(width=4, depth=4) {
      input x: [B, width]
      input n: [B, width]
      seen, last = repeat h in depth {
        x = stop_gradient(x) if h % 2 == 1 else x * n
        x = x |> linear(width) as map
        emit x |> linear(3) as probe, mean(x * x, over=[B, width])
      }
      output y = seen
      output z = last
    }""",
    "one name throughout": """model M(width=4, depth=4) {
      input x: [B, width]
      repeat h in depth {
        x = relu(x |> linear(width) as map)
      }
      output y = x
    }""",
    "never needed again": """model M(width=4, depth=4) {
      input x: [B, width]
      repeat h in depth {
        x = stop_gradient(x |> linear(width) as map)
      }
      output y = x |> linear(3) as probe
    }""",
}

IN_STAGES = ("stages=2; h on stages in 4 microbatches", "data=2, stages=2; h on stages; B on data")
