"""The habits: a name from elsewhere, and what is written here.

A template holds the author's own text in braces: `{x}` the operand (of `x.view(…)`, of `torch.tanh(x)`, of
`nn.Linear(8, 16)(x)`), `{1}` the first argument after it (of a layer `{0}`, `{1}`, … are the arguments that make it),
`{name}` the argument of that name, `{over}` the axis that `dim=`, `axis=` or a number says. In `{1|name|2}` the first
that is given counts, and the last stands for none of them. After ` ; ` comes the reason. `[form]` is a function of
`attndsl.habits.advice`, for what a template cannot say.
"""

from __future__ import annotations

MODULES = frozenset((
    *("torch", "nn", "F", "functional", "np", "numpy", "jnp", "jax", "lax", "flax", "linen", "einops", "layers"),
    *("math", "linalg", "tf", "keras", "special", "random", "scipy"),
))  # fmt: skip
"""What a path begins with: nothing here is called through a module."""

NUMPY_LIKE = frozenset(("np", "jnp", "numpy"))
"""Those in which `split` takes a number of parts, and not their size."""

CALLS: dict[str, str] = {
    # axes
    **dict.fromkeys(("view", "reshape"), "[reshaped]"),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims", "mT"), "[swapped]"),
    **dict.fromkeys(("permute", "T"), "[permuted]"),
    **dict.fromkeys(("moveaxis", "movedim"), "[moved]"),
    "flatten": "[flattened]",
    **dict.fromkeys(
        ("unsqueeze", "expand_dims", "expand", "expand_as"), "{x} ; tensors align by the names of their axes"
    ),
    **dict.fromkeys(("contiguous", "clone", "copy"), "{x}"),
    **dict.fromkeys(("cuda", "cpu", "to", "requires_grad_", "asarray", "array", "tensor", "block_until_ready"), "{x}"),
    **dict.fromkeys(("scaled_dot_product_attention", "dot_product_attention"), "attend({x}, {1}, {2})"),
    "normalize": "{x} / sqrt(sum({x} ^ 2, over={over}))",
    "dot_general": "dot({x}, {1}, over={shared})",
    "squeeze": "{x}[{over}=0]",
    **dict.fromkeys(("size", "shape"), "[sized]"),
    "newaxis": "none",
    **dict.fromkeys(("contains", "includes"), "{1} in {x}"),
    **dict.fromkeys(("cat", "concat", "concatenate", "hstack", "vstack", "pack"), "[joined]"),
    **dict.fromkeys(("chunk", "split", "array_split", "tensor_split", "unpack"), "[parted]"),
    **dict.fromkeys(("repeat", "tile"), "[repeated]"),
    **dict.fromkeys(("index_select", "gather"), "take({x}, {2}, over={over})"),
    **dict.fromkeys(("take", "take_along_axis", "take_along_dim"), "take({x}, {1}, over={over})"),
    # products
    **dict.fromkeys(("matmul", "mm", "bmm", "dot", "inner", "vdot"), "dot({x}, {1|w}, over={shared})"),
    "einsum": "[einsum]",
    # functions
    **{
        name: f"{name}({{x}}, over={{over}})"
        for name in ("sum", "mean", "any", "all", "argmax", "softmax", "log_softmax", "logsumexp", "cumsum", "cumprod")
    },
    **dict.fromkeys(("amax", "max"), "max({x}, over={over})"),
    **dict.fromkeys(("amin", "min"), "min({x}, over={over})"),
    "argmin": "argmax(-{x}, over={over})",
    "var": "mean(({x} - mean({x}, over={over})) ^ 2, over={over}) ; divided by the number of elements",
    "std": "sqrt(mean(({x} - mean({x}, over={over})) ^ 2, over={over}))",
    "norm": "sqrt(sum({x} ^ 2, over={over}))",
    **dict.fromkeys(("clip", "clamp"), "minimum(maximum({x}, {1|min|a_min|0}), {2|max|a_max|1})"),
    **dict.fromkeys(("pow", "power"), "{x} ^ {1|2}"),
    "square": "{x} ^ 2",
    "reciprocal": "1 / {x}",
    **dict.fromkeys(("add",), "{x} + {1}"),
    **dict.fromkeys(("mul", "multiply"), "{x} * {1}"),
    **dict.fromkeys(("sub", "subtract"), "{x} - {1}"),
    **dict.fromkeys(("div", "divide", "true_divide"), "{x} / {1}"),
    **dict.fromkeys(("logical_and",), "{x} and {1}"),
    **dict.fromkeys(("logical_or",), "{x} or {1}"),
    **dict.fromkeys(("logical_not",), "not {x}"),
    **dict.fromkeys(("masked_fill", "masked_fill_"), "where({1}, {2|0}, {x})"),
    **dict.fromkeys(("tril", "triu"), "attention(x, heads, mask=causal)"),
    "arange": "[counted]",
    **dict.fromkeys(("zeros_like", "zeros"), "[filled 0.0]"),
    **dict.fromkeys(("ones_like", "ones"), "[filled 1.0]"),
    **dict.fromkeys(("detach", "stop_gradient"), "stop_gradient({x})"),
    **dict.fromkeys(("float", "half", "double", "float16", "bfloat16", "float64"), "float({x})"),
    "float32": "float32({x})",
    **dict.fromkeys(("long", "int32", "int64"), "int({x})"),
    **dict.fromkeys(("astype", "type"), "[cast]"),
    "one_hot": "one_hot({x}, {1|num_classes|vocab})",
    "leaky_relu": "where({x} > 0, {x}, {1|negative_slope|0.01} * {x})",
    "swish": "silu({x})",
    "cross_entropy": "cross_entropy({x}, {1|targets}, over={over})",
    # layers
    "Linear": "linear({x}, {1|out_features|out})",
    "Dense": "linear({x}, {0|features|out})",
    **dict.fromkeys(("Embedding", "Embed"), "embedding({x|tokens}, {0|num_embeddings}, {1|embedding_dim|features})"),
    "LayerNorm": "layer_norm({x})",
    "RMSNorm": "rms_norm({x})",
    "Dropout": "dropout({x}, {0|p|rate|0.1})",
    "Conv1d": "conv({x}, {1|out_channels|out}, {2|kernel_size|3})",
    "Conv2d": "conv2d({x}, {1|out_channels|out}, {2|kernel_size|3})",
    "Conv": "conv({x}, {0|features|out}, 3)",
    "conv1d": "conv({x}, {1|out}, {2|3})",
    "MaxPool1d": "max_pool({x}, {0|2})",
    "MaxPool2d": "max_pool2d({x}, {0|2})",
    "AvgPool1d": "mean_pool({x}, {0|2})",
    "AvgPool2d": "mean_pool2d({x}, {0|2})",
    "MultiheadAttention": "attention({x}, {1|num_heads|heads})",
    **dict.fromkeys(("MultiHeadDotProductAttention", "MultiHeadAttention"), "attention({x}, {0|num_heads|heads})"),
    **dict.fromkeys(("ReLU", "GELU", "SiLU", "Tanh", "Sigmoid"), "[activation]"),
    "Softmax": "softmax({x}, over={over})",
    "Identity": "{x}",
    "Sequential": "x |> linear(hidden) |> relu |> linear(width)",
    "ModuleList": "repeat h in depth { … }",
    "Parameter": "param gain: [width] = ones",
    "Buffer": "state running: [width] = zeros",
    # functions of functions
    **dict.fromkeys(("vmap", "jit", "checkpoint", "remat", "pmap"), "{0}({x})"),
    "scan": "scan t in T with h: [B, width] = 0.0 { … }",
    **dict.fromkeys(("fori_loop", "while_loop"), "repeat h in depth { … }"),
    "cond": "where({x}, {1}, {2})",
    # einops
    **dict.fromkeys(("rearrange", "Rearrange"), "[pattern]"),
    **dict.fromkeys(("reduce", "Reduce"), "[reduction]"),
}
"""Functions, methods and layers by their last name. What has the same name here needs no row."""

LAST_AXIS = frozenset(("softmax", "log_softmax", "Softmax", "cross_entropy", "cumsum", "cumprod", "norm"))
"""What goes over the last axis where no axis is given; all else goes over all."""

NAMES: dict[str, str] = {
    "True": "true",
    "False": "false",
    "None": "none",
    "null": "none",
    "nil": "none",
}
"""KnownNames that mean something by themselves."""

OPTIONS = frozenset(("dim", "axis", "dims", "axes", "keepdim", "keepdims"))
"""Options that say axes by their places, or keep them: here it is `over=`, and nothing is kept."""

ARGUMENTS: dict[str, str] = {
    **dict.fromkeys(("epsilon", "layer_norm_eps"), "eps"),
    **dict.fromkeys(("num_heads", "n_heads", "n_head", "nhead", "head_count"), "heads"),
    **dict.fromkeys(("num_kv_heads", "n_kv_heads", "num_key_value_heads", "kv"), "kv_heads"),
    **dict.fromkeys(("head_dim", "head_size", "d_head", "qkv_features"), "head"),
    **dict.fromkeys(("attn_mask", "attention_mask", "is_causal", "key_padding_mask"), "mask"),
    **dict.fromkeys(("dropout_p", "dropout_rate", "attn_dropout", "drop"), "dropout"),
    **dict.fromkeys(("activation", "activation_fn", "nonlinearity", "act_fn"), "act"),
    **dict.fromkeys(("hidden_size", "hidden_dim", "intermediate_size", "d_ff", "dim_feedforward", "d_inner"), "hidden"),
    **dict.fromkeys(("out_features", "features", "output_size", "out_channels", "filters", "units"), "out"),
    **dict.fromkeys(("kernel_size", "kernel", "window_size"), "size"),
    **dict.fromkeys(("padding",), "pad"),
    **dict.fromkeys(("use_bias",), "bias"),
    **dict.fromkeys(("num_embeddings", "vocab_size"), "entries"),
    **dict.fromkeys(("embedding_dim", "d_model", "dim"), "width"),
    **dict.fromkeys(("label_smoothing",), "smoothing"),
    **dict.fromkeys(("pos", "pos_embedding", "position_bias", "rope"), "position"),
    **dict.fromkeys(("base_theta", "theta", "rope_theta"), "base"),
    **dict.fromkeys(("init_std", "kernel_init", "weight_init"), "init"),
}
"""What arguments of blocks are called elsewhere; each counts where the block has that argument."""

DTYPES: dict[str, str] = {
    **dict.fromkeys(("float16", "float64", "bfloat16", "half", "double", "f32", "f16", "Tensor"), "float"),
    **dict.fromkeys(("int8", "int16", "int32", "int64", "long", "uint8", "integer", "i32", "i64"), "int"),
    **dict.fromkeys(("boolean", "bool_"), "bool"),
}
"""Types of elements."""

STATEMENTS: dict[str, str] = {
    "for": "write `repeat {i|h} in {n|depth} { … }`",
    "while": "write `repeat h in depth { … }`, or `scan t in T with … { … }` along an axis",
    "loop": "write `repeat h in depth { … }`",
    "elif": "write `else if`",
    "elseif": "write `else if`",
    "switch": "write `if … { … } else if … { … }`",
    "match": "write `if … { … } else if … { … }`",
    "yield": "write `emit`",
    **dict.fromkeys(("def", "fn", "func", "function"), "write `block {name|f}(…)({x|x}: [*, D]) -> [*, D] { … }`"),
    **dict.fromkeys(
        ("class", "module", "struct"), "write `model {name|M}(…) { … }` or `block {name|f}(…)(x: [*, D]) { … }`"
    ),
    **dict.fromkeys(
        ("import", "from"), 'leave it out: the library needs no import; a file of your own: `use "parts.attn"`'
    ),
    "include": 'write `use "parts.attn"`',
    **dict.fromkeys(("let", "var", "const", "val", "auto"), "write `{name|name} = …`"),
    "assert": "write `require`",
    **dict.fromkeys(("weight", "parameter"), "write `param {name|gain}: [width] = ones`"),
    **dict.fromkeys(("print", "echo"), "leave it out: `attndsl run SPEC --dump NAME` shows the value called NAME"),
    **dict.fromkeys(("pass", "del", "global", "nonlocal", "async", "with"), "leave it out"),
    **dict.fromkeys(("try", "raise", "except"), "leave it out: a condition that must hold is `require`"),
    "@": "leave it out: there are no decorators",
    "lambda": "declare it: `block f()(x: [*]) -> [*] { return … }`",
}
"""First words of a statement, with the whole of the advice."""

WORDS: dict[str, str] = {"is": "==", "xor": "!=", "mod": "%", "div": "//"}
"""Words between two values."""

MARKS: dict[str, str] = {
    "**": "^", "&&": "and", "||": "or", "!": "not", "~": "not", "<>": "!=",
    **dict.fromkeys("“”„«»", '"'), **dict.fromkeys("−–—", "-"),
    "×": "*", "·": "*", "⋅": "*", "÷": "/", "≤": "<=", "≥": ">=", "≠": "!=", "→": "->", "←": "<-", "↔": "<->",
    "∧": "and", "∨": "or", "¬": "not", "＝": "=", "（": "(", "）": ")", "，": ",", "：": ":",
}  # fmt: skip
"""Marks."""

HYPERPARAMETERS: dict[str, str] = {
    **dict.fromkeys(("n_layer", "n_layers", "num_layers", "num_hidden_layers", "layers", "encoder_layers"), "depth"),
    **dict.fromkeys(("n_embd", "d_model", "hidden_size", "embed_dim", "embedding_dim", "dim", "n_embed"), "width"),
    **dict.fromkeys(("n_head", "n_heads", "num_heads", "num_attention_heads", "nhead"), "heads"),
    **dict.fromkeys(
        ("n_positions", "max_position_embeddings", "block_size", "n_ctx", "seq_len", "max_seq_len"), "context"
    ),
    **dict.fromkeys(("vocab_size", "num_tokens", "n_vocab"), "vocab"),
    **dict.fromkeys(("intermediate_size", "d_ff", "ffn_dim", "n_inner", "mlp_dim"), "hidden"),
    **dict.fromkeys(("dropout", "dropout_rate", "drop", "resid_pdrop", "hidden_dropout_prob"), "p"),
    **dict.fromkeys(("num_classes", "num_labels", "n_classes"), "labels"),
    **dict.fromkeys(("layer_norm_eps", "layer_norm_epsilon", "epsilon"), "eps"),
    **dict.fromkeys(("image_size", "img_size"), "side"),
    **dict.fromkeys(("patch_size",), "patch"),
    **dict.fromkeys(("in_channels", "num_channels"), "channels"),
}
"""Hyperparameters of models, where a model has the one that is meant."""

VERBS: dict[str, str] = {
    **dict.fromkeys(("fit", "finetune", "fine-tune", "pretrain", "resume"), "train"),
    **dict.fromkeys(("sample", "complete", "translate", "decode", "chat"), "generate"),
    **dict.fromkeys(("validate", "lint", "parse", "typecheck"), "check"),
    **dict.fromkeys(("draw", "plot", "diagram", "visualize", "visualise"), "render"),
    **dict.fromkeys(("build", "emit", "codegen", "transpile"), "compile"),
    **dict.fromkeys(("cat", "print", "source"), "show"),
    **dict.fromkeys(("summary", "summarize", "params", "info", "describe"), "inspect"),
    **dict.fromkeys(("classify", "infer"), "predict"),
    **dict.fromkeys(("eval", "test"), "evaluate"),
    **dict.fromkeys(("encode", "embeddings"), "embed"),
    **dict.fromkeys(("save", "convert"), "export"),
    **dict.fromkeys(("ls", "models"), "list"),
    **dict.fromkeys(("forward", "execute", "eval_model"), "run"),
}
"""Verbs of the command."""

RECIPE: dict[str, str] = {
    **dict.fromkeys(("batch_size", "bs", "per_device_train_batch_size"), "batch"),
    **dict.fromkeys(("learning_rate", "learningrate", "eta"), "lr"),
    **dict.fromkeys(("seq_len", "seq_length", "sequence_length", "block_size", "max_length", "max_seq_len"), "length"),
    **dict.fromkeys(("epochs", "num_epochs", "max_steps", "iterations", "max_iters", "num_train_epochs"), "steps"),
    **dict.fromkeys(("grad_clip", "clip_norm", "max_grad_norm", "gradient_clipping"), "clip"),
    **dict.fromkeys(("gradient_accumulation_steps", "grad_accum", "accumulation", "accumulation_steps"), "accumulate"),
    **dict.fromkeys(("weight_decay", "wd"), "decay"),
    **dict.fromkeys(("warmup_steps", "num_warmup_steps", "warmup_iters"), "warmup"),
    **dict.fromkeys(("dtype", "mixed_precision", "amp"), "precision"),
    **dict.fromkeys(("loss", "objective", "criterion"), "minimize"),
    **dict.fromkeys(("scheduler", "lr_scheduler"), "schedule"),
    **dict.fromkeys(("optim", "opt"), "optimizer"),
    **dict.fromkeys(("eval_every", "eval_interval", "eval_steps"), "evaluate"),
    **dict.fromkeys(("save_every", "save_steps", "checkpoint_every"), "checkpoint"),
    **dict.fromkeys(("val_split", "validation_split", "test_size"), "held_out"),
    **dict.fromkeys(("random_seed", "random_state"), "seed"),
}
"""Keys of a recipe."""
