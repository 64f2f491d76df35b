"""Batches for learning to rank: short texts that ask, long ones that answer, and neighbours that are hard to tell.

A batch is made of groups: a text drawn at random and some of the texts that the full model finds nearest to it. Each
member gives a long row, which is the text itself or the text continued by its neighbours, and a short row, which is
cut from the long one or is a neighbour cut short. A part of the rows has some of its tokens replaced by others drawn
evenly from the vocabulary, so that tokens which the corpus hardly has are learnt as well: the teacher reads the very
same rows, so no row needs to make sense.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.types import Array, Int64
from nestvec.training.corpus import Corpus

_STEPS = 10  # neighbours that a row may go on with


@dataclass(frozen=True)
class Recipe:
    """How batches are cut.

    Args:
        tokens: of long rows in a batch, padding included.
        caps: the widths of long rows, special tokens included; one is drawn for each batch.
        short: the width of short rows, special tokens included.
        group: texts in a group.
        continued: part of the long rows that go on with neighbours.
        noisy: part of the rows in which tokens are replaced.
        noise: largest part of the tokens replaced in such a row.
        most_rows: long rows in a batch at most.
    """

    tokens: int = 32768
    caps: tuple[int, ...] = (64, 128, 256)
    short: int = 32
    group: int = 8
    continued: float = 0.5
    noisy: float = 0.3
    noise: float = 0.5
    most_rows: int = 384


@dataclass(frozen=True, eq=False)
class Special:
    """Ids that surround a text and fill a row.

    Args:
        first: put before a text.
        last: put after it.
        pad: fills the rest.
        plain: ``[p]`` ids that may be drawn as noise.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    pad: int
    plain: Array


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of tokens: ``ids`` ``[b, t]`` int64 and ``mask`` ``[b, t]`` bool, True where there is a token."""

    ids: Int64[np.ndarray, "b t"]
    mask: Array


class Sampler:
    """Draws batches for ever; the ``i``-th batch follows from the seed and ``i`` alone, so a run can be resumed.

    Args:
        corpus: what to draw from.
        neighbours: ``[n, m]`` int32, the nearest other texts of each, nearest first; ``m`` may be 0.
        special: ids around texts.
        recipe: how.
        seed: of everything drawn.
    """

    def __init__(self, corpus: Corpus, neighbours: Array, special: Special, recipe: Recipe, *, seed: int) -> None:
        self.corpus, self.neighbours, self.special, self.recipe, self.seed = corpus, neighbours, special, recipe, seed
        # Long texts are few and say most; the square root draws them oftener without forgetting the short ones.
        weight = np.sqrt(np.clip(corpus.lengths, 8, 256))
        self._cumulative = np.cumsum(weight) / weight.sum()

    def batch(self, number: int) -> tuple[Rows, Rows]:
        """Short rows and long rows; short row ``i`` and long row ``i`` come from one text or from neighbours."""
        rng = np.random.default_rng((self.seed, number))
        r = self.recipe
        cap = int(rng.choice(r.caps))
        size = max(2, min(r.tokens // cap, r.most_rows))
        members = self._members(rng, size)
        room = cap - len(self.special.first) - len(self.special.last)
        long, starts = self._long(rng, members, room)
        short = self._short(rng, members, long)
        del starts
        return self._finish(rng, *short, width=r.short), self._finish(rng, *long, width=cap)

    def _members(self, rng: np.random.Generator, size: int) -> Int64[np.ndarray, " b"]:
        group = self.recipe.group if self.neighbours.shape[1] else 1
        seeds = np.searchsorted(self._cumulative, rng.random(-(-size // group)))
        seeds = np.minimum(seeds, len(self.corpus) - 1)
        if group == 1:
            return seeds[:size].astype(np.int64)
        reach = self.neighbours.shape[1]
        picks = rng.integers(0, reach, (len(seeds), group - 1))
        near = self.neighbours[seeds[:, None], picks]
        return np.concatenate([seeds[:, None], near], axis=1).reshape(-1)[:size].astype(np.int64)

    def _long(self, rng: np.random.Generator, members: Array, room: int) -> tuple[tuple[Array, Array], Array]:
        """Token ids ``[b, room]`` and lengths ``[b]`` of long rows without special tokens."""
        b = len(members)
        steps = _STEPS if self.neighbours.shape[1] else 1
        parts = np.empty((b, steps), np.int64)
        parts[:, 0] = members
        if steps > 1:
            picks = rng.integers(0, self.neighbours.shape[1], (b, steps - 1))
            parts[:, 1:] = self.neighbours[members[:, None], picks]
        sizes = self.corpus.lengths[parts]
        # Wide batches exist for long rows: there most rows go on, and none ends early, or most would be padding.
        often = self.recipe.continued if room < min(self.recipe.caps) else 1 - (1 - self.recipe.continued) / 3
        goes_on = rng.random(b) < often
        wanted = np.exp(rng.uniform(np.log(max(min(12, room), room // 3)), np.log(room), b)).astype(np.int64) + 1
        target = np.where(goes_on, wanted, np.minimum(sizes[:, 0], room))
        target = np.minimum(target, room)
        starts = self.corpus.offsets[parts]
        # A text that does not fit is read from somewhere in it half of the time, else from its beginning.
        spare = np.maximum(sizes[:, 0] - target, 0)
        shift = np.where(rng.random(b) < 0.5, (rng.random(b) * (spare + 1)).astype(np.int64), 0)
        starts[:, 0] += shift
        sizes[:, 0] -= shift
        before = np.cumsum(sizes, axis=1) - sizes
        taken = np.clip(target[:, None] - before, 0, sizes)
        return self._gather(starts, taken, room), starts

    def _gather(self, starts: Array, sizes: Array, room: int) -> tuple[Array, Array]:
        """Put slices of the flat ids side by side: ``[b, s]`` starts and sizes -> ids ``[b, room]``, lengths."""
        lengths = sizes.sum(axis=1)
        column = np.arange(room)
        ends = np.cumsum(sizes, axis=1)
        which = (column[None, :, None] >= ends[:, None, :]).sum(axis=2)
        which = np.minimum(which, sizes.shape[1] - 1)
        before = np.take_along_axis(ends - sizes, which, axis=1)
        at = np.take_along_axis(starts, which, axis=1) + column[None, :] - before
        at = np.where(column[None, :] < lengths[:, None], at, 0)
        return self.corpus.ids[at].astype(np.int64), lengths

    def _short(self, rng: np.random.Generator, members: Array, long: tuple[Array, Array]) -> tuple[Array, Array]:
        """Half of the rows are cut from the long ones, half are titles or beginnings of neighbours."""
        room = self.recipe.short - len(self.special.first) - len(self.special.last)
        ids, lengths = long
        b = len(members)
        size = np.minimum(rng.integers(4, room + 1, b), lengths)
        start = (rng.random(b) * (lengths - size + 1)).astype(np.int64)
        at = np.minimum(start[:, None] + np.arange(room), ids.shape[1] - 1)
        cut = np.take_along_axis(ids, at, axis=1)
        other = members
        if self.neighbours.shape[1]:
            other = self.neighbours[members, rng.integers(0, self.neighbours.shape[1], b)].astype(np.int64)
            other = np.where(rng.random(b) < 0.5, members, other)
        titles = self.corpus.titles[other]
        whole = np.where((titles > 0) & (rng.random(b) < 0.5), titles, self.corpus.lengths[other])
        begun, begun_size = self._gather(self.corpus.offsets[other][:, None], np.minimum(whole, room)[:, None], room)
        own = rng.random(b) < 0.5
        return np.where(own[:, None], cut, begun), np.where(own, size, begun_size)

    def _finish(self, rng: np.random.Generator, ids: Array, lengths: Array, *, width: int) -> Rows:
        """Noise, special tokens and padding; the width is cut to the longest row, in steps of 8."""
        ids = self._noise(rng, ids)
        first, last = self.special.first, self.special.last
        most = int(lengths.max()) + len(first) + len(last)
        width = min(width, -(-most // 8) * 8)
        out = np.full((len(ids), width), self.special.pad, np.int64)
        column = np.arange(width)
        inside = (column >= len(first)) & (column[None, :] < (lengths + len(first))[:, None])
        body = np.pad(ids, [(0, 0), (len(first), len(last))])[:, :width]
        out = np.where(inside, body, out)
        out[:, : len(first)] = first
        for i, token in enumerate(last):
            out[np.arange(len(out)), lengths + len(first) + i] = token
        mask = column[None, :] < (lengths + len(first) + len(last))[:, None]
        return Rows(out, mask)

    def _noise(self, rng: np.random.Generator, ids: Array) -> Array:
        rate = np.where(rng.random(len(ids)) < self.recipe.noisy, rng.random(len(ids)) * self.recipe.noise, 0)
        if not len(self.special.plain):
            return ids
        replaced = rng.random(ids.shape) < rate[:, None]
        return np.where(replaced, self.special.plain[rng.integers(0, len(self.special.plain), ids.shape)], ids)


def by_length(rows: Rows, parts: int) -> list[Rows]:
    """The rows in ``parts`` sets of like length, short ones first, each as wide as its longest row.

    Fewer sets come back where there are fewer rows than ``parts``; no row is lost or doubled.
    """
    lengths = rows.mask.sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    found = []
    for chosen in np.array_split(order, min(parts, len(order))) if len(order) else []:
        width = int(lengths[chosen].max())
        found.append(Rows(rows.ids[chosen, :width], rows.mask[chosen, :width]))
    return found


def windows(
    corpus: Corpus, special: Special, *, width: int, rows: Int64[np.ndarray, " k"], titles: bool = False
) -> Rows:
    """The beginnings of the texts at ``rows`` (or their titles), special tokens in place, padded to the longest."""
    room = width - len(special.first) - len(special.last)
    sizes = np.minimum(corpus.titles[rows] if titles else corpus.lengths[rows], room)
    t = int(sizes.max(initial=1)) + len(special.first) + len(special.last)
    ids = np.full((len(rows), t), special.pad, np.int64)
    for i, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        start = int(corpus.offsets[row])
        text = [*special.first, *corpus.ids[start : start + size].tolist(), *special.last]
        ids[i, : len(text)] = text
    lengths = sizes + len(special.first) + len(special.last)
    return Rows(ids, np.arange(t)[None, :] < lengths[:, None])
