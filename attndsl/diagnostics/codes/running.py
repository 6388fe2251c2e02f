"""E08xx: running: inputs, memory, backends."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

ENTRIES = (
    Code(
        "E0801",
        "a value is out of its range",
        "An input's values obey the bounds of its declaration (`where tokens < vocab`); an index is one of the "
        "elements that there are, never negative and never beyond the last.",
        "attndsl run gpt2 --inputs tokens-with-50257.npz",
        "attndsl run gpt2 --inputs tokens.npz",
        "situation",
    ),
    Code(
        "E0802",
        "an input has the wrong shape or dtype",
        "An array has as many axes as its declaration, in that order, lengths that agree with those of the other "
        "inputs, and whole numbers where the declaration says `int`.",
        "attndsl run gpt2 --inputs tokens-as-floats.npz",
        "attndsl run gpt2 --inputs tokens.npz",
        "situation",
    ),
    Code(
        "E0803",
        "an input, output or size is missing or unknown",
        "Every input that is not optional must be given, under its own name. `--size` gives lengths to the sizes "
        "that inputs bind; hyperparameters are `--set`.",
        "attndsl run gpt_nano --size width=64",
        "attndsl run gpt_nano --size T=8",
        "command",
    ),
    Code(
        "E0805",
        "a computation has no result",
        "An int divided by zero, an int to a negative power, the greatest of no elements.",
        "attndsl run counts.attn --inputs zeros.npz",
        "attndsl run counts.attn --inputs ones.npz",
        "situation",
    ),
    Code(
        "E0806",
        "the parameters do not fit into this machine's memory",
        "A spec of any size can be checked, inspected and drawn; running one takes room for its parameters.",
        "attndsl run gpt2 --set depth=1000000",
        "attndsl run gpt2 --set depth=2 --size B=1,T=4",
        "command",
    ),
    Code(
        "E0807",
        "the parameters given are not the model's",
        "A program takes exactly its parameters: every address, each with its shape, nothing else.",
        'program.load({"wte.weight": table})',
        'program.load({"wte.table": table, …})',
        "situation",
    ),
    Code(
        "E0808",
        "no value has this address",
        "`--dump` takes the address of a labelled value, with the index of the layer: `h.3.attn`. `attndsl inspect` "
        "shows the layers.",
        "attndsl run gpt_nano --size T=4 --dump h.3.atn",
        "attndsl run gpt_nano --size T=4 --dump h.3.attn",
        "command",
    ),
    Code(
        "E0810",
        "PyTorch is not installed, or cannot be loaded",
        "`pip install 'attndsl[torch]'` installs it. Checking, drawing, running and training do without, on NumPy.",
        "attndsl run gpt_nano --backend torch",
        "attndsl run gpt_nano --backend numpy",
        "situation",
    ),
    Code(
        "E0811",
        "there is no such device",
        "`cuda` needs an NVIDIA GPU and a build of PyTorch for it; `cpu` is always there. NumPy "
        "computes on the CPU only.",
        "attndsl train gpt_nano --data book.txt --device cuda",
        "attndsl train gpt_nano --data book.txt --device cpu",
        "situation",
    ),
    Code(
        "E0812",
        "a backend does not compute in this precision",
        "NumPy computes in float32 and float64, PyTorch also in bfloat16 and float16.",
        'NumpyProgram(graph, dtype="bfloat16")',
        'TorchProgram(graph, dtype="bfloat16")',
        "situation",
    ),
    Code(
        "E0814",
        "a device ran out of memory",
        "A shorter batch or sequence, a smaller variant or a coarser precision takes less; `attndsl inspect` says how "
        "much.",
        "attndsl run gpt2:xl --device cuda --size B=64,T=1024",
        "attndsl run gpt2:xl --device cuda --size B=1,T=1024 --dtype bfloat16",
        "situation",
    ),
    Code(
        "E0880",
        "there is no file of inputs",
        "`--inputs` takes an .npz file with an array for each input, by its name.",
        "attndsl run gpt_nano --inputs no-such-file.npz",
        "attndsl run gpt_nano --size B=1,T=4",
        "command",
    ),
    Code(
        "E0881",
        "a file of inputs cannot be read",
        'The file is no .npz file, or is damaged. `numpy.savez("in.npz", tokens=tokens)` writes one.',
        "attndsl run gpt2 --inputs tokens.txt",
        "attndsl run gpt2 --inputs tokens.npz",
        "situation",
    ),
    Code(
        "E0882",
        "a file of inputs holds Python objects",
        "Reading Python objects from a file can run any code, so it is not done. `array.astype(numpy.int64)` "
        "before saving makes numbers of them.",
        "attndsl run gpt2 --inputs objects.npz",
        "attndsl run gpt2 --inputs tokens.npz",
        "situation",
    ),
    Code(
        "E0883",
        "a file cannot be written there",
        "The folder does not exist, or the path is a folder itself. This is looked at before anything is computed.",
        "attndsl run gpt_nano --size B=1,T=4 -o no/such/folder/out.npz",
        "attndsl run gpt_nano --size B=1,T=4 -o out.npz",
        "command",
    ),
    Code(
        "E0890",
        "there is not enough memory",
        "`attndsl inspect SPEC --size B=…,T=…` says how much the parameters and activations of a model take.",
        "attndsl run gpt2:xl --size B=64,T=1024",
        "attndsl run gpt2:xl --size B=1,T=128",
        "situation",
    ),
)
