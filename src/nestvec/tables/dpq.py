"""Rows that learn which pieces they are made of."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.tables.packing import Packed, pack
from nestvec.tables.product import BITS, Product

_AT_ONCE = 1 << 16


class ProductRows(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Rows that choose their pieces while they learn: a query a row, keys and values for each piece.

    ``c_ij = argmax_k norm(q_ij . K_jk)``, and the piece is ``V_j[c_ij]``; the gradient is that of the softmax over the
    same scores, which moves queries, keys and values. ``norm`` is a batch norm without stretch and shift, which keeps
    all keys in use. Queries, as large as a full table, are needed to train and not to serve.

    Args:
        values: ``[n, w]`` first queries.
        pieces: ``D``, which divides ``w``.
        seed: of the first keys and values.

    Raises:
        InputError: ``pieces`` does not divide ``w``.

    Source: Chen et al. 2020, sec. 2.2, "DPQ-SX" (arXiv:1908.09756).
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, values: Array, *, pieces: int, seed: int) -> None:
        super().__init__()
        width = values.shape[1]
        if width % pieces:
            raise InputError(f"pieces must divide the width of a row, {width}, got {pieces}.")
        self.pieces, self.width = pieces, width
        self.queries = nn.Parameter(torch.from_numpy(values))
        rng = np.random.default_rng((seed, 13))
        shape = (pieces << BITS, width // pieces)
        spread = float(np.abs(values).max(initial=0))
        self.keys = nn.Parameter(torch.from_numpy(rng.uniform(-1, 1, shape).astype(np.float32)))
        self.books = nn.Parameter(torch.from_numpy(rng.uniform(-spread, spread, shape).astype(np.float32)))
        self.register_buffer("running_mean", torch.zeros(pieces << BITS))
        self.register_buffer("running_variance", torch.ones(pieces << BITS))

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.queries)

    def forward(self, at: Tensor) -> Tensor:
        """``[n, k]`` positions -> ``[n, k, w]``."""
        queries = functional.embedding(at.reshape(-1), self.queries, sparse=True)
        scores = self._scores(queries, training=self.training and at.numel() > 1)
        soft = scores.softmax(dim=2)
        hard = functional.one_hot(scores.argmax(dim=2), 1 << BITS).to(soft.dtype)
        chosen = hard + soft - soft.detach()  # the value of the one, the gradient of the other
        rows = torch.einsum("mjk,jkw->mjw", chosen, self.books.view(self.pieces, 1 << BITS, -1))
        whole: Tensor = rows.reshape(*at.shape, self.width)
        return whole

    def restore(self, form: Packed) -> None:
        """Refused: the queries behind codes are gone.

        Raises:
            InputError: always.
        """
        raise InputError(f"a table under dpq cannot learn on from codes ({form.id}). Train a new one.")

    def after_step(self, *, lr: float) -> None:
        """The optimiser has everything."""

    def packed(self, codec: str) -> Packed:  # noqa: ARG002  # the codec is what this is
        """The codes that rows choose now."""
        found = [
            self._scores(self.queries[i : i + _AT_ONCE], training=False).argmax(dim=2).to(torch.uint8).numpy()
            for i in range(0, self.count, _AT_ONCE)
        ]
        return Product(pack(np.concatenate(found), BITS), self.books.detach().cpu().numpy().copy())

    def _scores(self, queries: Tensor, *, training: bool) -> Tensor:
        cut = queries.view(len(queries), self.pieces, self.width // self.pieces)
        scores = torch.einsum("mjw,jkw->mjk", cut, self.keys.view(self.pieces, 1 << BITS, -1)).flatten(1)
        kept = self.running_mean, self.running_variance
        normal: Tensor = functional.batch_norm(scores, *kept, training=training, momentum=0.1, eps=1e-5)
        return normal.view(len(queries), self.pieces, 1 << BITS)
