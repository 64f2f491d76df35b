"""The text encoder: any sentence-transformers model of one transformer, read whole and run fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, final

import numpy as np

from nestvec.core import Record, Size, Space, Vectors, as_matrix
from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.types import Int64, Matrix
from nestvec.encoders import backbone, checkpoint, workers
from nestvec.encoders.batches import token_batches
from nestvec.encoders.precision import Choice, choose
from nestvec.encoders.tokens import Tally, Tokens, encode_texts

try:
    import torch
except ImportError as cause:
    raise MissingExtraError("The text encoder", "text") from cause

Precision = Literal["auto", "float32", "bfloat16"]
T = TypeVar("T")

_CHUNK = 2048  # records sorted together: enough to fill batches with like lengths, few enough to hold
_CHUNK_CHARACTERS = 8 << 20  # … unless they are long; 8 MiB of text is some 2 million tokens
# Measured on two AMX cores: 2k is as fast as 4k and pads less; at 16k the activations leave the cache (a third slower).
_BUDGETS = {"cpu": 2048}
_LEAST = 128  # tokens: a smaller batch is mostly overhead
_GPU_BUDGET = 65536  # an accelerator needs more rows to be busy


@final
@dataclass(frozen=True, eq=False)
class TextEncoder:
    """Texts to vectors. Made by :meth:`load`; safe to use from several threads.

    Args:
        space: the space of every vector it gives with its own instructions.
        window: tokens of a document that one pass reads, special tokens and instruction taken off.
        source: what :meth:`load` finds it by again: ``default``, the path of a folder, or a hub id.
        folder: where it was read from.
        precision: of the arithmetic inside the model; vectors are float32.
        precision_reason: a sentence that says why that precision.
        device: where it runs.
        batch_tokens: tokens in a batch, padding included.
    """

    space: Space
    window: int
    source: str
    folder: Path
    precision: str
    precision_reason: str
    device: str
    batch_tokens: int
    kind: ClassVar[str] = "sentence-transformer@1"

    _stack: backbone.Stack = field(repr=False)
    _tokens: Tokens = field(repr=False)
    _cutters: dict[str, tuple[Any, int]] = field(repr=False)
    _tally: Tally = field(default_factory=Tally, repr=False)

    @classmethod
    def load(
        cls,
        source: str | Path = "default",
        *,
        precision: Precision = "auto",
        device: str = "auto",
        batch_tokens: int | None = None,
    ) -> TextEncoder:
        """Open a model.

        Args:
            source: ``default`` (all-MiniLM-L6-v2, from an installed package), a model folder, or a hub id. Code
                that comes with a model is never run, and pickled weights are never opened.
            precision: ``auto`` takes bfloat16 where the processor multiplies matrices in it and a self-check
                agrees with float32, else float32.
            device: ``auto`` (``cuda`` if there is one, else ``cpu``) or a torch device.
            batch_tokens: tokens in a batch, padding included; by default what suits the device.

        Raises:
            MissingExtraError: sentence-transformers or the default model is not installed.
            InputError: ``source`` is no model that can be used, or a setting is out of range.
        """
        if precision not in ("auto", "float32", "bfloat16"):
            raise InputError(f"precision must be 'auto', 'float32' or 'bfloat16', got {precision!r}.")
        if batch_tokens is not None and batch_tokens < 1:
            raise InputError(f"batch_tokens must be at least 1, got {batch_tokens}.")
        where = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        found = checkpoint.find(source)
        stack = backbone.open_stack(found.folder, device=where)
        choice = choose(precision, stack=stack, folder=found.folder, device=where)
        return cls._of(found, choice, device=where, batch_tokens=batch_tokens)

    @classmethod
    def _of(cls, found: checkpoint.Checkpoint, choice: Choice, *, device: str, batch_tokens: int | None) -> TextEncoder:
        stack = choice.stack
        tokens = Tokens.of(stack.tokenizer)
        document, query = stack.prompts
        room = stack.limits[0] - tokens.special - sum(tokens.count([document]))
        if room < 1:
            raise InputError(
                f"a model must leave room for text, got {stack.limits[0]} tokens, all taken by special tokens and the "
                f"instruction {document!r}. Raise max_seq_length or shorten the prompt in the model's configuration."
            )
        space = Space(
            encoder=found.name,
            weights=found.fingerprint,
            pooling=stack.pooling,
            dim=stack.dim,
            instruction=document,
            query_instruction=query,
            metric=stack.metric,
            unit=stack.unit,
        )
        return cls(
            space=space,
            window=room,
            source=found.source,
            folder=found.folder,
            precision=choice.precision,
            precision_reason=choice.reason,
            device=device,
            batch_tokens=batch_tokens or _BUDGETS.get(device, _GPU_BUDGET),
            _stack=stack,
            _tokens=tokens,
            _cutters={
                role: (tokens.cut_at(limit), limit)
                for role, limit in zip(("document", "query"), stack.limits, strict=True)
            },
        )

    @property
    def truncated(self) -> int:
        """How many texts, queries among them, were longer than the window since this encoder was opened."""
        return self._tally.count

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        """How many tokens each text takes, special tokens and instruction not counted."""
        return self._tokens.count(texts)

    def encode(
        self, records: Iterable[Record | str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Documents to ``[n, d]`` float32, in the order given.

        A record is read as its title, a space, and its text. Only the vectors of all records are held at
        once; for more of them than memory has room for, see :meth:`stream`.

        Args:
            records: any number; none gives ``[0, d]``.
            size: ``None`` or ``full``.
            instruction: put before each text instead of the model's own for documents; ``""`` for none.
                The vectors then live in a space of their own.

        Raises:
            InputError: ``size`` is not full, or ``records`` holds something else.
            NotFiniteError: the model gave NaN or infinity.

        Warns:
            TruncationWarning: once an encoder, when a text is longer than the window.
        """
        space = self.space if instruction is None else replace(self.space, instruction=instruction)
        _check_size(size)
        texts = (_text(record) for record in _each(records))
        return Vectors(self._in_chunks(texts, prompt=space.instruction, role="document"), space)

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Queries to ``[q, d]`` float32, in the order given. See :meth:`encode` for arguments and errors.

        An ``instruction`` for these queries is part of the question, so the vectors stay in the encoder's space:
        it is the documents that must all have been read in the same way.
        """
        _check_size(size)
        texts = (_text(query) for query in _each(queries))
        prompt = self.space.query_instruction if instruction is None else instruction
        return Vectors(self._in_chunks(texts, prompt=prompt, role="query"), self.space)

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], Vectors]]:
        """Documents to chunks of ``(records, vectors)``, in the order given.

        At most 2,048 records, or 8 MiB of text and one record, are read ahead. A bare string becomes a record
        whose id is its position in the stream.
        """
        made = (
            record if isinstance(record, Record) else Record(str(position), _text(record))
            for position, record in enumerate(_each(records))
        )
        for chunk in _chunks(made, size_of=lambda record: len(record.full_text)):
            yield chunk, self.encode(chunk)

    def _in_chunks(self, texts: Iterator[str], *, prompt: str, role: str) -> Matrix:
        parts = [self._vectors(chunk, prompt=prompt, role=role) for chunk in _chunks(texts, size_of=len)]
        return np.concatenate(parts) if parts else np.empty((0, self.space.dim), np.float32)

    def _vectors(self, texts: list[str], *, prompt: str, role: str) -> Matrix:
        """Vectors ``[n, d]`` of one chunk: tokenise, sort by length, run batch by batch, put back in order."""
        cutter, limit = self._cutters[role]
        found, cut = encode_texts(cutter, [prompt + text for text in texts] if prompt else texts)
        self._tally.add(cut, of=len(texts), limit=limit)
        lengths = np.array([len(row.ids) for row in found], np.int64)
        out = np.empty((len(texts), self.space.dim), np.float32)
        skip = self._prompt_tokens(prompt) if prompt and self._stack.skips_prompt else None
        # a few short texts make one batch; cut in as many as there are threads, all of them have work
        share = -(-int(lengths.sum()) // workers.threads(self.device))
        batches = list(token_batches(lengths, budget=min(self.batch_tokens, max(share, _LEAST))))

        def run(batch: Int64[np.ndarray, " b"]) -> Matrix:
            return backbone.forward(self._stack, self._tokens.pad([found[i] for i in batch]), prompt_length=skip)

        for batch, block in zip(batches, workers.side_by_side(run, batches, device=self.device), strict=True):
            out[batch] = block
        return as_matrix(out, name="vectors")

    def _prompt_tokens(self, prompt: str) -> int:
        """Leading tokens that pooling leaves out: those of the prompt and the special ones before it."""
        return backbone.prompt_length(self._stack.tokenizer, self._tokens.whole.encode(prompt).ids)


def _each(records: Iterable[Any]) -> Iterable[Any]:
    if isinstance(records, str | Record):
        raise InputError(f"texts must come as several, got one {type(records).__name__}. For one text pass [text].")
    return records


def _text(record: Any) -> str:
    if isinstance(record, Record):
        return record.full_text
    if not isinstance(record, str):
        raise InputError(f"a text must be a Record or a str, got {type(record).__name__}: {record!r:.60}.")
    return record


def _check_size(size: Size | str | None) -> None:
    if size is not None and Size.parse(size) != Size():
        raise InputError(
            f"this encoder gives full size only, got {str(size)!r}. Leave size out, and shorten the vectors afterwards."
        )


def _chunks(items: Iterable[T], *, size_of: Any) -> Iterator[list[T]]:
    """Items in lists of at most ``_CHUNK``, fewer where they are long."""
    chunk: list[T] = []
    held = 0
    for item in items:
        chunk.append(item)
        held += size_of(item)
        if len(chunk) == _CHUNK or held >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk
