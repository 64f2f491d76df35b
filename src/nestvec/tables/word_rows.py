"""Rows that learn how they are spelt."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nestvec.core.types import Array
from nestvec.tables.packing import Packed
from nestvec.tables.words import COUNT, Spelt, Words, pack

_AT_ONCE = 1 << 13  # rows whose scores against all words stay near the processor
_KEPT = 0.9
"""Of what a word remembers from step to step: many rows of a batch use a word, so a short memory holds many of them."""
_UNUSED = 0.02
"""Rows that a word must have been named by, by its fading memory, to be kept."""


class WordRows(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Rows of words: every row keeps a float query while it learns, and is read as the nearest words of its book.

    ``row_i = concat_j V_j[c_ij]`` with ``c_ij = argmin_k |q_ij - V_jk|``. The gradient of the row goes to its query as
    it is. A word is the running mean of the queries that named it, and moves onto a query of the batch when nobody does
    any more. Queries, as large as a full table, are needed to train and not to serve.

    Args:
        values: ``[n, w]`` first queries.
        words: how rows are spelt.
        seed: of the first words.

    Source: van den Oord et al. 2017, sec. 3.2 and app. A.1 (arXiv:1711.00937) for the gradient and the running means;
    Kang et al. 2020, sec. 3 (arXiv:2002.08530) for fewer words where ids are rare.
    """

    book: Tensor
    named: Tensor

    def __init__(self, values: Array, words: Words, *, seed: int) -> None:
        super().__init__()
        self.words, self.hot = words, words.split(len(values))[0]
        self._few = COUNT if words.hot is None else words.few
        self.weight = nn.Parameter(torch.from_numpy(values))
        self._random = torch.Generator().manual_seed(seed)
        spread = float(np.abs(values).max(initial=0))
        shape = (words.books, COUNT, values.shape[1] // words.pieces)
        first = np.random.default_rng((seed, 17)).uniform(-spread, spread, shape).astype(np.float32)
        self.register_buffer("book", torch.from_numpy(first))
        self.register_buffer("named", torch.ones(shape[:2]))
        self._used: list[tuple[Tensor, Tensor]] = []

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.weight)

    def forward(self, at: Tensor) -> Tensor:
        """``[n, k]`` positions -> ``[n, k, w]``."""
        used, where = at.to(self.weight.device).unique(return_inverse=True)
        queries = functional.embedding(used, self.weight, sparse=True)
        with torch.no_grad():
            numbers = self._numbers(queries, used)
            spelt = self._read(numbers)
        if self.training and torch.is_grad_enabled():
            self._used.append((used, numbers))
        rows: Tensor = spelt + (queries - queries.detach())  # its value, the gradient of the query
        return rows[where]

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def after_step(self, *, lr: float) -> None:  # noqa: ARG002  # words are means and need no rate
        """Move the words towards the queries of the rows that were used."""
        for used, numbers in self._used:
            self._follow(used, numbers)
        self._used.clear()

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def restore(self, form: Packed) -> None:
        """Take over the words, and as queries the rows they spell."""
        self.book.copy_(torch.from_numpy(np.array(form.arrays()["words"])).view_as(self.book))
        self.named.fill_(1)
        self.weight.copy_(torch.from_numpy(form.take(np.arange(self.count, dtype=np.int64))))

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def packed(self, codec: str) -> Spelt:  # noqa: ARG002  # the codec is what this is
        """The codes that rows have now."""
        numbers = np.empty((self.count, self.words.pieces), np.uint8)
        for start in range(0, self.count, _AT_ONCE):
            at = torch.arange(start, min(start + _AT_ONCE, self.count))
            numbers[start : start + len(at)] = self._numbers(self.weight[at], at).to(torch.uint8).cpu().numpy()
        short = pack(numbers[self.hot :], self.words.bits)
        flat = self.book.flatten(0, 1).cpu().numpy().copy()
        return Spelt(numbers[: self.hot].copy(), short, flat, np.array([self.words.bits], np.int64))

    def _cut(self, queries: Tensor) -> Tensor:
        return queries.view(len(queries), self.words.pieces, -1)

    def _numbers(self, queries: Tensor, at: Tensor) -> Tensor:
        """``[m, pieces]`` the nearest word that each row may use."""
        book = self.book.expand(self.words.pieces, -1, -1)
        found = []
        for some, places in zip(self._cut(queries).split(_AT_ONCE), at.split(_AT_ONCE), strict=True):
            # differences, no products: a row that is a word must find that word again, however near another is
            apart = torch.cdist(some.transpose(0, 1), book, compute_mode="donot_use_mm_for_euclid_dist")
            rare = places >= self.hot
            if rare.any():
                apart[:, :, self.words.few :].masked_fill_(rare[:, None], torch.inf)
            found.append(apart.argmin(dim=2).T)
        return torch.cat(found) if found else at.new_empty(0, self.words.pieces)

    def _read(self, numbers: Tensor) -> Tensor:
        return self.book.flatten(0, 1)[numbers + self._first()].flatten(1)

    def _first(self) -> Tensor:
        """``[pieces]`` where the book of each piece begins."""
        step = 0 if self.words.shared else COUNT
        return torch.arange(self.words.pieces, device=self.book.device) * step

    def _follow(self, used: Tensor, numbers: Tensor) -> None:
        place = (numbers + self._first()).view(-1)
        pieces = self._cut(self.weight[used]).flatten(0, 1)
        flat, named = self.book.flatten(0, 1), self.named.view(-1)
        sums = torch.zeros_like(flat).index_add_(0, place, pieces)
        times = torch.bincount(place, minlength=len(flat)).to(named.dtype)
        total = _KEPT * named + (1 - _KEPT) * times
        moved = (_KEPT * named[:, None] * flat + (1 - _KEPT) * sums) / total[:, None].clamp_min(1e-12)
        flat.copy_(torch.where(times[:, None] > 0, moved, flat))
        named.copy_(total)
        self._revive(flat, named, pieces, hot=int((used < self.hot).sum()))

    def _revive(self, flat: Tensor, named: Tensor, pieces: Tensor, *, hot: int) -> None:
        """Words that nobody names go to queries of the batch that may name them; its first ``hot`` rows may any."""
        idle = (named < _UNUSED).nonzero()[:, 0]
        rows = torch.where(idle % COUNT < self._few, len(pieces) // self.words.pieces, hot)
        idle, rows = idle[rows > 0], rows[rows > 0]
        draw = torch.rand(2, len(idle), generator=self._random).to(idle.device)
        own = (draw[1] * self.words.pieces).long() if self.words.shared else idle // COUNT
        flat[idle] = pieces[(draw[0] * rows).long() * self.words.pieces + own]
        named[idle] = 1.0
