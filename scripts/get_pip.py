"""Install pip into the running environment from the package index, with nothing but the standard library.

For machines whose Python comes without `ensurepip`. The file is checked against the digest that the index gives.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

INDEX = "https://pypi.org/pypi/pip/json"


def main() -> int:
    with urllib.request.urlopen(INDEX, timeout=60) as answer:
        files, index = json.load(answer)["urls"], answer.url
    wheel = next(file for file in files if file["packagetype"] == "bdist_wheel")
    # A mirror of the index may give places relative to itself.
    with urllib.request.urlopen(urllib.parse.urljoin(index, wheel["url"]), timeout=120) as answer:
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != wheel["digests"]["sha256"]:
        print(f"{wheel['filename']} is not what the package index says it is", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, wheel["filename"])
        path.write_bytes(content)
        # A wheel is a zip file that Python can run from: pip installs itself.
        return subprocess.run([sys.executable, path / "pip", "install", "--quiet", "--no-index", path]).returncode


if __name__ == "__main__":
    sys.exit(main())
