# Short names for what the scripts do; the scripts need no make.
.PHONY: setup demo test check clean

setup:  ; ./scripts/setup dev
demo:   ; ./scripts/demo
test:   ; ./scripts/test
check:  ; ./scripts/setup dev && .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
clean:  ; rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis demo
