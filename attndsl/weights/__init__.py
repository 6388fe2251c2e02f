"""Published weights and our own: a two-way, checked, complete mapping, and the files on both sides of it.

Importing this loads neither NumPy nor PyTorch; `check_section` and `config_settings` need neither.
"""

from attndsl.weights.adapting import Adapted, adapt_arrays, adapt_weights
from attndsl.weights.check import check_section
from attndsl.weights.config import config_settings
from attndsl.weights.loading import check_arrays, load_weights
from attndsl.weights.saving import check_replaceable, export_huggingface, save_weights
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
    "save_weights",
    "settings_for",
]
