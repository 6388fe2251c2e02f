"""The table of machines, and files that extend it."""

from __future__ import annotations

import tomllib

import pytest

from attndsl.diagnostics import AttnError
from attndsl.planning import machine
from attndsl.planning.machines import TABLE


def entry(name: str, **changed: object) -> str:
    text = TABLE.read_text(encoding="utf-8")
    start = text.index("[h100x8]")
    lines = text[start : text.index("\n[", start)].splitlines()
    found = {line.split(" = ")[0]: line for line in lines[1:] if " = " in line}
    found |= {key: f"{key} = {value}" for key, value in changed.items()}
    return "\n".join([f"[{name}]", *(line for key, line in found.items() if changed.get(key, "") is not None)]) + "\n"


def reached(beside: str) -> str:
    return f"{{ products = 0.8, memory = 0.8, link = 0.6, network = 0.9, beside = {beside} }}"


def test_all_machines_say_where_their_figures_are_from():
    names = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    assert len(names) >= 4
    for name in names:
        found = machine(name)
        assert found.about
        assert "https://" in found.source
        assert all(0 <= share <= 1 for share in (*found.reached.values(), *found.attention.values()))


def test_a_file_extends_the_table(tmp_path):
    file = tmp_path / "my.toml"
    file.write_text(entry("ours", memory="40e9"))
    found = machine(f"{file}:ours")
    assert (found.name, found.memory) == ("ours", 40e9)
    assert machine(str(file)) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (entry("ours", bandwidth=None), "the machine `ours` lacks `bandwidth`"),
        (entry("ours", bandwidth="-1.0"), "the machine `ours` needs a positive number for `bandwidth`, not -1.0"),
        (entry("ours", devices="2.5"), "the machine `ours` needs a positive number for `devices`, not 2.5"),
        (entry("ours", memory="inf"), "the machine `ours` needs a positive number for `memory`, not inf"),
        (entry("ours", network="nan"), "the machine `ours` needs a positive number for `network`, not nan"),
        (entry("ours", devices="true"), "the machine `ours` needs a positive number for `devices`, not True"),
        (entry("ours", reached=reached("-5")), "`ours` needs a non-negative number for `reached.beside`, not -5"),
        (entry("ours", reached=reached("'x'")), "`ours` needs a non-negative number for `reached.beside`, not 'x'"),
        (
            entry("ours", reached=reached("0").replace("0.6", "65")),
            "a positive number of at most 1 for `reached.link`, not 65",
        ),
        (entry("ours", attention="{ flash3 = 1.5 }"), "a positive number of at most 1 for `attention.flash3`, not 1.5"),
        (entry("ours", bandwith="1.0"), "the machine `ours` has no `bandwith`"),
        (entry("ours", latency="{ inside = 1e-6 }"), "the machine `ours` needs inside and between in `latency`"),
        (entry("ours", flops="1e12"), "the machine `ours` needs bf16 in `flops`"),
        ("ours = 1\n", "the machine `ours` is not a table"),
        ("", "describes no machine"),
        ("[ours\n", "is not TOML"),
    ],
)
def test_a_file_that_describes_no_machine_is_refused(tmp_path, text, said):
    file = tmp_path / "my.toml"
    file.write_text(text)
    with pytest.raises(AttnError, match=r"E0952") as caught:
        machine(f"{file}:ours")
    assert said in str(caught.value)


def test_a_machine_of_which_nothing_is_said(attndsl, tmp_path):
    file = tmp_path / "my.toml"
    file.write_text(entry("ours", about=None))
    done = attndsl("inspect", "gpt2", "--machine", str(file))
    assert done.out.startswith("GPT2 on 8 devices of ours\n\nplan ")


def test_a_machine_that_is_not_there():
    with pytest.raises(AttnError, match=r"E0951.*`h101x8`") as caught:
        machine("h101x8")
    assert "did you mean `h100x8`?" in str(caught.value)
    with pytest.raises(AttnError, match=r"E0952"):
        machine("nowhere.toml:ours")
