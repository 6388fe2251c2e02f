"""Take the picture of docs/watch.md: `python scripts/watch_picture.py` (needs Graphviz and Chromium)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from attndsl.model_page import FollowedSpec, standalone

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "watch.png"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(standalone(FollowedSpec("gpt2").now, expand=("h.attn",)), encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--window-size=1280,860"]
        words = ["chromium", *options, f"--screenshot={PICTURE}", f"{page.as_uri()}#h.*.attn"]
        subprocess.run(words, check=True, capture_output=True)
    print(f"took {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
