"""One model at one depth, as the planner sees it: vectors of documents and queries, and what encoding costs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, Float32, Float64, Matrix
from nestvec.planner.tokens import TokenView


@dataclass(frozen=True, eq=False)
class View:
    """Documents and queries encoded at one depth, at all dimensions of it.

    Fewer dimensions are the leading ones, after ``rotation`` where a ladder has one, made unit again: what the encoder
    itself gives at that dim.

    Args:
        depth: layers that run; None for all, or where vectors were brought along.
        documents: ``[n, d]`` float32.
        queries: ``[q, d]`` float32, the same queries in every view.
        fitted: whether a ladder made this depth; False for a raw slice of the model.
        rotation: ``[r, d]``, best direction first, for ``r`` dimensions or fewer; None for the dimensions as they come.
        encoder_bytes: of the weights that encode a query at this depth; 0 where vectors are brought along.
        encode_seconds: ``[s]`` seconds that single queries took to encode; empty where vectors are brought along.
        tokens: a vector for every token of the same documents and queries; None where one a record is all there is to
            try.

    Raises:
        ShapeError, NotFiniteError: vectors are not finite matrices of one width, or there are not as many items of
            tokens.
    """

    depth: int | None
    documents: Matrix
    queries: Float32[np.ndarray, "q e"]
    fitted: bool = True
    rotation: Float32[np.ndarray, "r w"] | None = None
    encoder_bytes: int = 0
    encode_seconds: Float64[np.ndarray, " s"] = field(default_factory=lambda: np.zeros(0))
    tokens: TokenView | None = None

    def __post_init__(self) -> None:
        documents = as_matrix(self.documents, name="documents")
        as_matrix(self.queries, name="queries", dim=documents.shape[1])
        if self.rotation is not None and self.rotation.shape[1] != documents.shape[1]:
            raise ShapeError(f"a rotation must be of {documents.shape[1]} dimensions, got {self.rotation.shape}.")
        if self.tokens is not None:
            items = len(self.tokens.documents), len(self.tokens.queries)
            if items != (len(documents), len(self.queries)):
                raise ShapeError(
                    f"tokens must be of {len(documents)} documents and {len(self.queries)} queries, got {items}."
                )

    @property
    def dim(self) -> int:
        """``d``."""
        return int(self.documents.shape[1])

    def at(self, dim: int) -> tuple[Float32[np.ndarray, "n k"], Float32[np.ndarray, "q k"]]:
        """Documents and queries with ``dim`` leading dimensions.

        Raises:
            InputError: there are not as many.
        """
        if not 1 <= dim <= self.dim:
            raise InputError(f"dim must be 1 to {self.dim}, got {dim}.")
        return self.cut(self.documents, dim), self.cut(self.queries, dim)

    def made(self, dim: int) -> str:
        """Where vectors of that many dimensions come from: ``ladder``, or ``raw slice`` of the model."""
        turned = dim == self.dim or self.rotation is not None
        return "ladder" if self.fitted and turned else "raw slice"

    def cut(self, x: Matrix, dim: int) -> Float32[np.ndarray, "n k"]:
        """Any vectors of this depth with ``dim`` leading dimensions."""
        if dim == x.shape[1]:
            return x
        short: Array = x[:, :dim] if self.rotation is None or dim > len(self.rotation) else x @ self.rotation[:dim].T
        length = np.linalg.norm(short, axis=1, keepdims=True)
        return np.ascontiguousarray(short / np.where(length > 0, length, np.float32(1)), np.float32)
