"""What `attndsl check` says of a `weights` section."""

from __future__ import annotations

import pytest

from attndsl.diagnostics import Diagnostic
from attndsl.weights import check_section
from attndsl.weights.mapping import WeightMap
from tests.costs import less_than
from tests.weights.models import GPT2, SMALL, gpt2_graph, graph_of, parameter, section_of


def check(text: str, **settings: object) -> list[Diagnostic]:
    return check_section(section_of(text), gpt2_graph(**settings))


def test_the_section_of_gpt2_is_complete() -> None:
    assert check(GPT2) == []


WRONG = [
    # what is written instead of what, the code, the text underlined, a part of the message or help
    ("<-> ln_f.scale", "<-> ln_f.scael", "E0620", "ln_f.scael", "ln_f.scale"),
    ("<-> ln_f.scale", "<-> ln_f.shift", "E0621", "ln_f.shift", "mapped twice"),
    ('  "ln_f.weight" <-> ln_f.scale\n', "", "E0622", "GPT2", "`ln_f.scale` is not filled"),
    ("<-> h[i].ln_1.scale", "<- h[i].ln_1.scale", "E0622", "GPT2", "`h[i].ln_1.scale` is not written"),
    ("<-> h[i].ln_1.scale", "-> h[i].ln_1.scale", "E0622", "GPT2", "`h[i].ln_1.scale` is not filled"),
    ('"h.{i}.ln_1.bias" <-> h[i]', '"h.{i}.ln_1.bias" <-> h[i+1]', "E0623", None, "leaves out i = 0"),
    ('"h.{i}.ln_1.bias" <-> h[i]', '"h.{i}.ln_1.bias" <-> h[2*i]', "E0623", None, "leaves out i = 1"),
    ('"h.{i}.ln_1.bias" <-> h[i]', '"h.0.ln_1.bias" <-> h[0]', "E0623", None, "leaves out i = 1"),
    ('"wpe.weight": [context, width]', '"wpe.weight"', "E0624", '"wpe.weight"', "state the order"),
    ('"h.{i}.attn.c_proj.weight": [in,', '"h.{i}.attn.c_proj.weight": [width,', "E0624", "width", "`in` or `out`"),
    ("<-> h[i].attn.out.bias", "<-> tanh(h[i].attn.out.bias)", "E0625", "tanh(h[i].attn.out.bias)", "no inverse"),
    ('"h.{i}.ln_1.bias"', '"h.{j}.ln_1.bias"', "E0626", "h[i].ln_1.shift", "{i}"),
    ('"h.{i}.ln_1.bias"', '"h.{i.ln_1.bias"', "E0626", '"h.{i.ln_1.bias"', "partner"),
    ("width = n_embd,", "widht = n_embd,", "E0627", "widht", "width"),
    ("heads = n_head\n", "heads = n_head, heads = n_head\n", "E0627", "heads", "twice"),
    (", heads = n_head", "", "E0627", 'require model_type == "gpt2"', "`heads`"),
    ("width = n_embd,", "width = n_embd * n_embd,", "E0628", "n_embd * n_embd", "cannot be solved"),
    ("width = n_embd,", "width = f(n_embd),", "E0404", "f", "not a function"),
    ('"ln_f.bias" <->', '"ln_f.weight" <->', "E0629", '"ln_f.weight"', "mapped twice"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "code", "at", "says"), WRONG)
def test_one_mistake_gives_one_error_where_it_is(old: str, new: str, code: str, at: str | None, says: str) -> None:
    assert GPT2.count(old) == 1
    (found,) = check(GPT2.replace(old, new))
    assert found.code == code
    assert found.primary is not None
    assert at is None or found.primary.span.text == at
    assert says in " ".join([found.message, found.primary.text, *found.notes, *found.helps])


def test_several_mistakes_give_several_errors() -> None:
    text = (
        GPT2.replace("<-> ln_f.scale", "<-> ln_f.scael").replace("wpe.table", "wpe.tabel").replace("width =", "widht =")
    )
    assert [d.code for d in check(text)] == ["E0627", "E0620", "E0620"]


def test_many_parameters_left_out_give_a_handful_of_errors() -> None:
    found = check('weights GPT2 from x {\n  "wte": [vocab, width] <-> wte.table\n}\n')
    assert [d.code for d in found] == ["E0622"] * 5
    assert "and 14 more like this" in found[-1].notes[-1]


def test_checking_costs_the_same_at_any_depth() -> None:
    section = section_of(GPT2)
    with less_than(1):
        assert check_section(section, gpt2_graph(depth=10**9)) == []
        odd = section_of(GPT2.replace('"h.{i}.ln_1.bias" <-> h[i]', '"h.{i}.ln_1.bias" <-> h[2*i]'))
        assert [d.code for d in check_section(odd, gpt2_graph(depth=10**9))] == ["E0623"]


def test_layers_of_two_kinds_are_mapped_by_index_arithmetic() -> None:
    graph = graph_of(
        "M", {**SMALL, "depth": 6},
        parameter("h.*.a", "width", layers=((0, 2, 4),)),
        parameter("h.*.b", "width", layers=((1, 3, 5),)),
        parameter("h.*.e.*.w", "width", layers=(range(6), range(3))),
    )  # fmt: skip
    text = """weights M from x {
      "even.{i}" <-> h[2*i].a
      "odd.{2*i+1}" <-> h[2*i+1].b
      "group.{i//2}.{i%2}.{j}" <-> h[i].e[j].w
    }
    """
    section = section_of(text)
    assert check_section(section, graph) == []
    names = {item.name: [a for a, _ in item.form.leaves()] for item in WeightMap(section, graph).items()}
    assert names["even.2"] == ["h.4.a"]
    assert names["odd.5"] == ["h.5.b"]
    assert names["group.2.1.0"] == ["h.5.e.0.w"]
    assert len(names) == 3 + 3 + 18
    (found,) = check_section(section_of(text.replace("h[2*i+1].b", "h[2*i].b")), graph)
    assert found.code == "E0623"
    assert found.primary is not None
    assert "i = 1, 3, 5" in found.primary.text
