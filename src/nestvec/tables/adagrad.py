"""The optimiser of tables: one number of state a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor


class RowWiseAdagrad(torch.optim.Optimizer):  # type: ignore[misc]  # torch is not followed by mypy
    """Adagrad whose accumulator is one number a row: ``a_i += mean_j g_ij^2``, ``w_i -= lr * g_i / (sqrt(a_i) + eps)``.

    A sparse gradient touches the rows that were used and no others; a dense one leaves rows with a zero gradient as
    they are. The state is ``1 / width`` of the parameters.

    Args:
        parameters: of two or more dimensions; those of one count as a row a number.
        lr: learning rate.
        eps: see the formula.

    Source: Duchi et al. 2011, eq. 1 (JMLR 12), with one accumulator a row as in Mudigere et al. 2022,
    sec. 4.1 (arXiv:2104.05158).
    """

    def __init__(self, parameters: Iterable[Tensor], *, lr: float = 0.05, eps: float = 1e-8) -> None:
        super().__init__(parameters, {"lr": lr, "eps": eps})

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step; ``closure`` recomputes the loss, as torch has it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, lr=group["lr"], eps=group["eps"])
        return loss

    def _update(self, parameter: Tensor, *, lr: float, eps: float) -> None:
        state = self.state[parameter]
        if not state:
            state["sum"] = parameter.new_zeros(len(parameter) if parameter.dim() else 1)
        total, gradient = state["sum"], parameter.grad
        assert gradient is not None  # noqa: S101  # step() asked
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            at, values = gradient.indices()[0], gradient.values()
            if not len(at):
                return
            seen = total[at] + values.square().mean(dim=1)
            total[at] = seen
            parameter.index_add_(0, at, values / (seen.sqrt() + eps).unsqueeze(1), alpha=-lr)
        else:
            shaped = gradient.view(len(total), -1)
            if shaped.shape[1] == 1:  # no mean to take, and it is slow over rows of one number
                total.addcmul_(shaped[:, 0], shaped[:, 0])
            else:
                total += shaped.square().mean(dim=1)
            parameter.view(len(total), -1).addcdiv_(shaped, total.sqrt().add_(eps).unsqueeze(1), value=-lr)
