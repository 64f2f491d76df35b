"""The text encoder: any sentence-transformers model of one transformer, read whole and run fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, cast, final

import numpy as np

from nestvec.core import Record, Size, Space, Vectors, as_matrix
from nestvec.core.errors import InputError
from nestvec.core.types import Int64, Matrix
from nestvec.encoders import backbone, checkpoint, workers
from nestvec.encoders.chunks import chunks, each, streamed, text_of
from nestvec.encoders.depth import pooled
from nestvec.encoders.elastic import Whole
from nestvec.encoders.heads import Heads
from nestvec.encoders.ladder import Ladder, shipped
from nestvec.encoders.layers import LayeredEncoder
from nestvec.encoders.multivector import MultiVectorEncoder
from nestvec.encoders.precision import Choice, choose
from nestvec.encoders.shaping import Shaping
from nestvec.encoders.static import LadderSource, StaticEncoder
from nestvec.encoders.tokens import Tally, Tokens, encode_texts

Precision = Literal["auto", "float32", "bfloat16"]
HeadSource = Heads | str | Path | None

# Measured on two AMX cores: 2k is as fast as 4k and pads less; at 16k the activations leave the cache (a third slower).
_BUDGETS = {"cpu": 2048}
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
        size: of its vectors; full unless :meth:`at` made it smaller.
        heads: where heads on token states are: ``default`` for the folder of the model; see :meth:`load`.
    """

    space: Space
    window: int
    source: str
    folder: Path
    precision: str
    precision_reason: str
    device: str
    batch_tokens: int
    size: Size
    heads: HeadSource
    kind: ClassVar[str] = "sentence-transformer@1"

    _whole: Whole = field(repr=False)
    _stack: backbone.Stack = field(repr=False)
    _shaping: Shaping | None = field(repr=False)
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
        ladder: LadderSource = "default",
        heads: HeadSource = "default",
    ) -> TextEncoder:
        """Open a model.

        Args:
            source: ``default`` (all-MiniLM-L6-v2, from an installed package), a model folder, or a hub id. Code
                that comes with a model is never run, and pickled weights are never opened.
            precision: ``auto`` takes bfloat16 where the processor multiplies matrices in it and a self-check
                agrees with float32, else float32.
            device: ``auto`` (``cuda`` if there is one, else ``cpu``) or a torch device.
            batch_tokens: tokens in a batch, padding included; by default what suits the device.
            ladder: what smaller sizes are made with: a ladder or its folder; ``default`` for the one that comes with
                nestvec for that model, if there is one; None for the model's own layers and dimensions.
            heads: what token states are mapped with for several vectors or a sparse one: heads or their folder;
                ``default`` for those that lie in the folder of the model, as BGE-M3's do; None for none.

        Raises:
            MissingExtraError: sentence-transformers or the default model is not installed.
            InputError: ``source`` is no model that can be used, a setting is out of range, or the ladder is for
                another model.
        """
        if precision not in ("auto", "float32", "bfloat16"):
            raise InputError(f"precision must be 'auto', 'float32' or 'bfloat16', got {precision!r}.")
        if batch_tokens is not None and batch_tokens < 1:
            raise InputError(f"batch_tokens must be at least 1, got {batch_tokens}.")
        where = backbone.device_of(device)
        found = checkpoint.find(source)
        weights = found.fingerprint
        ladder = shipped(weights) if ladder == "default" else ladder
        opened = Ladder.load(ladder) if isinstance(ladder, str | Path) else ladder
        if opened is not None:
            opened.require(weights, name=found.name)
        stack = backbone.open_stack(found.folder, device=where)
        choice = choose(
            precision, stack=stack, reopen=lambda: backbone.open_stack(found.folder, device=where), device=where
        )
        encoder = cls._of(found, choice, weights=weights, device=where, ladder=opened)
        return replace(encoder, heads=heads, batch_tokens=batch_tokens or encoder.batch_tokens)

    @classmethod
    def _of(
        cls, found: checkpoint.Checkpoint, choice: Choice, *, weights: str, device: str, ladder: Ladder | None
    ) -> TextEncoder:
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
            weights=weights,
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
            batch_tokens=_BUDGETS.get(device, _GPU_BUDGET),
            size=Size(),
            heads="default",
            _whole=Whole(found, stack, space, ladder),
            _stack=stack,
            _shaping=None,
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

    @property
    def ladder(self) -> Ladder | None:
        """What smaller sizes are made with; None for the model's own layers and dimensions."""
        return self._whole.ladder

    @property
    def stack(self) -> backbone.Stack:
        """What runs at this size: for those who measure or train it."""
        return self._stack

    @property
    def layers(self) -> int:
        """How many layers the whole model has.

        Raises:
            InputError: the model does not show its layers, so that it has no size of fewer of them.
        """
        return self._whole.layers.depth

    def at(self, size: Size | str) -> TextEncoder | StaticEncoder | MultiVectorEncoder:
        """This model at another size, of whatever size this encoder is; weights are shared, and nothing is loaded.

        Depth ``k`` runs the first ``k`` layers and no others; depth 0 is the token table. A ladder with a rung of that
        depth maps what comes out to the space of the full model; without one the vectors are those of the layer. Then
        the leading dimensions are kept, of the ladder's rotation where it has one, and the vector is made unit
        again. The number of bits is kept for a codec and changes nothing here.

        More than one vector (``vall``, ``v8``, ``v25%``) is a :class:`MultiVectorEncoder`: a vector for every token.
        How many of them are kept is, like bits, a matter of what comes afterwards.

        Args:
            size: such as ``L3-v1-d128-b8``; dials that are left out are fully up.

        Raises:
            InputError: the model has no such size; the message says which it has.
        """
        asked = Size.parse(size)
        if asked.depth == 0:
            return self._whole.table(asked, window=self.window)
        if asked.many:
            return self._multi(asked)
        view = self._whole.at(asked)
        return replace(self, space=view.space, size=view.size, _stack=view.stack, _shaping=view.shaping)

    def _multi(self, asked: Size) -> MultiVectorEncoder:
        """The token vectors of this model."""
        heads = Heads.of(self.heads, folder=self.folder)
        heads.require(self._whole.space.weights, name=self._whole.space.encoder)
        return MultiVectorEncoder.of_text(self, self._whole, heads, size=asked)

    def pooled(self, records: Iterable[Record | str], *, depth: int) -> Matrix:
        """Pooled states ``[n, width]`` of layer ``depth``, without a ladder: what heads are fitted on.

        The final norm is applied where the family has one; later modules of the model (a dense layer, the
        normalisation) are not. Documents only, with the model's own instruction.
        """
        stack = pooled(self._whole.cut(depth, ladder=False))
        plain = replace(self, space=self._whole.space, _stack=stack, _shaping=None)
        texts = (text_of(record) for record in each(records))
        return plain._in_chunks(texts, prompt=plain.space.instruction, role="document")  # noqa: SLF001  # its own class

    def layered(self) -> LayeredEncoder:
        """The vectors of every depth of the whole model, and of means of its layers, from one pass over the texts.

        Raises:
            InputError: the model does not show its layers.
        """

        def through(stack: backbone.Stack, texts: Iterable[Record | str], role: str) -> Matrix:
            plain = replace(self, space=self._whole.space, _stack=stack, _shaping=None)
            prompt = plain.space.instruction if role == "document" else plain.space.query_instruction
            return plain._in_chunks((text_of(text) for text in each(texts)), prompt=prompt, role=role)  # noqa: SLF001

        return LayeredEncoder.of(self._whole, through, window=self.window)

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
            size: as for :meth:`at`, for this call.
            instruction: put before each text instead of the model's own for documents; ``""`` for none.
                The vectors then live in a space of their own.

        Raises:
            InputError: the model has no such size, or ``records`` holds something else.
            NotFiniteError: the model gave NaN or infinity.

        Warns:
            TruncationWarning: once an encoder, when a text is longer than the window.
        """
        if size is not None:
            return self._one(size).encode(records, instruction=instruction)
        space = self.space if instruction is None else replace(self.space, instruction=instruction)
        texts = (text_of(record) for record in each(records))
        return Vectors(self._in_chunks(texts, prompt=space.instruction, role="document"), space)

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Queries to ``[q, d]`` float32, in the order given. See :meth:`encode` for arguments and errors.

        An ``instruction`` for these queries is part of the question, so the vectors stay in the encoder's space:
        it is the documents that must all have been read in the same way.
        """
        if size is not None:
            return self._one(size).encode_query(queries, instruction=instruction)
        texts = (text_of(query) for query in each(queries))
        prompt = self.space.query_instruction if instruction is None else instruction
        return Vectors(self._in_chunks(texts, prompt=prompt, role="query"), self.space)

    def _one(self, size: Size | str) -> TextEncoder | StaticEncoder:
        """This model at a size of one vector an item."""
        if Size.parse(size).many:
            raise InputError(f"encode gives one vector an item, got {size}, which is several. Take at({str(size)!r}).")
        return cast("TextEncoder | StaticEncoder", self.at(size))

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], Vectors]]:
        """Documents to chunks of ``(records, vectors)``, in the order given.

        At most 2,048 records, or 8 MiB of text and one record, are read ahead. A bare string becomes a record
        whose id is its position in the stream.
        """
        return streamed(records, self.encode)

    def _in_chunks(self, texts: Iterator[str], *, prompt: str, role: str) -> Matrix:
        parts = [self._vectors(chunk, prompt=prompt, role=role) for chunk in chunks(texts, size_of=len)]
        return np.concatenate(parts) if parts else np.empty((0, self.space.dim), np.float32)

    def _vectors(self, texts: list[str], *, prompt: str, role: str) -> Matrix:
        """Vectors ``[n, d]`` of one chunk: tokenise, sort by length, run batch by batch, put back in order."""
        cutter, limit = self._cutters[role]
        found, cut = encode_texts(cutter, [prompt + text for text in texts] if prompt else texts)
        self._tally.add(cut, of=len(texts), limit=limit)
        lengths = np.array([len(row.ids) for row in found], np.int64)
        out = np.empty((len(texts), 0), np.float32)
        skip = self._prompt_tokens(prompt) if prompt and self._stack.skips_prompt else None

        def run(batch: Int64[np.ndarray, " b"]) -> Matrix:
            return backbone.forward(self._stack, self._tokens.pad([found[i] for i in batch]), prompt_length=skip)

        for batch, block in workers.by_length(run, lengths, batch_tokens=self.batch_tokens, device=self.device):
            if not out.size:
                out = np.empty((len(texts), block.shape[1]), np.float32)
            out[batch] = block
        vectors = as_matrix(out, name="vectors")
        return vectors if self._shaping is None else self._shaping(vectors)

    def _prompt_tokens(self, prompt: str) -> int:
        """Leading tokens that pooling leaves out: those of the prompt and the special ones before it."""
        return backbone.prompt_length(self._stack.tokenizer, self._tokens.whole.encode(prompt).ids)
