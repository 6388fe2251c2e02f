"""Write text with a trained model, as it comes.

--prompt gives the beginning (`--prompt -` reads it from stdin). --temperature 0 takes the most likely token each time;
the same seed gives the same text. The prompt is read once, and then each token by itself; where a model does not allow
that, the reason is reported on stderr.

So is what happens past the model's context. Where positions count by their distances alone (rotations, biases by
distance, none at all), it slides along the text: each token sees the last ones, as many as the context has, and nothing
is read again. Else, each time that the context is full, the older half of what it holds is dropped, and the other is
read again.

Several prompts (--prompt again and again, or --data with one on each line) are read as one batch, and each text is
printed when all are finished: a text from --data in one line. Prompts may be of different lengths; nothing is padded,
and each text draws from random numbers of its own.

A smaller model with the same tokenizer may draft what comes next (--draft RUN): the model reads several drafted tokens
in one pass, and takes those that it would have chosen by itself. The text is the same with a draft and without, also
where it is sampled, and how many passes it took is reported on stderr.

A model that turns one text into another (sequence to sequence, denoising, span corruption) is given its source with
--prompt, or many with --data, a line for each, and its answers are printed: the most likely token each time, unless
--temperature or --beams says otherwise.

A model of pictures draws one into -o FILE.png: from a caption (--prompt "a thick seven"), or, an autoencoder, from the
picture that it is given with --image.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, Usage, add_backend, add_output, add_seed, natural, path, positive
from attndsl.cli.using import add_model, open_model

if TYPE_CHECKING:
    from attndsl.generation import Run
    from attndsl.generation.generate import Options


def configure(parser: Parser) -> None:
    add_model(parser)
    parser.add_argument(
        "--prompt",
        "--source",
        metavar="TEXT",
        action="append",
        default=[],
        help="the beginning of the text, or the source text; - reads from stdin (may be repeated)",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        type=path,
        help="a file of prompts or sources: one per line, or a table (.jsonl, .csv, .tsv)",
    )
    parser.add_argument("--image", metavar="FILE", type=path, help="a picture, for a model that draws it again")
    add_output(parser, "where a model of pictures draws: FILE.png")
    parser.add_argument(
        "--tokens", type=natural, default=256, metavar="N", help="how many tokens to generate (default: 256)"
    )
    parser.add_argument(
        "--temperature", type=_number, metavar="X", help="0 picks the most likely token (default: 1; with a source 0)"
    )
    parser.add_argument("--top-k", type=positive, metavar="K", help="sample from the K most likely tokens")
    parser.add_argument(
        "--top-p", type=_number, metavar="P", help="sample from the most likely tokens whose probabilities add up to P"
    )
    parser.add_argument("--beams", type=positive, metavar="N", help="with a source: beam search of this width")
    parser.add_argument(
        "--length-penalty",
        type=_number,
        metavar="A",
        help="the length penalty of --beams; 0 ranks by probability alone (default: 0.6)",
    )
    parser.add_argument(
        "--cache",
        choices=("on", "off"),
        default="on",
        help="off: read the whole text again for each token, instead of the new one alone (default: on)",
    )
    parser.add_argument(
        "--draft", metavar="RUN", type=path, help="a smaller model with the same tokenizer, to need fewer passes of RUN"
    )
    add_seed(parser)
    add_backend(parser, default="the one that the run was trained with")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number") from None


def run(args: Any) -> int:
    from attndsl.generation.fits import answers, draws

    trained = open_model(args)
    args.prompt = [_typed(text) for text in args.prompt]
    if args.prompt and args.data is not None:
        raise Usage("`--prompt` and `--data` are given, and one of them is enough", "leave the other out")
    if draws(trained):
        return _draws(trained, args)
    for name, option in (("image", "--image"), ("output", "-o")):
        if getattr(args, name) is not None:
            raise Usage(f"`{option}` is for a model that draws pictures, and this one writes text", "leave it out")
    if answers(trained):
        return _answers(trained, args)
    for name in ("beams", "length_penalty"):
        if getattr(args, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise Usage(f"`{option}` is for a model that turns one text into another, and this one continues a text")
    return _goes_on(trained, args)


def _typed(text: str) -> str:
    """A prompt from the command line, or where that is `-`, all of stdin."""
    return text if text != "-" else sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


def _goes_on(trained: Run, args: Any) -> int:
    from attndsl.generation import generate_each, load_run
    from attndsl.generation.examples import read_examples

    notes: list[str] = []
    options: Options = {
        "temperature": 1.0 if args.temperature is None else args.temperature,
        "top_k": args.top_k,
        "top_p": args.top_p,
        "seed": args.seed,
        "backend": args.backend,
        "device": args.device,
        "cache": args.cache == "on",
        "draft": load_run(args.draft) if args.draft is not None else None,
        "say": notes.append,
    }
    prompts = args.prompt if args.data is None else read_examples(trained, args.data)
    if len(prompts) <= 1 and args.data is None:
        return _streams(trained, "".join(prompts), args.tokens, notes, options)
    for prompt, text in zip(prompts, generate_each(trained, prompts, args.tokens, **options), strict=True):
        whole = prompt + text
        _write((" ".join(whole.split("\n")) if args.data is not None else whole.removesuffix("\n")) + "\n")
    _tell(notes)
    return 0


def _streams(trained: Run, prompt: str, tokens: int, notes: list[str], options: Options) -> int:
    """Print a prompt, and what follows it as it comes."""
    from attndsl.generation import generate

    pieces = generate(trained, prompt, tokens, **options)
    _tell(notes)
    _write(prompt)
    last = prompt
    try:
        for piece in pieces:
            _write(piece)
            last = piece
    finally:  # what is said of a failure begins a line
        if not last.endswith("\n"):
            _write("\n")
    _tell(notes)
    return 0


def _draws(trained: Run, args: Any) -> int:
    from pathlib import Path

    from attndsl.cli.paths import checked
    from attndsl.decoding.sampling import Sampling
    from attndsl.generation.draw import draw
    from attndsl.generation.examples import pictures, takes_pictures
    from attndsl.storage.png import write_png

    for name in ("data", "beams", "length_penalty", "draft"):
        if getattr(args, name) is not None:
            raise Usage(f"`--{name.replace('_', '-')}` is for a model that writes text, and this one draws pictures")
    if args.output is None:
        raise Usage("this model draws a picture", "say where to: `-o picture.png`")
    checked(args.output)
    seen, other = ("image", "prompt") if takes_pictures(trained) else ("prompt", "image")
    if not getattr(args, seen) or getattr(args, other) or len(args.prompt) > 1:
        what = "--image FILE" if seen == "image" else '--prompt "a thick seven"'
        raise Usage(f"this model draws from a {'picture' if seen == 'image' else 'caption'}", f"give it one: `{what}`")
    examples = list(pictures(trained, [args.image])) if seen == "image" else [args.prompt[0].removesuffix("\n")]
    if len(examples) != 1:
        raise Usage(f"`{args.image}` has {len(examples)} pictures, and one is drawn", "give a file with one")
    temperature = 1.0 if args.temperature is None else args.temperature
    sampling = Sampling(temperature, args.top_k, args.top_p, args.seed)
    (picture,) = draw(trained, examples, sampling, backend=args.backend, device=args.device)
    write_png(Path(args.output), picture)
    print(f"wrote {args.output}")
    return 0


def _answers(trained: Run, args: Any) -> int:
    from attndsl.decoding.sampling import Sampling
    from attndsl.decoding.sequences import Beam
    from attndsl.generation.examples import read_examples
    from attndsl.generation.respond import respond

    drawn = [name for name in ("temperature", "top_k", "top_p") if getattr(args, name) is not None]
    if args.beams is not None and drawn:
        raise Usage(f"`--beams` searches, and `--{drawn[0].replace('_', '-')}` samples", "give one of the two")
    if args.length_penalty is not None and args.beams is None:
        raise Usage("`--length-penalty` belongs to beam search", "give `--beams` too, for example `--beams 4`")
    if args.draft is not None:
        raise Usage("`--draft` is for a model that continues a text, and this one answers", "leave it out")
    if not args.prompt and args.data is None:
        raise Usage("this model turns one text into another", 'give the source: `--prompt "…"`, or many: `--data FILE`')
    temperature = args.temperature if args.temperature is not None else 1.0 if drawn else 0.0
    sampling = Sampling(temperature, args.top_k, args.top_p, args.seed)
    alpha = 0.6 if args.length_penalty is None else args.length_penalty
    beam = Beam(args.beams, alpha) if args.beams is not None else None
    sources = (
        read_examples(trained, args.data) if args.data is not None else [p.removesuffix("\n") for p in args.prompt]
    )
    notes: list[str] = []
    options = {"backend": args.backend, "device": args.device, "cache": args.cache == "on", "say": notes.append}
    answers = respond(trained, sources, args.tokens, beam=beam, sampling=sampling, **options)
    _tell(notes)
    for answer in answers:
        _write((" ".join(answer.split("\n")) if args.data is not None else answer) + "\n")
    return 0


def _tell(notes: list[str]) -> None:
    """Say on stderr what there is to say: before the text or after it, never in the middle of a line."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    notes.clear()


def _write(text: str) -> None:
    if sys.stdout.isatty():  # a model may say anything, and shall not move the cursor
        text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    sys.stdout.write(text)
    sys.stdout.flush()
