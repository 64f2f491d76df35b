"""The multi-vector encoder: a vector for every token of a text, from any model that the text encoder opens.

With the heads of a model it gives all three forms in one pass: one vector, sparse weights, and a vector a token.

Source: Khattab and Zaharia 2020 (arXiv:2004.12832), for late interaction; Chen et al. 2024, sec. 3.2
(arXiv:2402.03216), for the three forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np

from nestvec.core import MultiVectors, Record, Size, Space, Token
from nestvec.core.errors import InputError
from nestvec.core.types import Int64
from nestvec.encoders import backbone, checkpoint, workers
from nestvec.encoders.chunks import chunks, each, text_of
from nestvec.encoders.colbert import open_late, width_of
from nestvec.encoders.elastic import View, Whole
from nestvec.encoders.forms import Forms, Read, Shapes
from nestvec.encoders.heads import Heads
from nestvec.encoders.late import Late, Role, plain_late
from nestvec.encoders.precision import choose
from nestvec.encoders.token_texts import token_texts
from nestvec.encoders.tokens import Tally, Tokens, encode_texts

Precision = Literal["auto", "float32", "bfloat16"]
_BATCH_TOKENS = {"cpu": 2048}  # as for one vector a text; see nestvec.encoders.text
_GPU_BATCH_TOKENS = 65536


@final
@dataclass(frozen=True, eq=False)
class MultiVectorEncoder:
    """Texts to a vector for every token. Made by :meth:`load`, or by ``at("vall")`` of a text encoder.

    How many vectors of an item are kept (``v8``, ``v25%``) is a matter of what comes afterwards, as bits are: the
    encoder gives all of them, and :attr:`size` says what was asked for. Safe to use from several threads.

    Args:
        space: of every vector it gives, those of documents and of queries.
        window: tokens of a document that one pass reads, special tokens and instruction taken off.
        source: what finds the model again.
        folder: where it was read from.
        precision: of the arithmetic inside the model; vectors are float32.
        precision_reason: a sentence that says why that precision.
        device: where it runs.
        batch_tokens: tokens in a batch, padding included.
        size: as it was asked for, with ``vectors`` ``"all"`` where nothing was said.
        late: how texts are read and which vectors are kept.
        heads: on token states, if there are any.
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
    late: Late
    heads: Heads
    kind: ClassVar[str] = "multi-vector@1"

    _whole: Whole = field(repr=False)
    _stack: backbone.Stack = field(repr=False)
    _shapes: Shapes = field(repr=False)
    _width: int = field(repr=False)
    _tokens: Tokens = field(repr=False)
    _cutters: dict[str, Any] = field(repr=False)
    _tally: Tally = field(default_factory=Tally, repr=False)
    _single: Any = field(default=None, repr=False)

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        precision: Precision = "auto",
        device: str = "auto",
        batch_tokens: int | None = None,
    ) -> MultiVectorEncoder:
        """Open a checkpoint made for late interaction: sentence-transformers' multi-vector form, or a PyLate folder.

        For any other model load the text encoder, and call ``at("vall")``.

        Args:
            source: a model folder or a hub id. Code that comes with a model is never run.
            precision: as for :meth:`TextEncoder.load <nestvec.encoders.TextEncoder.load>`.
            device: ``auto`` or a torch device.
            batch_tokens: tokens in a batch, padding included; by default what suits the device.

        Raises:
            MissingExtraError: sentence-transformers is not installed.
            InputError: ``source`` is no such checkpoint, or a setting is out of range.
        """
        if precision not in ("auto", "float32", "bfloat16"):
            raise InputError(f"precision must be 'auto', 'float32' or 'bfloat16', got {precision!r}.")
        if batch_tokens is not None and batch_tokens < 1:
            raise InputError(f"batch_tokens must be at least 1, got {batch_tokens}.")
        found = checkpoint.find(source)
        if not found.late:
            raise InputError(
                f"a multi-vector checkpoint must say that it is one, got {found.name!r}, which does not. "
                "Load it as a text encoder, and take encoder.at('vall')."
            )
        where = backbone.device_of(device)
        stack, late = open_late(found.folder, device=where)
        choice = choose(
            precision, stack=stack, reopen=lambda: open_late(found.folder, device=where)[0], device=where
        )  # fmt: skip
        space = Space(
            encoder=found.name,
            weights=found.fingerprint,
            pooling="tokens",
            dim=stack.dim,
            instruction=late.prompts[0],
            query_instruction=late.prompts[1],
            metric=stack.metric,
            unit=stack.unit,
        )
        whole = Whole(found, choice.stack, space, None)
        made = cls._of(whole, late, Heads(), precision=(choice.precision, choice.reason), size=Size(vectors="all"))
        return made if batch_tokens is None else replace(made, batch_tokens=batch_tokens)

    @classmethod
    def of_text(cls, text: Any, whole: Whole, heads: Heads, *, size: Size) -> MultiVectorEncoder:
        """The token vectors of a text encoder; weights are shared.

        Args:
            text: the text encoder, whose precision, batches and tally of cut texts are taken over.
            whole: its model.
            heads: on its token states.
            size: with more than one vector.

        Raises:
            InputError: the model has no such size.
        """
        stack = whole.stack
        late = plain_late(stack.prompts, stack.limits, stack.tokenizer, like_m3=heads.like_m3)
        made = cls._of(whole, late, heads, precision=(text.precision, text.precision_reason), size=size)
        return replace(made, batch_tokens=text.batch_tokens, _tally=text._tally, _single=text)  # noqa: SLF001  # one model

    @classmethod
    def _of(
        cls, whole: Whole, late: Late, heads: Heads, *, precision: tuple[str, str], size: Size
    ) -> MultiVectorEncoder:
        stack, width = whole.stack, width_of(whole.stack)
        tokens = Tokens.of(stack.tokenizer)
        prompt, limit = late.prompts[0], late.limits[0]
        room = limit - tokens.special - sum(tokens.count([prompt]))
        if room < 1:
            raise InputError(
                f"a model must leave room for text, got {limit} tokens, all taken by special tokens and the "
                f"instruction {prompt!r}. Raise the length of documents in the model's configuration."
            )
        made = cls(
            space=whole.space,
            window=room,
            source=whole.found.source,
            folder=whole.found.folder,
            precision=precision[0],
            precision_reason=precision[1],
            device=stack.device,
            batch_tokens=_BATCH_TOKENS.get(stack.device, _GPU_BATCH_TOKENS),
            size=size,
            late=late,
            heads=heads,
            _whole=whole,
            _stack=stack,
            _shapes=Shapes.of(whole.at(Size()), late, heads, width=width),
            _width=width,
            _tokens=tokens,
            _cutters={
                role: tokens.cut_at(limit) for role, limit in zip(("document", "query"), late.limits, strict=True)
            },
        )
        return made._at(size)

    @property
    def truncated(self) -> int:
        """How many texts, queries among them, were longer than the window since this encoder was opened."""
        return self._tally.count

    @property
    def forms(self) -> tuple[str, ...]:
        """Which forms :meth:`encode_forms` gives at this size: of ``dense``, ``sparse`` and ``multi``."""
        return self._shapes.forms

    def at(self, size: Size | str) -> Any:
        """This model at another size: ``vall``, ``v8`` and ``v25%`` are this encoder, ``v1`` the one of one vector.

        Args:
            size: such as ``L3-vall-d128``; at depth ``k`` the states of layer ``k`` are given, mapped by the ladder's
                head where the model takes the mean of its tokens.

        Returns:
            A :class:`MultiVectorEncoder`, or for one vector what :meth:`TextEncoder.at` gives.

        Raises:
            InputError: the model has no such size.
        """
        asked = Size.parse(size)
        if asked.vectors == 1 and self._single is not None:
            return self._single.at(asked)
        if asked.vectors == 1:
            raise InputError(
                f"vectors must be more than 1 for {self.space.encoder}, which was made for late interaction and gives "
                f"no single vector, got {asked}."
            )
        return self._at(asked)

    def _at(self, asked: Size) -> MultiVectorEncoder:
        if asked.depth == 0:
            raise InputError(f"depth must be 1 or more for token vectors, got {asked}.")
        turned = replace(asked, vectors=None)
        view: View = self._whole.at(replace(turned, bits=None))
        shapes = Shapes.of(view, self.late, self.heads, width=self._width)
        return replace(
            self,
            size=replace(view.size, vectors=asked.vectors or "all", bits=asked.bits),
            space=shapes.space(name=self._whole.found.name),
            _stack=view.stack,
            _shapes=shapes,
        )

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        """How many tokens each text takes, special tokens and instruction not counted."""
        return self._tokens.count(texts)

    def encode(
        self, records: Iterable[Record | str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> MultiVectors:
        """Documents to a vector for every token that is kept, in the order given.

        Args:
            records: any number; none gives no item.
            size: as for :meth:`at`, for this call.
            instruction: put before each text instead of the model's own; ``""`` for none.

        Returns:
            Items in the order given, their tokens in the order of the text, each of length 1 where the space says
            so. Every text has one vector at least.

        Raises:
            InputError: the model has no such size, or ``records`` holds something else.
            NotFiniteError: the model gave NaN or infinity.

        Warns:
            TruncationWarning: once an encoder, when a text is longer than the window.
        """
        return self._at_size(size)._forms(records, "document", instruction).multi  # noqa: SLF001  # its own class

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> MultiVectors:
        """Queries to a vector for every token, augmented as the checkpoint says. See :meth:`encode`."""
        return self._at_size(size)._forms(queries, "query", instruction).multi  # noqa: SLF001  # its own class

    def encode_forms(self, records: Iterable[Record | str], *, instruction: str | None = None) -> Forms:
        """Documents to one vector, sparse weights and a vector a token, in one pass; see :attr:`forms`."""
        return self._forms(records, "document", instruction)

    def encode_query_forms(self, queries: Iterable[str], *, instruction: str | None = None) -> Forms:
        """Queries in all forms, in one pass."""
        return self._forms(queries, "query", instruction)

    def tokens_of(self, records: Iterable[Record | str], *, instruction: str | None = None) -> list[tuple[Token, ...]]:
        """The tokens of documents that :meth:`encode` gives vectors for, in the same order; the model does not run.

        Args:
            records: as for :meth:`encode`; of a record, places are those in its title, a space, and its text.
            instruction: likewise.
        """
        return self._token_texts(records, "document", instruction)

    def tokens_of_query(self, queries: Iterable[str], *, instruction: str | None = None) -> list[tuple[Token, ...]]:
        """The tokens of queries that :meth:`encode_query` gives vectors for; those put after a query have no place."""
        return self._token_texts(queries, "query", instruction)

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], MultiVectors]]:
        """Documents to chunks of ``(records, vectors)``, in the order given, never all in memory."""
        made = (
            record if isinstance(record, Record) else Record(str(position), text_of(record))
            for position, record in enumerate(each(records))
        )
        for chunk in chunks(made, size_of=lambda record: len(record.full_text)):
            yield chunk, self.encode(chunk)

    def scores(self, records: Iterable[Record | str]) -> list[np.ndarray]:
        """What the ``select`` head says of each token vector that :meth:`encode` gives, an array ``[t_i]`` an item.

        Raises:
            InputError: there is no such head.
        """
        if self._shapes.heads.select is None:
            raise InputError("scores must come from a select head, got a model without. Fit heads for it.")
        return [read.scores for read in self._reads(records, "document", None) if read.scores is not None]

    def _at_size(self, size: Size | str | None) -> MultiVectorEncoder:
        if size is None:
            return self
        asked = Size.parse(size)
        return self._at(asked if asked.many else replace(asked, vectors=self.size.vectors))

    def _forms(self, records: Iterable[Record | str], role: Role, instruction: str | None) -> Forms:
        space = self.space
        if instruction is not None and role == "document":
            space = replace(space, instruction=instruction)
        return self._shapes.gather(list(self._reads(records, role, instruction)), space)

    def _token_texts(
        self, records: Iterable[Record | str], role: Role, instruction: str | None
    ) -> list[tuple[Token, ...]]:
        prompt = self.late.prompt(role) if instruction is None else instruction
        out = []
        for chunk in chunks((prompt + text_of(record) for record in each(records)), size_of=len):
            for whole, found in zip(chunk, encode_texts(self._cutters[role], chunk)[0], strict=True):
                arrays, keep = self.late.arrays(self._tokens, [found], role=role)
                ids = arrays["input_ids"][0]
                out.append(token_texts(self._tokens.whole, found, ids, keep[0], whole=whole, prompt=len(prompt)))
        return out

    def _reads(self, records: Iterable[Record | str], role: Role, instruction: str | None) -> Iterator[Read]:
        prompt = self.late.prompt(role) if instruction is None else instruction
        for chunk in chunks((text_of(record) for record in each(records)), size_of=len):
            yield from self._read([prompt + text for text in chunk] if prompt else chunk, role, prompt)

    def _read(self, texts: list[str], role: Role, prompt: str) -> list[Read]:
        """One chunk: tokenise, sort by length, run batch by batch, put back in order."""
        found, cut = encode_texts(self._cutters[role], texts)
        self._tally.add(cut, of=len(texts), limit=self.late.limit(role))
        lengths = np.array([max(len(row.ids), self.late.least(role)) for row in found], np.int64)
        skip = None
        if prompt and self._stack.skips_prompt:
            skip = backbone.prompt_length(self._stack.tokenizer, self._tokens.whole.encode(prompt).ids)

        def run(batch: Int64[np.ndarray, " b"]) -> list[Read]:
            arrays, keep = self.late.arrays(self._tokens, [found[i] for i in batch], role=role)
            vectors, states = backbone.forward_tokens(self._stack, arrays, prompt_length=skip)
            return self._shapes.read(arrays, keep, vectors, states)

        out: list[Read | None] = [None] * len(texts)
        for batch, reads in workers.by_length(run, lengths, batch_tokens=self.batch_tokens, device=self.device):
            for i, read in zip(batch, reads, strict=True):
                out[i] = read
        return [read for read in out if read is not None]
