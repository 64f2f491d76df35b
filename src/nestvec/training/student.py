"""What is trained: the first layers of a model, a head for each depth, and a token table for depth 0."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.training.opening import Opening

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause

Pool = Callable[[Tensor, Tensor], Tensor]


def layer_list(body: Any) -> tuple[str, nn.ModuleList]:
    """Where the layers of a transformers model are: the path and the list.

    Raises:
        InputError: no list of modules has as many members as the configuration says there are layers.
    """
    count = int(body.config.num_hidden_layers)
    for path, module in body.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return path, module
    raise InputError(f"a backbone must keep its {count} layers in one list, got {type(body).__name__}, which does not.")


def cut(body: Any, depth: int) -> Any:
    """A copy of a transformers model that has the first ``depth`` layers only."""
    path, layers = layer_list(body)
    if not 1 <= depth <= len(layers):
        raise InputError(f"depth must be 1 to {len(layers)}, got {depth}.")
    parent_path, _, name = path.rpartition(".")
    whole = getattr(body.get_submodule(parent_path), name)
    setattr(body.get_submodule(parent_path), name, nn.ModuleList(list(layers)[:depth]))  # copy no layer that goes
    try:
        shallow = copy.deepcopy(body)
    finally:
        setattr(body.get_submodule(parent_path), name, whole)
    shallow.config.num_hidden_layers = depth
    if next(shallow.parameters()).device.type == "cpu":
        # The gradient of fused attention takes about half of a whole step there.
        shallow.set_attn_implementation("eager")
    return shallow


class LowRank(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """``y = W x + b + up(down(x))``; ``up`` starts at zero, so at first nothing is changed.

    Args:
        exact: the layer to add to; it is frozen.
        rank: inner width.

    Source: Hu et al. 2021, sec. 4.1 (arXiv:2106.09685).
    """

    def __init__(self, exact: Any, rank: int) -> None:
        super().__init__()
        self.exact = exact.requires_grad_(requires_grad=False)
        self.down = nn.Parameter(torch.empty(rank, exact.in_features))
        self.up = nn.Parameter(torch.zeros(exact.out_features, rank))
        nn.init.normal_(self.down, std=exact.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., i]`` -> ``[..., o]``."""
        return self.exact(x) + functional.linear(functional.linear(x, self.down), self.up)


def add_low_rank(body: Any, rank: int) -> None:
    """Freeze a model and put a :class:`LowRank` around every linear layer of its list of layers."""
    body.requires_grad_(requires_grad=False)
    _, layers = layer_list(body)
    for parent in list(layers.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, LowRank(child, rank))


class TokenTable(nn.Module):  # type: ignore[misc]
    """A vector for every token, ``e^w_t c_t P``; a text is the sum of its tokens' vectors, plus a bias.

    Args:
        codes: ``[vocabulary, r]``.
        projection: ``[r, d]``.
        bias: ``[d]``.
        log_weights: ``[vocabulary]``, ``w``.
    """

    def __init__(self, codes: Tensor, projection: Tensor, bias: Tensor, log_weights: Tensor) -> None:
        super().__init__()
        self.codes = nn.Parameter(codes.clone())
        self.projection = nn.Parameter(projection.clone())
        self.bias = nn.Parameter(bias.clone())
        self.log_weights = nn.Parameter(log_weights.clone())

    def bag(self, ids: Tensor, mask: Tensor) -> Tensor:
        """``[b, t]`` ids, with ``mask`` 0 where a token is padding or special -> ``[b, r]``, the mean of the codes."""
        weights = self.log_weights[ids].exp() * mask
        summed = torch.einsum("bt,btr->br", weights, functional.embedding(ids, self.codes))
        return summed / mask.sum(dim=1, keepdim=True).clamp_min(1)

    def vectors(self, bag: Tensor, rank: int | None = None) -> Tensor:
        """``[b, r]`` -> ``[b, d]``, with the leading ``rank`` codes only if that is given."""
        return bag[:, :rank] @ self.projection[:rank] + self.bias


class Student(nn.Module):  # type: ignore[misc]
    """One forward pass that gives the vector of every depth.

    Args:
        body: a transformers model of as many layers as the deepest rung, from :func:`cut`; None for depth 0 only.
        pool: token states and mask -> ``[b, h]``.
        depths: rungs to give, each at least 1, none deeper than ``body``.
        width: ``h``.
        dim: ``d`` of the teacher's vectors.
        table: for depth 0, or None.
        norm: path in ``body`` of the norm after the last layer; empty where there is none.
        opening: what ``body`` reads before a text, and ``pool`` knows of; rows come without it.
    """

    def __init__(
        self, body: Any, pool: Pool, depths: Sequence[int], *,
        width: int, dim: int, table: TokenTable | None = None, norm: str = "", opening: Opening | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.body, self.depths, self.table = body, tuple(depths), table
        self._pool, self._norm, self._opening = pool, norm, opening or Opening()
        self.heads = nn.ModuleDict({str(k): nn.Linear(width, dim) for k in self.depths})

    def forward(self, ids: Tensor, mask: Tensor) -> dict[int, Tensor]:
        """``[b, t]`` ids and mask -> ``{depth: [b, d]}``, float32, not made unit."""
        return self.read(ids, mask)[0]

    def read(self, ids: Tensor, mask: Tensor, *, tokens: bool = False) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """As :meth:`forward`, and ``{depth: [b, t, d]}`` of every token, if they are asked for.

        A head maps the mean of states; put on each of them it is the map of the encoder of several vectors.
        """
        if self.body is None:
            return {}, {}
        states = hidden_states(self.body, *self._opening.read(ids, mask), norm=self._norm)
        found = {
            k: self.heads[str(k)](self._pool(states[k].float(), mask).to(states[k].dtype)).float() for k in self.depths
        }
        every = self.depths if tokens else ()
        return found, {k: self.heads[str(k)](self._opening.drop(states[k])).float() for k in every}


def hidden_states(body: Any, ids: Tensor, mask: Tensor, *, norm: str = "") -> Sequence[Tensor]:
    """States after the embeddings and after each layer, ``[b, t, h]`` each, as a model of that depth gives them.

    Args:
        body: a transformers model.
        ids: ``[b, t]``.
        mask: ``[b, t]`` bool.
        norm: path of the norm after the last layer; it is put on every layer. Empty where there is none.
    """
    found = body(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    last = body.get_submodule(norm) if norm else nn.Identity()
    return [*(last(states) for states in found.hidden_states[:-1]), found.last_hidden_state]


def mean_pool(states: Tensor, mask: Tensor) -> Tensor:
    """``[b, t, h]`` -> ``[b, h]``, the mean over the tokens that are there."""
    weights = mask.to(states.dtype)[..., None]
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1e-9)
