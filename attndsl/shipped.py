"""Where what came with attndsl lies: the grammar, the specs, the pages of the errors, in folders beside the code.

`importlib.resources` would say the same, and take a tenth of the time of `attndsl check` for it.
"""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent
