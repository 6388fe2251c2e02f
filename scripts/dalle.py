"""Digits from captions, and whether somebody else can read them: `python scripts/dalle.py`.

Trains `dvae:nano` on scikit-learn's digits with captions (`example:captions`), `dalle:nano` on the captions and the
autoencoder's codes, and, separately, a classifier (`vit:nano`) and `clip:nano` on the pictures. Then DALL-E draws
pictures for each of 150 captions (ten digits, thick, thin or neither, shifted or not, in words drawn anew), and the
classifier says which digit it sees: in pictures that were held out, in these as the autoencoder draws them again, in
the first picture drawn for each caption, and in the one of several that CLIP finds most like the caption (the paper's
way, section 2.6). The last ones are drawn into OUT/digits.png. A run that is there already is used again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import attndsl
from attndsl.data.examples.captions import FORMS, SHIFTS, STROKES, WORDS
from attndsl.data.table import read_table, split_table
from attndsl.storage.png import write_png

DATA = "example:captions"


def trained(spec: str, folder: Path, **settings: object) -> attndsl.TrainedModel:
    """The run in a folder, trained where it is not there."""
    if not (folder / "weights.safetensors").is_file():
        print(f"training {spec} into {folder}", flush=True)
        variant = attndsl.load(spec)
        variant.train(DATA, folder, {key.replace("__", "."): value for key, value in settings.items()}, quiet=True)
    found = attndsl.open_run(folder)
    print(f"{spec}: " + ", ".join(f"{name} {value:.4f}" for name, value in found.metrics.items() if value is not None))
    return found


def captions(seed: int) -> list[tuple[int, str]]:
    """A digit and a caption for each digit, stroke and shift."""
    draw = np.random.default_rng(seed)
    kinds = [(digit, stroke, shift) for digit in range(10) for stroke in STROKES for shift in SHIFTS]
    return [(digit, FORMS[draw.integers(len(FORMS))](digit, stroke, shift)) for digit, stroke, shift in kinds]


def read(reader: attndsl.TrainedModel, pictures: Sequence[np.ndarray], digits: Sequence[str]) -> np.ndarray:
    """Whether each picture is read as its digit."""
    return np.array([s[0].choices[0].name for s in reader.predict(list(pictures), top=1)]) == np.array(digits)


def best(clip: attndsl.TrainedModel, pictures: Sequence[np.ndarray], texts: Sequence[str]) -> list[np.ndarray]:
    """Of the pictures of each text, all of the first before all of the second, the one that is most like it."""
    seen, said = clip.embed(list(pictures)), clip.embed(list(texts))
    likeness = (seen.reshape(len(texts), -1, seen.shape[-1]) * said[:, None]).sum(-1)
    each = len(pictures) // len(texts)
    return [pictures[row * each + int(place)] for row, place in enumerate(likeness.argmax(1))]


def sheet(pictures: Sequence[np.ndarray], across: int) -> np.ndarray:
    """All pictures in rows of `across`, each pixel as four by four, with a gap between them."""
    large = [np.pad(picture.repeat(4, 1).repeat(4, 2), ((0, 0), (2, 2), (2, 2))) for picture in pictures]
    return np.concatenate([np.concatenate(large[i : i + across], 2) for i in range(0, len(large), across)], 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/pictures"), help="the folder of the four runs")
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--candidates", type=int, default=8, help="pictures for each caption, of which CLIP chooses")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dvae = trained("dvae:nano", options.out / "dvae")
    dalle = trained("dalle:nano", options.out / "dalle", batches__codebook=str(dvae.folder))
    reader = trained("vit:nano", options.out / "vit", steps=3000)
    clip = trained("clip:nano", options.out / "clip")

    _, held = split_table(read_table(DATA, ("image", "label")), dvae.run.recipe.held_out)
    shown, names = list(held.images("image")), [str(name) for name in held.columns["label"]]
    asked = captions(options.seed)
    texts, digits = [text for _, text in asked], [WORDS[digit] for digit, _ in asked]
    several = [text for text in texts for _ in range(options.candidates)]
    drawn = dalle.generate(several, temperature=options.temperature, seed=options.seed)
    chosen = best(clip, drawn, texts)
    right = read(reader, chosen, digits)
    for what, found in (
        ("pictures that were held out", read(reader, shown, names)),
        ("these, drawn again by the autoencoder", read(reader, dvae.generate(shown), names)),
        ("drawn from captions", read(reader, drawn[:: options.candidates], digits)),
        (f"the best of {options.candidates} by CLIP", right),
    ):
        print(f"{what}: {100 * found.mean():.1f} % of {len(found)} are read as their digit")
    for word in WORDS:
        own = right[np.array(digits) == word]
        print(f"  {word:6} {own.sum():3} of {len(own)}")
    write_png(options.out / "digits.png", sheet(chosen, len(chosen) // 10))
    return 0


if __name__ == "__main__":
    sys.exit(main())
