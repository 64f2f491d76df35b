"""A linear layer as tables that are looked up: no multiplication by a matrix, and thirty times the bytes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nestvec.core.errors import InputError, ShapeError

_MOST_BITS = 16
_RIDGE = 1e-3  # of a row's weight on the mean: a corner that was never met stays at 0


class LookupLinear(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """``y = b + sum_k p(z_k) T_k[signs of z_k]`` with ``z_k`` a piece of ``x - centre``, ``bits`` numbers long.

    ``p(z) = prod_j 1 / (1 + exp(-2 |z_j| / t))`` is the share of that corner among all, so that ``x`` gets a gradient.
    The last piece is filled up with zeros where ``bits`` does not divide the width.

    Args:
        wide: numbers in ``x``.
        out: numbers in ``y``.
        bits: tau, of a piece; a table has ``2^bits`` rows.
        temperature: ``t``.

    Raises:
        InputError: a width is below 1, or ``bits`` not 1 to 16.

    Cost: ``ceil(wide / bits) * out`` multiplications a vector, ``bits`` times fewer than a matrix, and as many rows
    read out of ``4 * 2^bits * ceil(wide / bits) * out`` bytes.

    Source: Ding et al. 2024, sec. 3.1 (arXiv:2411.12992).
    """

    def __init__(self, wide: int, out: int, *, bits: int = 8, temperature: float = 1.0) -> None:
        super().__init__()
        if wide < 1 or out < 1 or not 1 <= bits <= _MOST_BITS:
            raise InputError(f"wide and out must be at least 1 and bits 1 to {_MOST_BITS}, got {wide}, {out}, {bits}.")
        self.wide, self.out, self.bits, self.temperature = wide, out, bits, temperature
        self.pieces = -(-wide // bits)
        self.tables = nn.Parameter(torch.zeros(self.pieces << bits, out))
        self.bias = nn.Parameter(torch.zeros(out))
        self.register_buffer("centre", torch.zeros(wide))
        self.register_buffer("powers", 2 ** torch.arange(bits), persistent=False)
        self.register_buffer("starts", torch.arange(self.pieces) << bits, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., wide]`` -> ``[..., out]``.

        Raises:
            ShapeError: ``x`` is of another width.
        """
        rows, share = self.corners(x.reshape(-1, x.shape[-1]))
        y = functional.embedding_bag(rows, self.tables, mode="sum", per_sample_weights=share) + self.bias
        found: Tensor = y.reshape(*x.shape[:-1], self.out)
        return found

    def corners(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[n, wide]`` -> ``(rows of the tables [n, pieces] int64, shares [n, pieces])``."""
        if x.shape[-1] != self.wide:
            raise ShapeError(f"x must be [..., {self.wide}], got shape {tuple(x.shape)}.")
        z = functional.pad(x - self.centre, (0, self.pieces * self.bits - self.wide))
        z = z.reshape(len(x), self.pieces, self.bits)
        share = torch.sigmoid(2 * z.abs() / self.temperature).prod(-1)
        return ((z > 0) * self.powers).sum(-1) + self.starts, share

    @classmethod
    def of(
        cls, layer: nn.Linear, inputs: Tensor, *, bits: int = 8, temperature: float | None = None, rounds: int = 5
    ) -> LookupLinear:
        """Tables that stand for a linear layer, solved for on inputs like those to come; nothing is trained.

        Least squares, one table after the other, ``rounds`` times over all: each row becomes the mean of what the
        others leave of the outputs that it takes part in, weighted by its shares.

        Args:
            layer: to be stood for.
            inputs: ``[n, wide]``, some rows of a table each at least: thousands for 8 bits.
            bits: of a piece.
            temperature: ``t``; the root mean square of the centred inputs by default.
            rounds: of the iteration.

        Raises:
            InputError: there are no inputs.

        Source: Breiman and Friedman 1985, sec. 3 (JASA 80), for solving one part after the other.
        """
        if not len(inputs):
            raise InputError("a layer must be fitted to inputs like those to come, got none.")
        centre = inputs.mean(0)
        spread = float((inputs - centre).square().mean().sqrt()) or 1.0
        made = cls(layer.in_features, layer.out_features, bits=bits, temperature=temperature or spread)
        with torch.no_grad():
            made.centre.copy_(centre)
            target = layer(inputs)
            made.bias.copy_(target.mean(0))
            left = target - made.bias
            rows, share = made.corners(inputs)
            for _ in range(rounds):
                for k in range(made.pieces):
                    at, p = rows[:, k], share[:, k, None]
                    left += p * made.tables[at]
                    own = slice(k << bits, (k + 1) << bits)
                    local, size = at - (k << bits), 1 << bits
                    top = torch.zeros(size, made.out).index_add_(0, local, p * left)
                    weight = torch.zeros(size, 1).index_add_(0, local, p.square())
                    made.tables[own] = top / (weight + _RIDGE * weight.mean())
                    left -= p * made.tables[at]
        return made
