"""Digits from captions, and whether somebody else can read them: `python scripts/dalle.py`.

Trains `dvae:nano` on scikit-learn's digits with captions (`example:captions`), `dalle:nano` on the captions and the
autoencoder's codes, and, separately, a classifier (`vit:nano`) on the pictures. Then DALL-E draws a picture for each of
150 captions (ten digits, thick, thin or neither, shifted or not, in words drawn anew), and the classifier says which
digit it sees. Prints how often that is the digit of the caption, and draws all pictures into OUT/digits.png. A run that
is there already is used again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import attndsl
from attndsl.data.examples.captions import FORMS, SHIFTS, STROKES, WORDS
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


def sheet(pictures: list[np.ndarray], across: int) -> np.ndarray:
    """All pictures in rows of `across`, each pixel as four by four, with a gap between them."""
    large = [np.pad(picture.repeat(4, 1).repeat(4, 2), ((0, 0), (2, 2), (2, 2))) for picture in pictures]
    return np.concatenate([np.concatenate(large[i : i + across], 2) for i in range(0, len(large), across)], 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/dalle"), help="the folder of the three runs")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dvae = trained("dvae:nano", options.out / "dvae")
    dalle = trained("dalle:nano", options.out / "dalle", batches__codebook=str(dvae.folder))
    reader = trained("vit:nano", options.out / "vit", steps=3000)
    asked = captions(options.seed)
    pictures = dalle.generate([text for _, text in asked], temperature=options.temperature, seed=options.seed)
    seen = [said[0].choices[0].name for said in reader.predict(pictures, top=1)]
    right = [WORDS[digit] == name for (digit, _), name in zip(asked, seen, strict=True)]
    for digit, word in enumerate(WORDS):
        own = [yes for (each, _), yes in zip(asked, right, strict=True) if each == digit]
        print(f"{word:6} {sum(own):3} of {len(own)}")
    write_png(options.out / "digits.png", sheet(pictures, len(asked) // 10))
    print(f"read as the digit of the caption: {100 * np.mean(right):.1f} % of {len(right)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
