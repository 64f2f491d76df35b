"""A student to begin with: closed forms from a stream of texts, and the first layers of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.types import Array, Matrix
from nestvec.encoders.tokens import Tokens
from nestvec.training.closed_form import Ridge, fit_table
from nestvec.training.corpus import Corpus
from nestvec.training.sampling import Rows, Special, windows
from nestvec.training.student import Student, TokenTable, add_low_rank, cut
from nestvec.training.teacher import Teacher, in_order, to_device

try:
    import torch
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause

Heads = Mapping[int, tuple[Matrix, Array]]
_NOT_LEARNT = ("embeddings", "pooler")  # the embeddings are most of a small model's weights, and no rung needs its own


def special_of(tokens: Tokens, tokenizer: Any) -> Special:
    """Special tokens around a text, as the tokenizer puts them, and the ids that may serve as noise."""
    around = tokens.whole.encode("a").ids
    bare = tokens.whole.encode("a", add_special_tokens=False).ids
    at = next(i for i in range(len(around)) if around[i : i + len(bare)] == bare)
    special = set(tokenizer.all_special_ids)
    plain = [i for text, i in tokenizer.get_vocab().items() if i not in special and not text.startswith("[unused")]
    first, last = tuple(around[:at]), tuple(around[at + len(bare) :])
    return Special(first, last, tokens.pad_id, np.array(sorted(plain), np.int64))


def closed_heads(
    teacher: Teacher, corpus: Corpus, special: Special, depths: Sequence[int], *, width: int, tokens: int, most: int
) -> Heads:
    """Ridge from the pooled state of each depth to the full vector, over a random ``most`` texts.

    Args:
        teacher: gives both.
        corpus: to draw from.
        special: ids around texts.
        depths: one head each.
        width: tokens of a text that are read.
        tokens: in a batch.
        most: texts.
    """
    hidden = int(teacher.body.config.hidden_size)
    ridges: dict[int, Ridge] = {}
    batches = list(in_order(corpus, width=width, tokens=tokens))
    seen = 0
    for i in np.random.default_rng(0).permutation(len(batches)):
        ids, mask = to_device(windows(corpus, special, width=width, rows=batches[i]), teacher.device)
        states, full = teacher.states(ids, mask)
        for k in depths:
            ridge = ridges.setdefault(k, Ridge(hidden, full.shape[1]))
            ridge.add(teacher.pool(states[k].float(), mask).cpu().numpy(), full.cpu().numpy())
        seen += len(ids)
        if seen >= most:
            break
    # A head has as many numbers to find as hidden dimensions; with few texts they are held back more.
    strength = max(1e-4, hidden / max(seen, 1) * 0.05)
    return {k: ridge.solve(strength=strength) for k, ridge in ridges.items()}


def first_table(teacher: Teacher, corpus: Corpus, special: Special, *, rank: int) -> TokenTable:
    """The token table from one pass of the whole vocabulary through the model."""
    vocabulary = int(teacher.body.config.vocab_size)
    ids = np.array([[*special.first, t, *special.last] for t in range(vocabulary)], np.int64)
    parts = [
        teacher.vectors(*to_device(Rows(part, np.ones(part.shape, np.bool_)), teacher.device)).cpu().numpy()
        for part in np.array_split(ids, max(1, vocabulary // 2048))
    ]
    codes, projection, weights = fit_table(np.concatenate(parts), corpus.frequencies(vocabulary), rank=rank)
    return TokenTable(
        torch.from_numpy(codes), torch.from_numpy(projection), torch.zeros(projection.shape[1]),
        torch.from_numpy(np.log(weights)),
    )  # fmt: skip


def make_student(teacher: Teacher, heads: Heads, table: TokenTable | None, *, rank: int | None) -> Student:
    """The first layers of the teacher with heads already fitted.

    Args:
        teacher: whose layers are copied.
        heads: by depth; the deepest decides how many layers there are.
        table: for depth 0.
        rank: of the adapters; None trains the layers' own weights.

    Raises:
        InputError: ``rank`` is below 1.
    """
    if rank is not None and rank < 1:
        raise InputError(f"the rank of adapters must be at least 1, got {rank}. Leave it out to train whole layers.")
    body = None
    if heads:
        body = cut(teacher.body, max(heads))
        body.requires_grad_(requires_grad=False)
        if rank is not None:
            add_low_rank(body, rank)
        for name, parameter in body.named_parameters():
            learnt = rank is None or parameter.ndim == 1 or name.endswith((".down", ".up"))  # a vector costs nothing
            parameter.requires_grad_(learnt and not any(part in name for part in _NOT_LEARNT))
    hidden = int(teacher.body.config.hidden_size)
    dim = len(next(iter(heads.values()))[1]) if heads else hidden
    student = Student(
        body, teacher.pool, tuple(heads), width=hidden, dim=dim, table=table, norm=teacher.norm,
        opening=teacher.opening,
    )  # fmt: skip
    with torch.no_grad():
        for k, (weight, bias) in heads.items():
            student.heads[str(k)].weight.copy_(torch.from_numpy(weight))
            student.heads[str(k)].bias.copy_(torch.from_numpy(bias))
    student.to(teacher.device)
    return student
