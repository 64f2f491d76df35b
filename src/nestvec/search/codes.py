"""The codes of a collection: kept in derived files, extended as rows come, made anew when rows have doubled.

One small file ``codes`` holds the codec and what was measured; files ``codes_TOKEN_NNN`` hold row ids and codes, piece
by piece. The token ties the pieces to their codec, so that a new codec with new pieces takes over at the moment at
which its own file replaces the old one. Codes go by row id, and rows never move: deletes, updates, compaction and
older versions leave them right, for a code of a row that does not live is only passed over.
"""

from __future__ import annotations

import secrets
import threading
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nestvec.codecs import codec_from_arrays
from nestvec.core.coding import Bounded, Codec
from nestvec.core.errors import CorruptError, FormatError, InputError, NestvecError
from nestvec.core.portable import nbytes
from nestvec.core.types import JSON, Array, Int64
from nestvec.search.chain import ScanChain
from nestvec.search.coding import Coding
from nestvec.search.flat import Flat
from nestvec.search.settings import ARRAY
from nestvec.search.twostage import Scan, TwoStage, held_bytes, measured, scan_of, tune
from nestvec.search.warning import IndexWarning
from nestvec.store import Snapshot, Store

CODES = "codes"
FROM = 4_096
"""Rows; with fewer the exact scan of all of them takes less than a millisecond, and there is too little to fit on."""
GROWN = 2
"""Codec, codes and measurement are made anew when there are so many times more rows than when the codec was fitted, or
when so many times more rows are coded than live: all encoding together is then at most twice that of the last time."""
TAIL = 1_024
"""New rows that may lie about without codes; they are searched exactly, in a tenth of a millisecond."""
_K = 10  # results that candidates are counted for
_SAMPLE = 20_000  # rows to fit on: 78 for each of 256 codewords, the most that any codec here asks for
_ROWS = 16_384  # encoded at a time
_QUERIES = 200  # stored rows to measure recall with: .99 is then known to about .003


@dataclass(frozen=True)
class CodesReport:
    """Codes as they were made and measured.

    Args:
        codec: its name in the catalogue.
        bits: a dimension.
        bytes_per_vector: as codes are stored, row ids of 8 bytes not counted.
        rows: that were coded when the codec was fitted.
        m: candidates rescored a query, for ten results; the error bound of the codec may spare some of them.
        recall: share of the 10 nearest rows found with ``m``, on a sample of stored rows; exact is 1.
        target: the recall that was asked for; where ``fixed``, nothing came of it.
        seconds: how long fitting, encoding and measuring took.
        fixed: whether ``m`` was given; else it is the least that reaches ``target``.
    """

    codec: str
    bits: int
    bytes_per_vector: int
    rows: int
    m: int
    recall: float
    target: float
    seconds: float
    fixed: bool = False

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return dict(asdict(self))


@dataclass(frozen=True, eq=False)
class _Piece:
    """Codes of some rows, ready to be scanned."""

    name: str
    rows: Int64[np.ndarray, " n"]
    scan: Scan


@dataclass(frozen=True, eq=False)
class _Held:
    """What is in memory."""

    token: str
    codec: Codec
    report: CodesReport
    pieces: tuple[_Piece, ...]

    @cached_property
    def rows(self) -> Int64[np.ndarray, " n"]:
        """Row ids of all pieces, ascending."""
        return np.concatenate([np.zeros(0, np.int64), *(piece.rows for piece in self.pieces)])

    @property
    def nbytes(self) -> int:
        """Codes, row ids, and the codec."""
        return sum(piece.scan.nbytes + piece.rows.nbytes for piece in self.pieces) + nbytes(self.codec)


class Codes:
    """Codes of one open collection. Safe to use from several threads.

    Args:
        store: where they are kept, and the vectors that they are made of.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loading = threading.Lock()
        self._making = threading.Lock()  # apart from the other, so that searches go on while codes are made
        self._held: _Held | None = None
        self._whole = False  # every file was read once by this process, and none was damaged

    # ------------------------------------------------------------------ searching

    def over(self, flat: Flat) -> TwoStage | None:
        """Two-stage search over ``flat``; None where there are no codes for it that can be used."""
        with self._loading:
            self._held = held = self._load()
            if held is None or held.codec.dim != flat.dim or not len(held.rows):
                return None
            bounded = held.codec if isinstance(held.codec, Bounded) else None
            chain = ScanChain(tuple(piece.scan for piece in held.pieces))
            report = held.report
            return TwoStage(flat, chain, held.rows, report.m, bounded, k=_K, recall=report.recall)

    def info(self) -> dict[str, JSON] | None:
        """What is known of the codes, without reading them; None if there are none."""
        told = self._store.derived_info(CODES)
        if told is None:
            return None
        pieces = [self._store.derived_info(name) for name in self._names(told["token"])]
        coded = [piece for piece in pieces if piece is not None]
        rows = sum(int(piece["rows"]) for piece in coded)
        report = _report(told)
        memory = rows * (told.get("held", report.bytes_per_vector) + 8) + told.get("once", int(told["bytes"]))
        disk = int(told["bytes"]) + sum(int(piece["bytes"]) for piece in coded)
        return {**report.to_json(), "rows": rows, "fitted_rows": report.rows, "memory_bytes": memory, "bytes": disk}

    def _names(self, token: str) -> list[str]:
        return [name for name in self._store.derived_names() if name.startswith(f"{CODES}_{token}_")]

    def _load(self) -> _Held | None:
        """What is on the disk, keeping what is in memory of it. Pieces that are damaged are left out."""
        told = self._store.derived_info(CODES)
        if told is None:
            return None
        known = self._held if self._held is not None and self._held.token == told["token"] else None
        try:
            codec = known.codec if known else self._codec()
            if codec is None:
                return None
        except (CorruptError, FormatError, InputError, SafetensorError) as cause:
            self._warn(cause)
            return None
        there = {piece.name: piece for piece in known.pieces} if known else {}
        pieces: list[_Piece] = []
        last = -1
        for name in self._names(told["token"]):
            piece = there.get(name) if there.get(name) and self._same(there[name]) else self._piece(name, codec)
            if piece is not None and len(piece.rows) and piece.rows[0] > last:  # else an interrupted merge left it
                pieces.append(piece)
                last = int(piece.rows[-1])
        if known and [*known.pieces] == pieces:
            return known
        return _Held(told["token"], codec, _report(told), tuple(pieces))

    def _same(self, piece: _Piece) -> bool:
        """Whether a piece in memory is still the one on the disk, which may have been merged with later ones."""
        told = self._store.derived_info(piece.name)
        return told is not None and (told["rows"], told["last"]) == (len(piece.rows), int(piece.rows[-1]))

    def _codec(self) -> Codec | None:
        found = self._store.get_derived(CODES)
        return None if found is None else codec_from_arrays(load(found[0]))

    def _piece(self, name: str, codec: Codec) -> _Piece | None:
        try:
            found = self._store.get_derived(name)
            if found is None:  # it was taken away just now
                return None
            rows, codes = _unpack(found[0])
            return _Piece(name, rows, scan_of(codec, codes))
        except (CorruptError, FormatError, SafetensorError) as cause:
            self._warn(cause)
            return None

    def _warn(self, cause: Exception) -> None:
        self._whole = False
        message = f"codes of {self._store.path} cannot be used, so their rows are searched exactly: {cause}"
        warnings.warn(message, IndexWarning, stacklevel=2)

    # ------------------------------------------------------------------ keeping

    def refresh(self, coding: Coding | None, *, target: float, m: int = 0) -> CodesReport | None:
        """Bring the codes up to the newest version; None if that is done already.

        New rows are encoded and put beside what is there. All is made anew where there is nothing yet, where something
        is damaged, of another codec or target, or as :data:`GROWN` says.

        Args:
            coding: how vectors are to be kept; None to take all codes away.
            target: recall asked of the ten nearest.
            m: candidates to rescore, whatever recall that gives, and then however few rows there are; 0 for as many as
                ``target`` takes.

        Warns:
            IndexWarning: the disk refuses, vectors are damaged, or the codec cannot be fitted on these rows; those
                without codes are searched exactly.
        """
        with self._making:
            try:
                with self._store.read() as snapshot:
                    return self._refresh(flat_over(snapshot), coding, target, m)
            except NestvecError as cause:  # records are safe whatever becomes of their codes
                self._warn(cause)
                return None

    def _refresh(self, flat: Flat, coding: Coding | None, target: float, m: int) -> CodesReport | None:
        if coding is None or len(flat) < (1 if m else FROM):
            self._drop(keep="")
            return None
        told = self._store.derived_info(CODES)
        if told is None or _asked(told) != (coding.codec, coding.bits, m, 0.0 if m else target):
            return self._build(flat, coding, target, m)
        if not self._whole:
            self._whole = self._all_whole(told["token"])
        self._drop(keep=told["token"])
        spans = [self._store.derived_info(name) or {} for name in self._names(told["token"])]
        coded = sum(span["rows"] for span in spans)
        grown = len(flat) >= GROWN * told["rows"] or coded >= GROWN * len(flat)
        if not self._whole or not spans or grown:
            return self._build(flat, coding, target, m)
        last = max(span["last"] for span in spans)
        tail = flat.live[np.searchsorted(flat.live, last, side="right") :]
        if len(flat) - len(tail) > coded + TAIL:  # rows between are without codes: they were restored after damage
            return self._build(flat, coding, target, m)
        if len(tail) >= TAIL:
            self._extend(flat, tail, told["token"])
        return None

    def _all_whole(self, token: str) -> bool:
        """Read every file, and say whether all match their checksums and make sense."""
        try:
            codec = self._codec()
            last = -1
            for name in self._names(token):
                found = self._store.get_derived(name)
                rows, _ = _unpack(found[0]) if found else (np.zeros(0, np.int64), None)
                if not len(rows) or int(rows[-1]) <= last:  # a merge was interrupted: what it merged is there twice
                    self._store.drop_derived(name)
                    continue
                last = int(rows[-1])
        except (CorruptError, FormatError, InputError, SafetensorError):
            return False
        return codec is not None

    def _build(self, flat: Flat, coding: Coding, target: float, m: int) -> CodesReport:
        """Fit, encode every living row, measure, and keep; then take away what was there before."""
        start = time.monotonic()
        live, token = flat.live, secrets.token_hex(4)
        codec = fitted(coding, flat)
        codes = _encode(codec, flat, live)
        bounded = codec if isinstance(codec, Bounded) else None
        search = TwoStage(flat, scan_of(codec, codes), live, m or _K, bounded)
        tuned = measured(search, queries=_QUERIES) if m else tune(search, target=target, queries=_QUERIES)
        seconds = round(time.monotonic() - start, 3)
        width = codec.bytes_per_vector
        report = CodesReport(
            coding.codec, coding.bits, width, len(live), tuned.m, round(tuned.recall, 4), target, seconds, fixed=m > 0
        )
        memory = {"held": held_bytes(codec), "once": nbytes(codec)}
        self._put_piece(f"{CODES}_{token}_000", live, codes)
        self._store.put_derived(CODES, save(_plain(codec.arrays())), {**report.to_json(), **memory, "token": token})
        self._drop(keep=token)
        self._whole = True
        return report

    def _extend(self, flat: Flat, tail: Array, token: str) -> None:
        """Encode new rows, and put them together with the pieces before them that hold no more rows than they."""
        codec = self._codec()
        if codec is None:
            return
        codes, names = _encode(codec, flat, tail), self._names(token)
        number, merged = len(names), []
        while number > 1:  # never the first one, which is as large as all others together
            found = self._store.get_derived(names[number - 1])
            if found is None or found[1]["rows"] > len(tail):
                break
            rows, before = _unpack(found[0])
            tail, codes = np.concatenate([rows, tail]), np.concatenate([before, codes])
            number -= 1
            merged.append(names[number])
        self._put_piece(f"{CODES}_{token}_{number:03d}", tail, codes)
        for name in merged[:-1]:
            self._store.drop_derived(name)

    def _put_piece(self, name: str, rows: Array, codes: Array) -> None:
        data = save({"rows": rows, "codes": np.ascontiguousarray(codes)})
        self._store.put_derived(name, data, {"rows": len(rows), "last": int(rows[-1])})

    def _drop(self, *, keep: str) -> None:
        """Take away all pieces of other codecs than ``keep``, and the codec too if that is empty."""
        there = [name for name in self._store.derived_names() if name == CODES or name.startswith(f"{CODES}_")]
        if not keep and CODES in there:
            self._store.drop_derived(CODES)
        for name in there:
            if name != CODES and not (keep and name.startswith(f"{CODES}_{keep}_")):
                self._store.drop_derived(name)


def flat_over(snapshot: Snapshot) -> Flat:
    """Exact search over the vectors of a snapshot."""
    dims = cast("dict[str, int]", snapshot.state.settings["arrays"])
    return Flat(snapshot.segments(ARRAY), dims[ARRAY], snapshot.state.dead)


def fitted(coding: Coding, flat: Flat) -> Codec:
    """The codec of a collection, fitted on its living rows, or on a sample of 20,000: the same rows give the same."""
    live = flat.live
    chosen = np.random.default_rng(0).choice(live, min(_SAMPLE, len(live)), replace=False)
    return coding.fit(flat.vectors(np.sort(chosen)))


def _encode(codec: Codec, flat: Flat, rows: Array) -> Array:
    return np.concatenate([codec.encode(flat.vectors(rows[i : i + _ROWS])) for i in range(0, len(rows), _ROWS)])


def _plain(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: np.ascontiguousarray(value) if value.ndim else value for name, value in arrays.items()}


def _unpack(data: bytes) -> tuple[Array, Array]:
    found = load(data)
    rows, codes = found.get("rows"), found.get("codes")
    if rows is None or codes is None or len(rows) != len(codes) or rows.dtype != np.int64:
        raise FormatError(f"a piece of codes must hold a row id for each code, got the arrays {sorted(found)}.")
    return rows, codes


def _report(told: Mapping[str, Any]) -> CodesReport:
    return CodesReport(**{name: told[name] for name in CodesReport.__dataclass_fields__ if name in told})


def _asked(told: Mapping[str, Any]) -> tuple[str, int, int, float]:
    """What codes were made for: codec, bits, and so many candidates, or 0 and so much recall."""
    m = int(told["m"]) if told.get("fixed") else 0
    return told["codec"], told["bits"], m, 0.0 if m else told["target"]
