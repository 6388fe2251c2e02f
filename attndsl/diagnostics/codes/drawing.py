"""E09xx: inspecting and drawing."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

ENTRIES = (
    Code(
        "E0901",
        "drawing needs Graphviz",
        "`dot` lays diagrams out: `apt install graphviz`, `brew install graphviz`. For SVG, `pip install "
        "attndsl[draw]` brings one along; .dot files need neither.",
        "attndsl render gpt2 -o gpt2.pdf",
        "attndsl render gpt2 -o gpt2.dot",
        "situation",
    ),
    Code(
        "E0902",
        "a diagram cannot be written in this format",
        "The ending of the file says the format: .svg, .png, .pdf or .dot.",
        "attndsl render gpt2 -o gpt2.jpg",
        "attndsl render gpt2 -o gpt2.dot",
        "command",
    ),
    Code(
        "E0903",
        "there is no such layer to open",
        "Layers go by their addresses, with or without an index: `h.attn`, `h.3.attn`. `attndsl inspect` shows them.",
        "attndsl render gpt2 -o gpt2.dot --expand h.atn",
        "attndsl render gpt2 -o gpt2.dot --expand h.attn",
        "command",
    ),
    Code(
        "E0904",
        "the depth of a diagram is negative",
        "A depth of 0 opens nothing, 1 the outermost layers, and so on.",
        'attndsl.drawing.render(graph, "gpt2.svg", depth=-1)',
        'attndsl.drawing.render(graph, "gpt2.svg", depth=1)',
        "situation",
    ),
    Code(
        "E0905",
        "a diagram cannot be written there",
        "The folder does not exist, or may not be written to.",
        "attndsl render gpt2 -o no/such/folder/gpt2.dot",
        "attndsl render gpt2 -o gpt2.dot",
        "command",
    ),
    Code(
        "E0906",
        "Graphviz could not draw a diagram",
        "What it said is quoted. A smaller picture, with `--depth 1`, or another Graphviz may do.",
        "attndsl render gpt2 -o gpt2.svg",
        "attndsl render gpt2 -o gpt2.svg --depth 1",
        "situation",
    ),
    Code(
        "E0911",
        "a length is less than 1",
        "Shapes, operations and memory are counted for at least one element along every axis.",
        "attndsl inspect gpt2 --size B=0",
        "attndsl inspect gpt2 --size B=1",
        "command",
    ),
    Code(
        "E0912",
        "no length satisfies the constraints",
        "No small length was found that every `where` and `require` of the spec allows: give one with `--size`.",
        "attndsl inspect odd.attn",
        "attndsl inspect odd.attn --size T=1001",
        "situation",
    ),
)
