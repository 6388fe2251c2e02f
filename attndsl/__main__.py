"""`python -m attndsl` is the `attndsl` command."""

from __future__ import annotations

import sys

from attndsl.cli import main

if __name__ == "__main__":
    sys.exit(main())
