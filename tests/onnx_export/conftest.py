"""These tests run models in ONNX Runtime, and are skipped where it is not installed."""

import importlib.util

MISSING = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
collect_ignore_glob = ["test_*.py"] if MISSING else []
