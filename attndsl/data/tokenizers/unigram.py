"""The pieces of a unigram language model and their probabilities (Kudo, "Subword regularization", 2018, section 3.2).

Written here because the trainer of the `tokenizers` package gives other numbers with every run, and with ties other
pieces, its sums being taken in the order of a hash table: the same text has to give the same tokenizer. All words are
segmented at once, as one graph whose edges are the places where a piece fits into a word.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from attndsl.lazy import Array, np
from attndsl.records import Frozen

SPACE = "▁"
WORDS = r" +(?= )|\n+| [^ \n]*|[^ \n]+"  # a space belongs to the word after it; further ones stand alone
LONGEST_PIECE, LONGEST_WORD = 16, 32
MOST_WORDS = 60_000  # the most frequent ones are learnt from
RARE = 1_000_000  # a character that comes up less often than once in so many is unknown
KEPT, ROUNDS = 0.75, 2  # what pruning leaves each time, and rounds of expectation and maximisation before it
SPARE = 1.1  # of the pieces that are wanted, so many are left when the likeliest are chosen
_LEAST = 0.5  # the count of a character that no segmentation uses


def learn_pieces(texts: Iterable[str], size: int, names: Sequence[str] = ()) -> list[tuple[str, float]]:
    """At most `size` pieces with the logarithms of their probabilities, the likeliest first. All characters of the
    alphabet are among them; it takes at most half of the pieces. `names` are not pieces, and their characters are in
    the alphabet, so that there is another way to read them."""
    words = _words(texts, max(1, size // 2), "".join(names))
    seed = _seed(words, max(10 * size, 20_000))
    graph, inner, counts, single = seed.graph(words), seed.inner(), seed.counts, seed.lengths == 1
    alive = np.array([seed.piece(number) not in names for number in range(len(counts))], dtype=bool)
    counts = np.where(alive, counts, 0.0)
    graph, inner = graph.only(alive), inner.only(alive)
    while True:
        for _ in range(ROUNDS):
            counts = graph.expected(_shares(counts))
            counts = np.where(single, np.maximum(counts, _LEAST), counts)
        left = int(alive.sum())
        if left <= max(SPARE * size, size + 1):
            break
        alive = _worthy(inner, _shares(counts), counts, alive, single, max(int(SPARE * size), int(KEPT * left)))
        counts = np.where(alive, counts, 0.0)
        graph, inner = graph.only(alive), inner.only(alive)
    chosen = np.lexsort((np.arange(len(counts)), -counts, ~single))[:size].tolist()
    shares = _shares(counts).tolist()
    scores = [(seed.piece(number), round(math.log(shares[number]), 6)) for number in chosen if shares[number] > 0]
    return sorted(scores, key=lambda entry: (-entry[1], entry[0]))


def _shares(counts: Array) -> Array:
    return counts / math.fsum(counts.tolist())  # exactly rounded: the same on every machine


def _words(texts: Iterable[str], alphabet: int, named: str) -> dict[str, int]:
    """The words with their counts, in a fixed order, cut where a character is too rare to be in the alphabet."""
    words: Counter[str] = Counter()
    pattern = re.compile(WORDS)
    for text in texts:
        words.update(pattern.findall(text if text[:1] in ("", " ", "\n") else " " + text))
    found: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for word, count in words.items():
        found[word.replace(" ", SPACE)] += count
        for character in word.replace(" ", SPACE):
            characters[character] += count
    least = sum(characters.values()) / RARE
    ordered = sorted(characters.items(), key=lambda entry: (-entry[1], entry[0]))
    known = [character for character, count in ordered[:alphabet] if count >= least]
    known = list(dict.fromkeys([*known, SPACE, *named]))
    rare = re.compile(f"[^{re.escape(''.join(known))}]+")
    cut: Counter[str] = Counter()
    for word, count in found.items():
        for part in rare.split(word):
            for start in range(0, len(part), LONGEST_WORD):
                cut[part[start : start + LONGEST_WORD]] += count
    often = sorted(cut.items(), key=lambda entry: (-entry[1], entry[0]))
    # Every character of the alphabet is a word too, so that none gets lost with the rarer words.
    return dict.fromkeys(known, 0) | dict(often[:MOST_WORDS])


class _Graph(Frozen):
    """Where pieces fit into words: int arrays `[edges]`, ordered by `end`; `by_start` orders them by `start`. `counts`
    has how often each word occurs, `lengths` how long it is."""

    word: Array
    start: Array
    end: Array
    piece: Array
    by_start: Array
    counts: Array
    lengths: Array

    def only(self, alive: Array) -> _Graph:
        """Without the pieces that are not `alive`."""
        kept = alive[self.piece]
        parts = [edges[kept] for edges in (self.word, self.start, self.end, self.piece)]
        word, start, end, piece = parts
        return _Graph(word, start, end, piece, np.argsort(start, kind="stable"), self.counts, self.lengths)

    def forward(self, shares: Array) -> Array:
        """`[words, places + 1]`: the probability of all segmentations of a word up to each place."""
        sums = np.zeros((len(self.lengths), int(self.lengths.max()) + 1))
        sums[:, 0] = 1.0
        places = np.searchsorted(self.end, np.arange(sums.shape[1] + 1))
        for place, (first, last) in enumerate(itertools.pairwise(places.tolist())):
            word, start, piece = self.word[first:last], self.start[first:last], self.piece[first:last]
            if len(word):
                sums[:, place] = np.bincount(word, sums[word, start] * shares[piece], len(self.lengths))
        return sums

    def _backward(self, shares: Array) -> Array:
        """`[words, places + 1]`: the probability of all segmentations of what follows each place."""
        sums = np.zeros((len(self.lengths), int(self.lengths.max()) + 1))
        sums[np.arange(len(self.lengths)), self.lengths] = 1.0
        word, end, piece = self.word[self.by_start], self.end[self.by_start], self.piece[self.by_start]
        places = np.searchsorted(self.start[self.by_start], np.arange(sums.shape[1] + 1)).tolist()
        for place in reversed(range(sums.shape[1])):
            here = slice(places[place], places[place + 1])
            if places[place] < places[place + 1]:
                more = np.bincount(word[here], sums[word[here], end[here]] * shares[piece[here]], len(self.lengths))
                sums[:, place] += more
        return sums

    def expected(self, shares: Array) -> Array:
        """How often each piece occurs, over all segmentations of all words by their probability."""
        before, after = self.forward(shares), self._backward(shares)
        whole = before[np.arange(len(self.lengths)), self.lengths]
        weight = np.divide(self.counts, whole, out=np.zeros_like(whole), where=whole > 0)
        each = weight[self.word] * before[self.word, self.start] * shares[self.piece] * after[self.word, self.end]
        return np.bincount(self.piece, each, len(shares))


class _Seed(Frozen):
    """The pieces to begin with. `text` has all words one after the other; piece `n` occurs in it at `first[n]` and is
    `lengths[n]` long, `counts[n]` times in all. `word` and `place` say of each character of the text which word it is
    in, and where. `pieces_at[n]` has the piece of length `n + 1` that begins at each character, or -1."""

    text: str
    first: Array
    lengths: Array
    counts: Array
    word: Array
    place: Array
    pieces_at: list[Array]

    def piece(self, number: int) -> str:
        first = int(self.first[number])
        return self.text[first : first + int(self.lengths[number])]

    def graph(self, words: Mapping[str, int]) -> _Graph:
        """Where the pieces fit into `words`, those that the text is made of."""
        edges = []
        for length, pieces in enumerate(self.pieces_at, 1):
            at = np.flatnonzero(pieces >= 0)
            edges.append((self.word[at], self.place[at], self.place[at] + length, pieces[at]))
        counts = np.array(list(words.values()), dtype=np.float64)
        return _ordered(edges, counts, np.array([len(word) for word in words], dtype=np.int64))

    def inner(self) -> _Graph:
        """Where the pieces fit into longer pieces: these are the words of the graph."""
        edges = []
        for start in range(int(self.lengths.max())):
            for length in range(1, len(self.pieces_at) - start + 1):
                outer = np.flatnonzero((self.lengths >= start + length) & (self.lengths > length))
                pieces = self.pieces_at[length - 1][self.first[outer] + start]
                fits = pieces >= 0
                outer, pieces = outer[fits], pieces[fits]
                edges.append((outer, np.full(len(outer), start), np.full(len(outer), start + length), pieces))
        return _ordered(edges, self.counts, self.lengths)


def _ordered(edges: Sequence[tuple[Array, ...]], counts: Array, lengths: Array) -> _Graph:
    word, start, end, piece = (np.concatenate(column).astype(np.int32) for column in zip(*edges, strict=True))
    order = np.argsort(end, kind="stable")
    word, start, end, piece = (each[order] for each in (word, start, end, piece))
    return _Graph(word, start, end, piece, np.argsort(start, kind="stable"), counts, lengths)


def _seed(words: Mapping[str, int], most: int) -> _Seed:
    """The characters, and the pieces of words that cover the most text."""
    text = "".join(words)
    lengths = np.array([len(word) for word in words])
    word = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(text)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    often = np.array(list(words.values()), dtype=np.float64)[word]
    characters = np.unique(np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32), return_inverse=True)[1].ravel()
    # A piece of n + 1 characters is known by the number of the one of n and a character: exact, where hashes are not.
    numbers, left = np.zeros(len(text), dtype=np.int64), lengths[word] - place
    occur = np.arange(len(text))
    found: list[
        tuple[Array, Array, Array, Array]
    ] = []  # for each length: where, its number, and of a number count, where
    for length in range(1, LONGEST_PIECE + 1):
        occur = occur[left[occur] >= length]
        keys = numbers[occur] * (int(characters.max()) + 1) + characters[occur + length - 1]
        _, first, number = np.unique(keys, return_index=True, return_inverse=True)
        counts = np.bincount(number.ravel(), often[occur], len(first))
        found.append((occur, number.ravel(), counts, occur[first]))
        numbers[occur] = number.ravel()
        occur = occur[counts[number.ravel()] > 1]
        if not len(occur):
            break
    counts = np.concatenate([each[2] for each in found])
    firsts = np.concatenate([each[3] for each in found])
    sizes = np.repeat(np.arange(1, len(found) + 1), [len(each[2]) for each in found])
    covered = np.where(sizes == 1, np.inf, np.where(counts > 1, counts * sizes, 0.0))
    order = np.lexsort((firsts, sizes, -covered))[: most + len(found[0][2])]
    chosen = np.sort(order[covered[order] > 0])
    piece_of = np.full(len(counts), -1)
    piece_of[chosen] = np.arange(len(chosen))
    pieces_at, offset = [], 0
    for occur, number, of_length, _ in found:
        at = np.full(len(text), -1)
        at[occur] = piece_of[offset + number]
        pieces_at.append(at)
        offset += len(of_length)
    return _Seed(text, firsts[chosen], sizes[chosen], np.maximum(counts[chosen], 1.0), word, place, pieces_at)


def _worthy(inner: _Graph, shares: Array, counts: Array, alive: Array, single: Array, most: int) -> Array:
    """The pieces to keep, bool: all characters, and of the others those without which the text becomes least likely:
    each stands in for the segmentations of itself into others."""
    sums = inner.forward(shares)
    instead = sums[np.arange(len(shares)), inner.lengths]
    ratio = np.divide(shares, instead, out=np.full(len(shares), np.inf), where=instead > 0)
    loss = np.where(counts > 0, counts * np.log(np.maximum(ratio, 1e-300)), -np.inf)
    order = np.lexsort((np.arange(len(shares)), -loss, ~single, ~alive))[:most]
    kept = np.zeros(len(shares), dtype=bool)
    kept[order] = True
    return (kept | single) & alive
