"""Encoders and collections as models of MTEB, so that its tasks and its leaderboard can be run with them.

    import mteb
    from nestvec.apps.mteb import as_model
    from nestvec.encoders import load

    mteb.evaluate(as_model(load()), mteb.get_tasks(["SciFact"]))

MTEB loads torch, and so does this module; that is why it stands among the programs. See docs/adr.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nestvec.core import Record, Space
from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.protocols import Encoder
from nestvec.core.types import Array, ArrayLike, Matrix
from nestvec.evaluation.system import unit
from nestvec.search import Collection

try:
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.types import PromptType
except ImportError as cause:
    raise MissingExtraError("Running MTEB", "mteb") from cause


@dataclass(frozen=True, eq=False)
class EncoderModel:
    """An encoder, as MTEB's ``EncoderProtocol`` asks for. Made by :func:`as_model`.

    Args:
        encoder: any encoder of nestvec.
        mteb_model_meta: what MTEB knows of it; without this it would take the model for a nameless one.
    """

    encoder: Encoder
    mteb_model_meta: ModelMeta

    def encode(self, inputs: Iterable[Mapping[str, Sequence[Any]]], **context: Any) -> Matrix:
        """``[n, d]`` of all texts of a loader: queries as queries, everything else as documents.

        Args:
            inputs: batches, each with a list under ``text``.
            **context: what MTEB says of the task; only ``prompt_type`` is used.
        """
        texts = [text for batch in inputs for text in batch["text"]]
        query = context.get("prompt_type") == PromptType.query
        return self.encoder.encode_query(texts).values if query else self.encoder.encode(texts).values

    def similarity(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> Any:
        """``[n, m]`` by the metric of the space, as a torch tensor, which MTEB asks for."""
        a, b = self._compared(embeddings1), self._compared(embeddings2)
        return _tensor(a @ b.T)

    def similarity_pairwise(self, embeddings1: ArrayLike, embeddings2: ArrayLike) -> Any:
        """``[n]`` by the metric of the space, as a torch tensor."""
        a, b = self._compared(embeddings1), self._compared(embeddings2)
        return _tensor((a * b).sum(axis=1))

    def _compared(self, x: ArrayLike) -> Matrix:
        rows = np.atleast_2d(np.asarray(x, np.float32))
        return unit(rows) if self.encoder.space.metric == "cosine" else rows


@dataclass(eq=False)
class CollectionModel:
    """A collection, as MTEB's ``SearchProtocol`` asks for: it is indexed and searched as a user's would be.

    Every corpus goes into a new collection in a temporary folder, with the settings given; what is measured includes
    splitting into passages, codes and index. Made by :func:`as_model`.

    Args:
        encoder: of the collections.
        mteb_model_meta: what MTEB knows of it.
        options: for :meth:`nestvec.search.Collection.create`, such as ``budget=0`` to never split.
    """

    encoder: Encoder
    mteb_model_meta: ModelMeta
    options: Mapping[str, Any] = field(default_factory=dict)
    _folder: tempfile.TemporaryDirectory[str] | None = field(default=None, init=False, repr=False)
    _collection: Collection | None = field(default=None, init=False, repr=False)

    def index(self, corpus: Iterable[Mapping[str, Any]], **context: Any) -> None:  # noqa: ARG002  # MTEB hands it over
        """Put a corpus with ``id``, ``title`` and ``text`` into a new collection.

        Args:
            corpus: the documents.
            **context: what MTEB says of the task; not used.
        """
        self.close()
        self._folder = tempfile.TemporaryDirectory(prefix="nestvec-mteb-")
        self._collection = Collection.create(Path(self._folder.name) / "corpus", encoder=self.encoder, **self.options)
        self._collection.add(_record(row) for row in corpus)

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        top_k: int,
        top_ranked: Any = None,
        **context: Any,  # noqa: ARG002
    ) -> dict[str, dict[str, float]]:
        """``{query: {document: score}}`` of the best ``top_k`` documents of each query.

        Args:
            queries: with ``id`` and ``text``.
            top_k: how many.
            top_ranked: for each query, the only documents that may be found (reranking).
            **context: what MTEB says of the task; not used.

        Raises:
            InputError: nothing was indexed.
        """
        if self._collection is None:
            raise InputError("a corpus must be indexed before it is searched; MTEB calls index first.")
        asked = [(str(row["id"]), str(row["text"])) for row in queries]
        if top_ranked is not None:
            return {name: self._among(text, top_ranked[name], top_k) for name, text in asked}
        found = self._collection.search_many([text for _, text in asked], top_k, per_document=True)
        return {
            name: {answer.document: float(answer.score) for answer in answers}
            for (name, _), answers in zip(asked, found, strict=True)
        }

    def close(self) -> None:
        """Close the collection and take its folder away."""
        if self._collection is not None:
            self._collection.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._collection = self._folder = None

    def _among(self, text: str, candidates: Sequence[str], k: int) -> dict[str, float]:
        assert self._collection is not None  # noqa: S101  # search saw to it; this is for mypy
        answers = self._collection.search_many([text], max(len(self._collection), 1), per_document=True)[0]
        wanted = set(candidates)
        kept = [(answer.document, float(answer.score)) for answer in answers if answer.document in wanted]
        return dict(kept[:k])


def as_model(
    encoder: Encoder, *, name: str = "", collections: bool = False, **options: Any
) -> EncoderModel | CollectionModel:
    """An encoder of nestvec as a model for ``mteb.evaluate`` and ``mteb.mock_run``.

    Args:
        encoder: any encoder.
        name: for MTEB, as ``owner/model``; by default ``nestvec/`` and the name of the encoder's space.
        collections: measure collections made with it, on retrieval and reranking, instead of its bare vectors.
        **options: for :meth:`nestvec.search.Collection.create`, with ``collections``.

    Raises:
        InputError: options are given without ``collections``.
    """
    if options and not collections:
        raise InputError(f"options are for collections, got {', '.join(options)}; give collections=True as well.")
    meta = _meta(encoder.space, name)
    return CollectionModel(encoder, meta, options) if collections else EncoderModel(encoder, meta)


def _meta(space: Space, name: str) -> ModelMeta:
    told = name or f"nestvec/{space.encoder.rpartition('/')[2]}"
    known = {
        "name": told, "revision": space.fingerprint, "embed_dim": space.dim, "modalities": ["text"],
        "similarity_fn_name": ScoringFunction(space.metric), "framework": [],
        "use_instructions": bool(space.query_instruction),
    }  # fmt: skip
    return ModelMeta.create_empty().model_copy(update=known)


def _record(row: Mapping[str, Any]) -> Record:
    return Record(str(row["id"]), str(row.get("text") or ""), title=str(row.get("title") or ""))


def _tensor(x: Array) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(x))


__all__ = ["CollectionModel", "EncoderModel", "as_model"]
