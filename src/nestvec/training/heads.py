"""Heads on token states, fitted without labels: a projection, sparse weights, and a score for selection.

The model stays as it is, so its states are computed once. A span of words of each text is a query; the model's own
vectors say how close each text is to it, and the heads learn to rank texts as they do.

Source: Chen et al. 2024, sec. 3.3 (arXiv:2402.03216), for distilling the forms of one model into one another; Lee et
al. 2019, sec. 4 (arXiv:1906.00300), for spans as queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nestvec.core import Record
from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.types import Array, Float32, Int64, Matrix
from nestvec.encoders.backbone import forward_tokens
from nestvec.encoders.chunks import each, text_of
from nestvec.encoders.heads import Heads, Linear
from nestvec.encoders.late import Late, Role, plain_late
from nestvec.encoders.text import TextEncoder
from nestvec.encoders.tokens import Tokens, encode_texts
from nestvec.encoders.workers import by_length
from nestvec.objectives import Crisp
from nestvec.training.distill import rate_at

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause

_LEAST_TEXTS = 16
_SPAN = (4, 12)  # words of a query: what people type, and a sentence
_BUDGET = 10.0  # weight of keeping the share of tokens that was asked for


@dataclass(frozen=True)
class HeadPlan:
    """What heads are fitted, and what may be spent on it.

    Args:
        dim: of a projected token; None for no projection, where tokens are the states themselves.
        sparse: whether to fit sparse weights.
        keep: share of a text's tokens that the selection is trained to keep; None for no selection.
        clusters: of a query and a document, to learn the projection through (CRISP); None for all tokens.
        own: from 0 to 1, how much the text that a span came from counts, against the model's own ranking. 1 is safe
            where one vector finds less than tokens do; figures in docs/guide/multi-vector.md.
        texts: at most so many are read.
        window: tokens of a text that are read.
        steps: of the optimiser.
        batch: texts in a step; a quarter of them are drawn, the rest are their neighbours.
        rate: peak learning rate.
        seed: of everything drawn.

    Raises:
        InputError: a number is out of range, or there is nothing to fit.
    """

    dim: int | None = 128
    sparse: bool = True
    keep: float | None = 0.25
    clusters: tuple[int, int] | None = None
    own: float = 1.0
    texts: int = 2000
    window: int = 96
    steps: int = 400
    batch: int = 32
    rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim is None and not self.sparse and self.keep is None:
            raise InputError("there must be a head to fit, got none: give dim, sparse or keep.")
        if min(self.dim or 1, self.texts, self.window, self.steps) < 1 or self.batch < 4 or not self.rate > 0:
            raise InputError(f"numbers must be at least 1, batch at least 4 and rate above 0, got {self}.")
        if not 0 <= self.own <= 1 or not (self.keep is None or 0 < self.keep < 1):
            raise InputError(f"own must be 0 to 1 and keep between 0 and 1, got own={self.own} and keep={self.keep}.")


@dataclass(frozen=True, eq=False)
class States:
    """Token states of many texts, one after the other, special tokens and punctuation left out.

    Args:
        values: ``[sum t_i, h]`` float16.
        ids: ``[sum t_i]`` vocabulary ids.
        offsets: ``[n + 1]``.
    """

    values: Array
    ids: Int64[np.ndarray, " t"]
    offsets: Int64[np.ndarray, " n1"]

    def padded(self, rows: Sequence[int] | Array) -> tuple[Tensor, Tensor, Tensor]:
        """``[b, t, h]`` states, ``[b, t]`` ids and mask of some texts."""
        parts = [slice(self.offsets[i], self.offsets[i + 1]) for i in rows]
        values, ids = (
            nn.utils.rnn.pad_sequence([torch.from_numpy(x[part]) for part in parts], batch_first=True)
            for x in (self.values, self.ids)
        )
        lengths = torch.tensor([part.stop - part.start for part in parts])
        return values.float(), ids, torch.arange(values.shape[1])[None] < lengths[:, None]


class HeadModule(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """The heads while they are learnt.

    Args:
        width: of a state.
        first: ``[d, h]``, where the projection starts; None for the states themselves.
    """

    def __init__(self, width: int, first: Tensor | None) -> None:
        super().__init__()
        self.multi = None if first is None else nn.Parameter(first.clone())
        self.sparse, self.select = (nn.utils.skip_init(nn.Linear, width, 1) for _ in range(2))
        for head in (self.sparse, self.select):
            nn.init.zeros_(head.weight)
            nn.init.ones_(head.bias)  # at first every token counts alike, and most of each is kept
        self.scale = nn.Parameter(torch.zeros(()))  # of sparse scores, which have no natural length

    def tokens(self, states: Tensor) -> Tensor:
        """``[b, t, h]`` states to what is compared, of any length."""
        return states if self.multi is None else states @ self.multi.T

    def lexical(self, queries: tuple[Tensor, ...], documents: tuple[Tensor, ...]) -> Tensor:
        """``[q, n]`` sums over shared ids of the product of their weights, the best where an id comes several times."""
        (q, q_ids, q_mask), (d, d_ids, d_mask) = queries, documents
        w_q, w_d = (functional.relu(self.sparse(x)[..., 0]) * m for x, m in ((q, q_mask), (d, d_mask)))
        first = ~((q_ids[:, :, None] == q_ids[:, None, :]) & q_mask[:, None, :]).tril(-1).any(dim=2)  # of equal ids
        same = (q_ids[:, None, :, None] == d_ids[None, :, None, :]) & d_mask[None, :, None, :]
        met = (same * w_d[None, :, None, :]).amax(dim=3)  # [q, n, t]
        return self.scale.exp() * (met * (w_q * first * q_mask)[:, None, :]).sum(dim=2)


def fit_heads(encoder: TextEncoder, texts: Iterable[Record | str], plan: HeadPlan | None = None) -> Heads:
    """Fit heads for a model from texts alone; the model is not changed.

    Args:
        encoder: at full size. What it would give is what the heads learn from.
        texts: unlabelled, of the kind that will be searched; a few hundred at least.
        plan: what is fitted; by default a projection to 128 dims, sparse weights and a selection.

    Returns:
        Heads, to save in a folder and to load the model with (``load(source, heads=folder)``).

    Raises:
        InputError: the encoder is not at full size, or fewer than 16 texts have words.

    Cost: a pass over the texts and their spans, then ``steps`` small products: 2,000 texts and 400 steps take minutes
    on one core, and ``texts * window * h * 2`` bytes are held (150 MB at 384 dims).
    """
    plan = plan or HeadPlan()
    if encoder.size.depth is not None or encoder.size.dim is not None:
        raise InputError(f"heads must be fitted on all of a model, got it at {encoder.size}. Pass encoder.at('full').")
    rng = np.random.default_rng(plan.seed)
    held = [text for text in (text_of(record) for record in each(texts)) if len(text.split()) >= _SPAN[0]]
    if len(held) < _LEAST_TEXTS:
        raise InputError(f"there must be at least {_LEAST_TEXTS} texts of {_SPAN[0]} words or more, got {len(held)}.")
    held = [held[i] for i in np.sort(rng.permutation(len(held))[: plan.texts])]
    spans = [_span(text, rng) for text in held]
    late = plain_late(encoder.stack.prompts, encoder.stack.limits, encoder.stack.tokenizer)
    documents = token_states(encoder, held, late, role="document", window=plan.window)
    queries = token_states(encoder, spans, late, role="query", window=plan.window)
    teacher = encoder.encode_query(spans).values, encoder.encode(held).values
    first = None if plan.dim is None else _principal(documents, plan.dim, rng)
    module = HeadModule(documents.values.shape[1], first)
    _learn(module, documents, queries, teacher, plan, rng)
    return _made(module, encoder, plan, len(held))


def token_states(encoder: TextEncoder, texts: Sequence[str], late: Late, *, role: Role, window: int) -> States:
    """States of the last layer of the tokens that are kept, from the first ``window`` tokens of each text."""
    tokens = Tokens.of(encoder.stack.tokenizer)
    cutter = tokens.cut_at(min(window + tokens.special, late.limit(role)))
    found, _ = encode_texts(cutter, [late.prompt(role) + text for text in texts])
    out: list[tuple[Array, Array]] = [(np.empty(0), np.empty(0))] * len(found)

    def run(batch: Int64[np.ndarray, " b"]) -> list[tuple[Array, Array]]:
        arrays, keep = late.arrays(tokens, [found[i] for i in batch], role=role)
        _, states = forward_tokens(encoder.stack, arrays)
        ids = arrays["input_ids"]
        return [(states[i][kept].astype(np.float16), ids[i][kept]) for i, kept in enumerate(keep)]

    lengths = np.array([len(row.ids) for row in found], np.int64)
    for batch, reads in by_length(run, lengths, batch_tokens=encoder.batch_tokens, device=encoder.device):
        for i, read in zip(batch, reads, strict=True):
            out[i] = read
    offsets = np.concatenate([[0], np.cumsum([len(ids) for _, ids in out])]).astype(np.int64)
    return States(np.concatenate([x for x, _ in out]), np.concatenate([ids for _, ids in out]), offsets)


def _span(text: str, rng: np.random.Generator) -> str:
    """Some words of a text that stand together."""
    words = text.split()
    count = min(int(rng.integers(_SPAN[0], _SPAN[1] + 1)), len(words))
    start = int(rng.integers(len(words) - count + 1))
    return " ".join(words[start : start + count])


def _principal(states: States, dim: int, rng: np.random.Generator) -> Tensor:
    """``[dim, h]``, the directions in which unit token states have most of their length."""
    rows = np.sort(rng.permutation(len(states.values))[:20000])
    sample = states.values[rows].astype(np.float32)
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    if dim > sample.shape[1]:
        raise InputError(f"dim must be at most {sample.shape[1]}, the width of the model's states, got {dim}.")
    return torch.from_numpy(np.linalg.svd(sample.T @ sample)[2][:dim].astype(np.float32))


def _learn(
    module: HeadModule, documents: States, queries: States, teacher: tuple[Matrix, Matrix], plan: HeadPlan,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Train ``module`` in place."""
    close = _neighbours(teacher[1], 3)
    made = torch.optim.Adam(module.parameters(), lr=plan.rate)
    asked, given = (torch.from_numpy(_unit(x)) for x in teacher)
    for step in range(plan.steps):
        for group in made.param_groups:
            group["lr"] = plan.rate * rate_at(step / plan.steps, 0.05)
        seeds = rng.permutation(len(close))[: plan.batch // 4]
        rows = np.unique(np.concatenate([seeds, close[seeds].ravel()]))
        loss = _losses(module, queries.padded(rows), documents.padded(rows), asked[rows] @ given[rows].T, plan)
        made.zero_grad(set_to_none=True)
        loss.backward()
        made.step()


def _losses(
    module: HeadModule, queries: tuple[Tensor, ...], documents: tuple[Tensor, ...], wanted: Tensor, plan: HeadPlan
) -> Any:
    """The sum over the heads that are fitted."""
    objective = Crisp(clusters=plan.clusters)
    q, d = module.tokens(queries[0]), module.tokens(documents[0])
    parts = []
    if plan.dim is not None:
        scores = objective.scores(q, d, query_mask=queries[2], document_mask=documents[2])
        parts.append(_ranked(scores / objective.temperature, wanted, plan, objective.temperature))
    if plan.sparse:
        parts.append(_ranked(module.lexical(queries, documents), wanted, plan, objective.temperature))
    if plan.keep is not None:
        chosen = torch.sigmoid(module.select(documents[0])[..., 0])
        cosines = torch.einsum(
            "qtd,nud->qntu", functional.normalize(q.detach(), dim=-1), functional.normalize(d.detach(), dim=-1)
        )
        best = (cosines + chosen.clamp_min(1e-6).log()[None, :, None, :]).masked_fill(
            ~documents[2][None, :, None, :], -99.0
        )
        weights = queries[2].float()[:, None, :]
        scores = (best.amax(dim=3) * weights).sum(dim=2) / weights.sum(dim=2)
        share = (chosen * documents[2]).sum() / documents[2].sum()
        parts.append(_ranked(scores / objective.temperature, wanted, plan, objective.temperature))
        parts.append(_BUDGET * (share - plan.keep) ** 2)
    return sum(parts[1:], parts[0])


def _ranked(logits: Tensor, wanted: Tensor, plan: HeadPlan, temperature: float) -> Any:
    """Cross-entropy with the own text and with the teacher's ranking, as ``plan.own`` weighs them."""
    own = functional.cross_entropy(logits, torch.arange(len(logits)))
    p = (wanted / temperature).softmax(dim=1)
    return plan.own * own - (1 - plan.own) * (p * logits.log_softmax(dim=1)).sum(dim=1).mean()


def _neighbours(vectors: Matrix, k: int) -> Int64[np.ndarray, "n k"]:
    """The ``k`` closest other texts of each."""
    unit = _unit(vectors)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -2)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def _unit(x: Matrix) -> Float32[np.ndarray, "n d"]:
    """Rows of length 1; a row of zeros stays one."""
    found: Float32[np.ndarray, "n d"] = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return found


def _made(module: HeadModule, encoder: TextEncoder, plan: HeadPlan, texts: int) -> Heads:
    """The heads that were asked for, as numbers."""

    def linear(head: Any) -> Linear:
        return Linear(head.weight.detach().numpy().copy(), head.bias.detach().numpy().copy())

    multi = None
    if module.multi is not None:
        weight = module.multi.detach().numpy().copy()
        multi = Linear(weight, np.zeros(len(weight), np.float32))
    return Heads(
        multi=multi,
        sparse=linear(module.sparse) if plan.sparse else None,
        select=linear(module.select) if plan.keep is not None else None,
        base=encoder.space.weights,
        recipe={**asdict(plan), "clusters": list(plan.clusters) if plan.clusters else None, "read": texts},
    )
