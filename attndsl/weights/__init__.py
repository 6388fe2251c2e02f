"""Published weights and our own: a two-way, checked, complete mapping, and the files on both sides of it.

Given a `weights` section and a folder as others publish it; gives hyperparameters and parameters by address, and the
other way round. Importing this loads neither NumPy nor PyTorch; `check_section` and `config_settings` need neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.weights.adapting import Adapted, adapt_arrays, adapt_weights
    from attndsl.weights.check import check_section
    from attndsl.weights.config import config_settings
    from attndsl.weights.loading import check_arrays, load_weights, open_weights
    from attndsl.weights.saving import check_replaceable, export_huggingface, save_shards, save_weights
    from attndsl.weights.settings import settings_for

__all__ = [
    "Adapted",
    "adapt_arrays",
    "adapt_weights",
    "check_arrays",
    "check_replaceable",
    "check_section",
    "config_settings",
    "export_huggingface",
    "load_weights",
    "open_weights",
    "save_shards",
    "save_weights",
    "settings_for",
]

# Checking a section needs a third of this.
__getattr__, __dir__ = lazily(__name__)
