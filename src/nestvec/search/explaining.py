"""Why a record was found: which token of the query was matched with which token of the record, and what that added.

MaxSim is a sum over the tokens of the query, so it takes itself apart. Where a record keeps a vector for each token,
the token is read off the text. Where it keeps the means of clusters, its text is encoded once more to see which tokens
went into each; a vector that does not come out as it is kept is left without tokens, and the explanation says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, runtime_checkable

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.record import Record
from nestvec.core.token import Token
from nestvec.core.types import JSON, Float32, Matrix
from nestvec.core.vectors import MultiVectors
from nestvec.kernels.maxsim import matches
from nestvec.search.settings import Settings
from nestvec.search.several import TOKENS, Several, TokenEncoder, token_encoder, unit
from nestvec.store import Snapshot

_SAME = 0.98  # cosine of a vector that is kept with the same one made again: bfloat16 moves it by .001, a token that
# goes to another cluster by far more

ONE_VECTOR = (
    "This collection compares one vector a record. These matches are of token vectors made just now, and the score of "
    "the search is not their sum."
)
UNKNOWN = (
    "Some of the kept vectors are not those that the encoder makes of the text now, so it is not known which tokens "
    "they stand for."
)
NO_VECTORS = "The record keeps no vectors."
NO_TOKENS = "The query has no token."


@runtime_checkable
class TokenReader(TokenEncoder, Protocol):
    """Gives a vector for every token, and says which token that is."""

    def tokens_of(self, records: Iterable[Record | str]) -> list[tuple[Token, ...]]:
        """The tokens of documents, one for each vector."""
        ...

    def tokens_of_query(self, queries: Iterable[str]) -> list[tuple[Token, ...]]:
        """The tokens of queries, one for each vector."""
        ...


@dataclass(frozen=True)
class Match:
    """A token of the query, and what answers it best.

    Args:
        query: the token of the query.
        token: of the record, the one that is most like it among those that the vector stands for; None where they
            are not known.
        cluster: all tokens that the vector stands for, in the order of the text; one where none were joined.
        vector: which of the vectors of the record it is, counted from 0.
        score: inner product with that vector, which is what the match adds.
    """

    query: Token
    token: Token | None
    cluster: tuple[Token, ...]
    vector: int
    score: float

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return {
            "query": self.query.to_json(),
            "document": None if self.token is None else self.token.to_json(),
            "cluster": [token.to_json() for token in self.cluster],
            "vector": self.vector,
            "score": round(self.score, 6),
        }


@dataclass(frozen=True)
class WordMatch:
    """A word of the query with all its tokens.

    Args:
        text: the word; of tokens that stand in no text, their name.
        matches: of its tokens.
    """

    text: str
    matches: tuple[Match, ...]

    @property
    def score(self) -> float:
        """What the word adds."""
        return math.fsum(match.score for match in self.matches)


@dataclass(frozen=True)
class Explanation:
    """How a record answers a query, token by token.

    Args:
        id: of the record.
        matches: one for each token of the query, in its order.
        compared: True where the search compares these vectors, so that its score is the sum of the matches.
        note: what has to be known to read them; empty where that is nothing.
    """

    id: str
    matches: tuple[Match, ...]
    compared: bool
    note: str = ""

    @property
    def score(self) -> float:
        """The sum of all matches."""
        return math.fsum(match.score for match in self.matches)

    def words(self) -> tuple[WordMatch, ...]:
        """The matches by words of the query: pieces of a word together, and tokens of one name side by side."""
        groups = groupby(self.matches, key=lambda match: (match.query.word_start, match.query.word))
        return tuple(WordMatch(word, tuple(some)) for (_, word), some in groups)

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return {
            "compared": self.compared,
            "note": self.note,
            "score": round(self.score, 6),
            "matches": [match.to_json() for match in self.matches],
        }


def explain(
    snapshot: Snapshot, settings: Settings, encoder: Encoder, query: str, ids: Sequence[str]
) -> list[Explanation]:
    """How each record answers a query, in the order of the ids.

    Args:
        snapshot: whose records.
        settings: of the collection.
        encoder: of the collection.
        query: as it was searched for.
        ids: of records.

    Raises:
        NotFoundError: one of them is not there.
        InputError: the encoder gives no vectors of tokens, or does not say which tokens they are.
        CorruptError: what had to be read is damaged.

    Cost: a pass over the query; where tokens were clustered, or a record has one vector, a pass over the records.

    Source: Khattab and Zaharia 2020, eq. 3 (arXiv:2004.12832).
    """
    tokens, several = _reader(encoder, settings), settings.several
    records = snapshot.get(ids)
    asked, vectors = tokens.tokens_of_query([query])[0], tokens.encode_query([query])
    if several is None:
        kept = tokens.encode(records)
        kept.space.require(vectors.space)
        best, scores = matches(vectors[0], kept.values, kept.offsets)
    else:
        several.space.require(vectors.space)
        found = snapshot.find(ids)
        codes = snapshot.several(TOKENS, np.array([found[id_] for id_ in ids], np.int64))
        kept = several.unpack(codes)
        best, scores = several.matches(vectors[0], codes)
    groups = _groups(tokens, several, records, kept)
    explained = []
    for i, record in enumerate(records):
        made = tuple(
            Match(token, groups[i][j].closest(x), groups[i][j].tokens, j, score)
            for token, x, j, score in zip(asked, vectors[0], best[i].tolist(), scores[i].tolist(), strict=True)
            if j >= 0
        )
        note = _note(made, compared=several is not None, empty=not asked)
        explained.append(Explanation(record.id, made, several is not None, note))
    return explained


def _note(made: tuple[Match, ...], *, compared: bool, empty: bool) -> str:
    if not made:
        return NO_TOKENS if empty else NO_VECTORS
    if not compared:
        return ONE_VECTOR
    return UNKNOWN if any(match.token is None for match in made) else ""


@dataclass(frozen=True, eq=False)
class _Group:
    """The tokens that one vector stands for, with their own vectors ``[m, d]`` where there are several."""

    tokens: tuple[Token, ...]
    vectors: Matrix | None = None

    def closest(self, query: Float32[np.ndarray, " d"]) -> Token | None:
        if not self.tokens:
            return None
        return self.tokens[0 if self.vectors is None else int((self.vectors @ query).argmax())]


def _groups(
    tokens: TokenReader, several: Several | None, records: list[Record], kept: MultiVectors
) -> list[list[_Group]]:
    """For each record what each of its vectors stands for."""
    named = tokens.tokens_of(records)
    found = [[_Group((token,)) for token in row] for row in named]
    fewer = [i for i in range(len(records)) if len(kept[i]) != len(named[i])]
    if several is None or not fewer:
        return found
    made = tokens.encode([records[i] for i in fewer])
    again, own = several.unpack(several.pack(made)), several.members(made)
    for n, i in enumerate(fewer):
        mine = slice(made.offsets[n], made.offsets[n + 1])
        found[i] = [_Group(())] * len(kept[i])
        if again[n].shape == kept[i].shape and len(made[n]) == len(named[i]):
            same = (unit(again[n]) * unit(kept[i])).sum(axis=1) >= _SAME
            found[i] = [_joined(named[i], made[n], own[mine] == j) if same[j] else _Group(()) for j in range(len(same))]
    return found


def _joined(tokens: tuple[Token, ...], vectors: Matrix, chosen: np.ndarray) -> _Group:
    return _Group(tuple(tokens[j] for j in np.flatnonzero(chosen)), vectors[chosen])


def _reader(encoder: Encoder, settings: Settings) -> TokenReader:
    """What gives the vectors of tokens, and their names.

    Raises:
        InputError: the encoder gives no such vectors, or does not say what they are of.
    """
    try:
        found = token_encoder(encoder, settings.encoded)
    except InputError as cause:
        raise InputError(
            f"an explanation must have a vector for each token, and {type(encoder).__name__} gives none at size "
            f"{settings.size}: {cause}"
        ) from cause
    if not isinstance(found, TokenReader):
        raise InputError(
            f"an explanation must have the tokens of a text by name, and {type(found).__name__} does not give them; it "
            "would have to have tokens_of and tokens_of_query."
        )
    return found
