"""List the specs that come with attndsl, their variants, and what each is.

Every name in the list is a SPEC for the other verbs: `gpt2`, `gpt2:medium`. Of many variants the first are listed,
and a long description is cut; `attndsl show SPEC` and `--json` have all.
"""

from __future__ import annotations

from textwrap import shorten
from typing import Any

from attndsl.cli.arguments import Parser, add_json

SCHEMA = "attndsl.list/1"
MOST = 11  # variants in a line
LONGEST = 180  # characters of a description


def configure(parser: Parser) -> None:
    add_json(parser)


def run(args: Any) -> int:
    from attndsl.elaborate import open_spec, shipped

    entries: list[dict[str, Any]] = []
    for name in shipped():
        spec = open_spec(name)
        doc = (spec.model.doc or spec.file.doc or "").strip()
        entries.append({"spec": name, "variants": [variant.name.text for variant in spec.variants], "doc": doc})
    if args.json:
        import json

        print(json.dumps({"schema": SCHEMA, "specs": entries}, indent=2, ensure_ascii=False))
        return 0
    width = max((len(entry["spec"]) for entry in entries), default=0)
    for entry in entries:
        print(f"{entry['spec']:<{width}}  {_first_sentence(entry['doc'])}".rstrip())
        if entry["variants"]:
            print(f"{'':<{width}}    variants: {_shown(entry['spec'], entry['variants'])}")
    return 0


def _shown(spec: str, variants: list[str]) -> str:
    if len(variants) <= MOST:
        return ", ".join(variants)
    return f"{', '.join(variants[:MOST])} … and {len(variants) - MOST} more: attndsl show {spec}"


def _first_sentence(text: str) -> str:
    return shorten(" ".join(text.split()).split(". ")[0].rstrip("."), LONGEST, placeholder=" …")
