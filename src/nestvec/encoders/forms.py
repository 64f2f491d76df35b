"""Dense, sparse and token vectors of the same texts, from one pass through a model. No torch here: states come in.

Source: Chen et al. 2024, sec. 3.2 (arXiv:2402.03216).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nestvec.core import MultiVectors, Size, Space, SparseVectors, Vectors, as_matrix
from nestvec.core.errors import InputError
from nestvec.core.types import Bool, Float32, Int64
from nestvec.encoders.elastic import View
from nestvec.encoders.heads import Heads, Linear
from nestvec.encoders.late import Arrays, Late, special_ids
from nestvec.encoders.shaping import Shaping


@dataclass(frozen=True)
class Forms:
    """The same items in every form that a model has.

    Args:
        dense: one vector an item; None for a model made for late interaction only.
        sparse: weights of vocabulary ids, never negative; None without a sparse head.
        multi: a vector a token.
    """

    dense: Vectors | None
    sparse: SparseVectors | None
    multi: MultiVectors

    def __len__(self) -> int:
        return len(self.multi)


@dataclass(frozen=True, eq=False)
class Read:
    """What one text came to.

    Args:
        tokens: ``[t, d]`` of the tokens that are kept.
        dense: ``[d]``.
        indices: ``[m]`` vocabulary ids, rising, of which none comes twice.
        weights: ``[m]`` above 0.
        scores: ``[t]`` of the select head.
    """

    tokens: Float32[np.ndarray, "t d"]
    dense: Float32[np.ndarray, " e"] | None
    indices: Int64[np.ndarray, " m"] | None
    weights: Float32[np.ndarray, " m"] | None
    scores: Float32[np.ndarray, " t"] | None


@dataclass(frozen=True, eq=False)
class Shapes:
    """From token states and pooled states to the three forms, at one size.

    Args:
        view: the model at that size.
        late: which token vectors are kept.
        tokens: what is done with token states.
        heads: that apply at this size: those for all layers only.
        unweighted: ids of tokens that have no sparse weight.
        vocabulary: how many ids there are.
    """

    view: View
    late: Late
    tokens: Shaping
    heads: Heads
    unweighted: tuple[int, ...] = field(repr=False)
    vocabulary: int

    @classmethod
    def of(cls, view: View, late: Late, heads: Heads, *, width: int) -> Shapes:
        """What is done at the size of a view.

        A head was fitted on all layers, and is used with all of them. With fewer, the map of a ladder is used where
        the model takes the mean of its tokens: a map of the mean is the mean of the maps. Anything else is the state
        itself, cut to its leading dimensions.

        Args:
            view: the model at a size.
            late: which token vectors are kept.
            heads: of the model.
            width: of the token states that the view gives.

        Raises:
            InputError: the size asks for more dimensions than token vectors have, or a head is for other states.
        """
        heads = heads if view.size.depth is None else Heads()
        for kind, head in heads.linears.items():
            if head.weight.shape[1] != width:
                raise InputError(f"the {kind} head must be for states of width {width}, got {head.weight.shape[1]}.")
        most = len(heads.multi.weight) if heads.multi else width
        dim = view.size.dim or most
        if dim > most:
            raise InputError(f"dim must be 1 to {most} for the token vectors of {view.space.encoder}, got {dim}.")
        made = late.unit or view.size != Size()
        shaping = view.shaping
        if heads.multi:
            tokens = Shaping.of(dim, unit=made, head=(heads.multi.weight, heads.multi.bias))
        elif shaping is None or shaping.weight is None or not _maps(shaping, view, width):
            tokens = Shaping(dim, made)
        else:
            tokens = replace(shaping, unit=made)
        tokenizer = view.stack.tokenizer
        unweighted = {*special_ids(tokenizer), tokenizer.unk_token_id} - {None}
        if not heads.like_m3:
            unweighted |= {*late.left_out[0]}  # heads that were fitted here never saw them
        return cls(view, late, tokens, heads, tuple(sorted(map(int, unweighted))), len(tokenizer))

    @property
    def forms(self) -> tuple[str, ...]:
        """Those it gives, of ``dense``, ``sparse`` and ``multi``."""
        has = {"dense": self.view.stack.pooling != "tokens", "sparse": self.heads.sparse is not None, "multi": True}
        return tuple(name for name, there in has.items() if there)

    def space(self, *, name: str) -> Space:
        """The space of the token vectors.

        Args:
            name: what people call the whole model.
        """
        size = self.view.size
        turned = Size(depth=size.depth, vectors="all", dim=size.dim)
        return replace(
            self.view.space,
            encoder=name if self.view.stack.pooling == "tokens" and size == Size() else f"{name}@{turned}",
            weights=self._weights("multi", str(self.late)),
            pooling="tokens",
            dim=self.tokens.dim,
            metric="cosine" if self.tokens.unit else "dot",
            unit=self.tokens.unit,
        )

    @property
    def _sparse_space(self) -> Space:
        weights = self._weights("sparse", "")
        return replace(
            self.view.space, weights=weights, pooling="sparse", dim=self.vocabulary, metric="dot", unit=False
        )

    def _weights(self, head: str, said: str) -> str:
        """Fingerprint of what decides a form: the model at its size, the head, and how texts are read."""
        what = f"{self.view.space.weights}\0{self.heads.fingerprint(head)}\0{said}"
        return hashlib.sha256(what.encode()).hexdigest()[:32]

    def read(
        self,
        arrays: Arrays,
        keep: Bool[np.ndarray, "b t"],
        vectors: Float32[np.ndarray, "b w"] | None,
        states: Float32[np.ndarray, "b t h"],
    ) -> list[Read]:
        """One batch: ids and mask ``[b, t]``, what is kept, pooled states, token states; in the order given."""
        dense = None if vectors is None else vectors
        if dense is not None and self.view.shaping is not None:
            dense = self.view.shaping(dense)
        real = arrays["attention_mask"].astype(np.bool_)
        found = []
        for i, kept in enumerate(keep):
            some = states[i][kept]
            indices, weights = self._sparse(arrays["input_ids"][i][real[i]], states[i][real[i]])
            scores = None if self.heads.select is None else _apply(self.heads.select, some)
            found.append(Read(self.tokens(some), None if dense is None else dense[i], indices, weights, scores))
        return found

    def gather(self, reads: Sequence[Read], space: Space) -> Forms:
        """All texts as one value of each form.

        Args:
            reads: of the texts, in order.
            space: of the token vectors.

        Raises:
            NotFiniteError: the model gave NaN or infinity.
        """
        counts = [len(read.tokens) for read in reads]
        values = np.concatenate([read.tokens for read in reads]) if reads else np.empty((0, space.dim), np.float32)
        multi = MultiVectors(as_matrix(values, name="token vectors"), _offsets(counts), space)
        dense = sparse = None
        if "dense" in self.forms:
            own = replace(self.view.space, instruction=space.instruction)
            rows = [read.dense for read in reads if read.dense is not None]
            stacked = np.stack(rows) if rows else np.empty((0, own.dim), np.float32)
            dense = Vectors(as_matrix(stacked, name="vectors"), own)
        if "sparse" in self.forms:
            own = replace(self._sparse_space, instruction=space.instruction)
            sparse = SparseVectors(
                np.concatenate([np.empty(0, np.float32), *(r.weights for r in reads if r.weights is not None)]),
                np.concatenate([np.empty(0, np.int64), *(r.indices for r in reads if r.indices is not None)]),
                _offsets([len(read.indices) for read in reads if read.indices is not None]),
                own,
            )
        return Forms(dense, sparse, multi)

    def _sparse(
        self, ids: Int64[np.ndarray, " t"], states: Float32[np.ndarray, "t h"]
    ) -> tuple[Int64[np.ndarray, " m"] | None, Float32[np.ndarray, " m"] | None]:
        """``max(0, w . h + b)`` of each token, the highest where an id comes several times; only those above 0."""
        if self.heads.sparse is None:
            return None, None
        weights = np.where(np.isin(ids, self.unweighted), 0, np.maximum(_apply(self.heads.sparse, states), 0))
        unique, where = np.unique(ids, return_inverse=True)
        best = np.zeros(len(unique), np.float32)
        np.maximum.at(best, where, weights)
        return unique[best > 0].astype(np.int64), best[best > 0]


def _maps(shaping: Shaping, view: View, width: int) -> bool:
    """Whether the map of a vector may be used on each token: the model takes their mean, and the widths agree."""
    weight = shaping.weight
    return view.stack.pooling == "mean" and weight is not None and weight.shape[1] == width


def _apply(head: Linear, states: Float32[np.ndarray, "t h"]) -> Float32[np.ndarray, " t"]:
    found: Float32[np.ndarray, " t"] = states @ head.weight[0] + head.bias[0]
    return found


def _offsets(counts: Sequence[int]) -> Int64[np.ndarray, " n"]:
    return np.concatenate([[0], np.cumsum(np.array(counts, np.int64))]).astype(np.int64)
