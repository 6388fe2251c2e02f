"""Whether a text means the same with a new name, seen from its names alone: where the new one is nowhere yet, and the
old one nowhere left that could have meant the same, nothing can be taken for anything else.

That is decided by words, and says no where it does not know: strings, names that a call is given through a variable,
axes that a block finds in what it is given. Then the text with the new name has to be checked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from attndsl.diagnostics import Span
from attndsl.editing.recipes import described, kind_named
from attndsl.editing.things import axis_names, binders, callees
from attndsl.editing.workspace import Analysis
from attndsl.elaborate import primitives
from attndsl.elaborate.files import specs_folder
from attndsl.graph import Value
from attndsl.lints.names import MEANT
from attndsl.recipe.recipe import LENGTH_FROM
from attndsl.recipe.settings import SETTINGS
from attndsl.records import Frozen
from attndsl.syntax import tree
from attndsl.syntax.tables import tables

_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|#[^\n]*|///[^\n]*')
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


class Substitution(Frozen, eq=False):
    """`old` becomes `new` at these places; `owner` is the declaration that it is declared in, at `defined`."""

    analysis: Analysis
    owner: tree.Declaration
    defined: Span
    old: str
    new: str
    places: Sequence[Span]

    def keeps_the_meaning(self) -> bool:
        """Whether the text surely says the same afterwards; False where that is not known."""
        if self.analysis.scope is None or any(not each.is_warning for each in self.analysis.diagnostics):
            return False
        if self.old.startswith(MEANT) or self.new.startswith(MEANT) or _is_of_the_language(self.new):
            return False
        if _part(self.new).search(self.analysis.text) or not _is_silent(self.analysis, self.old):
            return False
        inside = self._is_seen_inside_alone()
        said = (each for each in self.analysis.file.declarations if self.old in each.span.text)
        return self._is_known_to_all() and all(self._is_done(it) for it in said if it is self.owner or not inside)

    def _is_done(self, declaration: tree.Declaration) -> bool:
        """Whether nothing of a declaration that says `old` can have meant what is renamed, beside what was changed."""
        span = declaration.span.in_file
        changed = {place.start for place in self.places if span.start <= place.start < span.end}
        left = re.findall(r"\w+", _said(declaration)).count(self.old) - len(changed)
        own = self._own_names(declaration)
        if not _made_of(self.old, declaration) <= own:
            return False
        if not left:
            return True

        def unchanged(name: tree.Identifier | None) -> bool:
            return name is not None and name.text == self.old and name.span.in_file.start not in changed

        is_of_owner = isinstance(declaration, tree.Section) and self.owner is self._model(declaration)
        if left == sum(map(unchanged, _given(declaration))) and not is_of_owner:
            return True  # parameters of what is called
        if declaration is self.owner or self._names_it() or self.old not in own:
            return False
        return not any(isinstance(node, tree.Attribute) and unchanged(node.name) for node in tree.walk(declaration))

    def _is_seen_inside_alone(self) -> bool:
        """Whether it is a tensor, neither an axis nor a layer: nothing outside of its declaration speaks of it."""
        if self._names_it() or isinstance(self.owner, tree.Model):
            return False
        if any(self.old == name.text for node in tree.walk(self.owner) for name in _made_under(node)):
            return False
        found = self.analysis.model_of(self.owner)
        value = found.recorder.values.get(self.defined) if found is not None else None
        return isinstance(value, Value)

    def _model(self, section: tree.Section) -> tree.Model | None:
        scope = self.analysis.scope
        named: tree.Identifier = getattr(section, "model")  # noqa: B009
        return scope.models.get(named.text) if scope is not None else None

    def _own_names(self, declaration: tree.Declaration) -> set[str]:
        """The names that are a declaration's own: what it binds; in a section the hyperparameters of its model."""
        if not isinstance(declaration, tree.Section):
            return {name.text for name in binders(declaration)} | {name.text for name in axis_names(declaration)}
        model = self._model(declaration)
        return {p.name.text for p in model.hyperparameters} if model is not None and model is not self.owner else set()

    def _names_it(self) -> bool:
        """Whether it is the declaration itself that is renamed."""
        name: tree.Identifier | None = getattr(self.owner, "name", None)
        return name is not None and name.span == self.defined

    def _is_known_to_all(self) -> bool:
        """Whether all that may give an argument of this name is seen: a parameter of a block that no variable holds."""
        parameters = self.owner.parameters if isinstance(self.owner, (tree.Block, tree.IndexFunction)) else ()
        if not any(parameter.name.span == self.defined for parameter in parameters):
            return True
        block = getattr(self.owner, "name").text  # noqa: B009
        held = unknown = False
        for declaration in self.analysis.file.declarations:
            text = declaration.span.text
            if block not in text and self.old not in text:
                continue
            called = {id(node) for node in callees(declaration)}
            own = {name.text for name in binders(declaration)}
            for node in tree.walk(declaration):
                if isinstance(node, tree.Name) and node.text == block and id(node) not in called:
                    held = True
                elif isinstance(node, tree.Call) and any(a.name and a.name.text == self.old for a in node.arguments):
                    unknown = unknown or not isinstance(node.callee, tree.Name) or node.callee.text in own
        given = re.compile(rf"[(,]\s*{self.old}\s*=(?!=)")
        return not unknown and not (held and given.search(_library_text()))


def _made_under(node: tree.Tree) -> tuple[tree.Identifier, ...]:
    """The name under which something is made that has an address."""
    if isinstance(node, tree.Labelled):
        return (node.label,)
    makers = (tree.LayerDecl, tree.ParamDecl, tree.StateDecl, tree.Scope, tree.Repeat, tree.Scan)
    return (node.name,) if isinstance(node, makers) else ()


def _given(declaration: tree.Declaration) -> list[tree.Identifier | None]:
    """The names that are given values: of the parameters of what is called, of hyperparameters in a variant."""
    if isinstance(declaration, tree.Variant):
        return [setting.name for setting in declaration.settings]
    return [each.name for node in tree.walk(declaration) if isinstance(node, tree.Call) for each in node.arguments]


def _said(declaration: tree.Declaration) -> str:
    """The text of a declaration without comments; of the published names in a `weights` section what is in braces."""
    text = _COMMENT.sub(lambda found: found[1] or "", declaration.span.text)
    if isinstance(declaration, (tree.Weights, tree.Maps)):
        return _STRING.sub(lambda found: " ".join(re.findall(r"\{([^}]*)\}", found[0])), text)
    return text


def _made_of(word: str, declaration: tree.Declaration) -> set[str]:
    """The longer words of a declaration that may be made of a word; keys of published configurations are not."""
    text = _STRING.sub("", _said(declaration))
    for entry in declaration.config if isinstance(declaration, tree.Weights) else ():
        text = text.replace(entry.value.span.text, "")
    return {found for found in re.findall(r"\w+", text) if found != word and _part(word).search(found)}


def _is_silent(analysis: Analysis, old: str) -> bool:
    """Whether nothing goes by this name unsaid: in a file that is imported, by a recipe's defaults, by the standard
    library's maps."""
    kinds = {type(declaration) for declaration in analysis.file.declarations}
    if any(isinstance(each, tree.Use) and not each.is_std for each in analysis.file.declarations):
        return False
    if tree.Train in kinds and (old == LENGTH_FROM or old in {option.default for option in SETTINGS.values()}):
        return False
    return tree.Weights not in kinds or re.search(rf"\.{old}\b", _library_text()) is None


def _part(word: str) -> re.Pattern[str]:
    """The word, and what is made of it: the axis `heads` of a layer `attn` is `attn_heads`."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])")


def _is_of_the_language(word: str) -> bool:
    if word in tables().words or word in primitives.CONSTANTS or primitives.rule_of(word) is not None:
        return True
    return kind_named(word) is not None or described(word) is not None or bool(_part(word).search(_library()))


@cache
def _library() -> str:
    """Every word of the standard library, whose blocks have axes that a text can meet."""
    return " ".join(sorted(set(re.findall(r"\w+", _library_text()))))


@cache
def _library_text() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((specs_folder() / "std").glob("*.attn")))
