"""Depth 0: a vector from the token table alone, in numpy. No torch, no transformers.

``v = unit(P' mean_t(s_t c_t) + b)`` over the tokens ``t`` of a text, special tokens left out; ``c`` int8 codes, ``s``
scales that carry the tokens' weights, ``P`` and ``b`` fitted, all from a ladder. Without a ladder ``v`` is the mean
of the model's own input embeddings, which is a poor vector for most models and a yardstick for the others.

Source: Tulkens and van Dongen 2024 (Model2Vec) for tables distilled from a model; Arora et al. 2017 for the weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from nestvec.core import Record, Size, Space, Vectors, as_matrix
from nestvec.core.errors import InputError
from nestvec.core.types import Float32, Matrix
from nestvec.encoders import checkpoint
from nestvec.encoders.chunks import chunks, each, streamed, text_of
from nestvec.encoders.embeddings import open_embeddings
from nestvec.encoders.ladder import Ladder, shipped, shipped_at_depth_0
from nestvec.encoders.ngrams import Ngrams, NgramSums
from nestvec.encoders.shaping import Shaping
from nestvec.encoders.sizing import resolve, smaller_space
from nestvec.encoders.vocabulary import find_vocabulary, load_vocabulary
from nestvec.encoders.words import TokenSums, open_tokenizer, token_ids

LadderSource = Ladder | str | Path | None
_WINDOW = 512  # tokens, where the model's files name no limit


@final
@dataclass(frozen=True, eq=False)
class StaticEncoder:
    """Texts to vectors by looking tokens up. Made by :meth:`load`, or by ``at("L0")`` of a text encoder.

    Safe to use from several threads. A text of any length is read whole. A text without a token gives the
    direction of the bias, or a vector of zeros where there is none.

    Args:
        space: of every vector it gives with no instruction.
        size: with depth 0.
        window: tokens that the whole model would read; passages cut to it suit either.
        source: what finds the model again.
        folder: of the model.
        ladder: whose table it is, None for the model's own embeddings.
        nbytes: of the table as it is stored; only rows of tokens that were met are read.
        truncated: how many texts were cut: none ever is.
        ngrams: rows for runs of tokens, see :meth:`with_ngrams`; None where there are none.
    """

    space: Space
    size: Size
    window: int
    source: str
    folder: Path
    ladder: Ladder | None
    nbytes: int
    truncated: int = 0
    ngrams: Ngrams | None = None
    kind: ClassVar[str] = "static@1"

    _sums: TokenSums | NgramSums = field(kw_only=True, repr=False)
    _shaping: Shaping = field(kw_only=True, repr=False)
    _full: Space = field(kw_only=True, repr=False)

    @classmethod
    def load(
        cls, source: str | Path = "default", *, size: Size | str = "L0", ladder: LadderSource = "default"
    ) -> StaticEncoder:
        """Open the token table of a model, without opening the model.

        Args:
            source: ``default``, a model folder, or a hub id; as for :meth:`TextEncoder.load`.
            size: of depth 0.
            ladder: a ladder or its folder; ``default`` for the one that comes with nestvec for that model, if there
                is one; None for the model's own embeddings.

        Raises:
            MissingExtraError: safetensors, tokenizers or the default model is not installed.
            InputError: the model has no tokenizer.json or no table that can be read, the size is not one of depth 0,
                or the ladder is for another model.
        """
        found = checkpoint.find(source)
        weights = None
        if ladder == "default":
            # a pass over the weights would take longer than all else, and the table needs none of them
            ladder = shipped_at_depth_0(found.name, found.tokenizer) if found.source == "default" else None
            weights = None if ladder else found.fingerprint
            ladder = ladder or shipped(str(weights))
        opened = Ladder.load(ladder) if isinstance(ladder, str | Path) else ladder
        return cls.of(found, size=size, ladder=opened, weights=weights)

    @classmethod
    def of(
        cls,
        found: checkpoint.Checkpoint,
        *,
        size: Size | str,
        ladder: Ladder | None,
        weights: str | None = None,
        window: int | None = None,
    ) -> StaticEncoder:
        """Depth 0 of a model that has been found.

        Args:
            found: the model.
            size: of depth 0.
            ladder: its table is used if it has one.
            weights: fingerprint of the model, if it is known already; it takes a pass over the weights.
            window: tokens that the whole model reads, if it is known already.
        """
        if ladder is not None and (found.source != "default" or found.tokenizer != ladder.tokenizer):
            weights = weights or found.fingerprint
            ladder.require(weights, name=found.name)
        if ladder is not None and ladder.rung(0) is None:
            ladder = None
        tokenizer = open_tokenizer(found.tokenizer_file)
        sums, nbytes = _table(ladder, tokenizer) if ladder else _embeddings(found.folder, tokenizer)
        head = _head(ladder) if ladder else None
        full = Space(
            encoder=found.name,
            weights=ladder.base if ladder else weights or found.fingerprint,
            pooling="mean",
            dim=ladder.dim if ladder else sums.width,
        )
        asked = _of_depth_0(size, dim=full.dim, name=found.name)
        dim = asked.dim or full.dim
        rotation = ladder.rotation(dim) if ladder else None
        return cls(
            space=smaller_space(full, asked, dim=dim, ladder=ladder.fingerprint(0) if ladder else ""),
            size=asked,
            window=window or _window(found.folder) - int(tokenizer.num_special_tokens_to_add(is_pair=False)),
            source=found.source,
            folder=found.folder,
            ladder=ladder,
            _sums=sums,
            _shaping=Shaping.of(dim, unit=True, head=head, rotation=rotation),
            _full=full,
            nbytes=nbytes,
        )

    def at(self, size: Size | str) -> StaticEncoder:
        """This encoder at another dim; the table is shared. A size without a depth means depth 0.

        Raises:
            InputError: the size is not one of depth 0, or wider than the table.
        """
        asked = _of_depth_0(size, dim=self._full.dim, name=self._full.encoder)
        dim = asked.dim or self._full.dim
        made_by = self.ladder.fingerprint(0) if self.ladder else ""
        if self.ngrams is not None:
            made_by += f"\0{self.ngrams.fingerprint}"
        head = None if self.ladder is None else _head(self.ladder)
        rotation = self.ladder.rotation(dim) if self.ladder else None
        return replace(
            self,
            space=smaller_space(self._full, asked, dim=dim, ladder=made_by),
            size=asked,
            _shaping=Shaping.of(dim, unit=True, head=head, rotation=rotation),
        )

    @property
    def table(self) -> str:
        """Fingerprint of the token table, at every dim the same."""
        return self.ladder.fingerprint(0) if self.ladder else self._full.weights

    @property
    def tokens(self) -> TokenSums:
        """The plain table: sums of the rows of tokens."""
        return self._sums.tokens if isinstance(self._sums, NgramSums) else self._sums

    @property
    def head(self) -> tuple[Matrix, Float32[np.ndarray, " d"]]:
        """``(W [d, r], b [d])``: a vector of full width is ``unit(W mean + b)`` of the mean of rows."""
        found = _head(self.ladder) if self.ladder else None
        wide = self._full.dim
        return found or (np.eye(wide, dtype=np.float32), np.zeros(wide, np.float32))

    def with_ngrams(self, ngrams: Ngrams) -> StaticEncoder:
        """This encoder with rows for runs of tokens, in a space of its own.

        Args:
            ngrams: made for this table, see :func:`nestvec.training.ngrams.cache_ngrams`.

        Raises:
            InputError: they were made for another table.
        """
        if ngrams.base != self.table:
            raise InputError(f"n-grams must be made for the token table {self.table}, got some for {ngrams.base}.")
        return replace(self, ngrams=ngrams, _sums=NgramSums(self.tokens, ngrams)).at(self.size)

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        """How many tokens each text takes."""
        return [len(ids) for ids in token_ids(self._sums.tokenizer, texts)]

    def encode(
        self, records: Iterable[Record | str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Documents to ``[n, d]`` float32, in the order given; see :meth:`TextEncoder.encode`."""
        if size is not None:
            return self.at(size).encode(records, instruction=instruction)
        space = self.space if instruction is None else replace(self.space, instruction=instruction)
        return Vectors(self._in_chunks(records, prompt=space.instruction), space)

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Queries to ``[q, d]`` float32, in the order given, by the same table."""
        if size is not None:
            return self.at(size).encode_query(queries, instruction=instruction)
        return Vectors(self._in_chunks(queries, prompt=instruction or ""), self.space)

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], Vectors]]:
        """Documents to chunks of ``(records, vectors)``, in the order given; see :meth:`TextEncoder.stream`."""
        return streamed(records, self.encode)

    def _in_chunks(self, records: Iterable[Any], *, prompt: str) -> Matrix:
        texts = (prompt + text_of(record) for record in each(records))
        parts = [self._vectors(chunk) for chunk in chunks(texts, size_of=len)]
        return np.concatenate(parts) if parts else np.empty((0, self.space.dim), np.float32)

    def _vectors(self, texts: list[str]) -> Matrix:
        sums, tokens = self._sums(texts)
        return as_matrix(self._shaping(sums / np.maximum(tokens, 1)[:, None]), name="vectors")


def _of_depth_0(size: Size | str, *, dim: int, name: str) -> Size:
    asked = Size.parse(size)
    if asked.depth not in (None, 0):
        raise InputError(
            f"depth must be 0 for a token table, got {asked.depth} ({asked}). Open the whole model: "
            f"nestvec.encoders.load(…, size={str(asked)!r})."
        )
    return resolve(replace(asked, depth=0), depth=None, dim=dim, name=name)


def _table(ladder: Ladder, tokenizer: Any) -> tuple[TokenSums, int]:
    codes, scale = ladder.tensors["table.codes"], ladder.tensors["table.scale"]
    if len(codes) < tokenizer.get_vocab_size(with_added_tokens=True):
        raise InputError(f"a table must have a row a token, {tokenizer.get_vocab_size()}, got {len(codes)}.")

    def rows(ids: np.ndarray) -> Matrix:
        found: Matrix = codes[ids] * scale[ids].astype(np.float32)[:, None]
        return found

    nbytes = sum(tensor.nbytes for name, tensor in ladder.tensors.items() if name.startswith("table."))
    return TokenSums(tokenizer, rows, width=codes.shape[1]), nbytes


def _head(ladder: Ladder) -> tuple[np.ndarray, np.ndarray] | None:
    projection, bias = ladder.tensors.get("table.projection"), ladder.tensors.get("table.bias")
    if projection is None and bias is None:
        return None
    weight = np.eye(ladder.dim, dtype=np.float32) if projection is None else projection.T.astype(np.float32)
    return weight, np.zeros(ladder.dim, np.float32) if bias is None else bias.astype(np.float32)


def _embeddings(folder: Path, tokenizer: Any) -> tuple[TokenSums, int]:
    coded = find_vocabulary(folder)
    if coded is not None:
        vocabulary = load_vocabulary(coded)
        return TokenSums(tokenizer, vocabulary.rows, width=vocabulary.dim), vocabulary.nbytes
    table = open_embeddings(folder)
    return TokenSums(tokenizer, table.rows, width=table.width), table.values.nbytes


def _window(folder: Path) -> int:
    """Tokens that the model reads, special tokens included, as its files say."""
    names = (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
        ("config.json", "max_position_embeddings"),
    )
    for file, key in names:
        path = folder / file
        found = json.loads(path.read_text(encoding="utf-8")).get(key) if path.is_file() else None
        if found and found < 10**6:  # transformers writes 1e30 where there is no limit
            return int(found)
    return _WINDOW
