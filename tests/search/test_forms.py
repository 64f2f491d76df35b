"""Both forms of a text from one pass, or from two where an encoder has no other way (nestvec.search.forms)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nestvec import MultiVectors, Record, Size, Vectors
from nestvec.search.forms import document_forms, query_forms
from tests.search.test_several import TokenWords

RECORDS = [Record("a", "cat dog"), Record("b", "sea")]


@dataclass(frozen=True)
class Pair:
    dense: Vectors | None
    multi: MultiVectors


class TokensAndMore(TokenWords):
    """Gives both at once, and says how often it was asked."""

    def __init__(self, words, *, size, single=True):
        super().__init__(words, size=size)
        self.single, self.passes = single, 0

    def encode_forms(self, records):
        self.passes += 1
        texts = [r.full_text for r in records]
        return Pair(self._words.encode_query(texts) if self.single else None, self._made(texts))

    def encode_query_forms(self, queries):
        self.passes += 1
        return Pair(self._words.encode_query(queries) if self.single else None, self._made(list(queries)))


@pytest.fixture
def make(make_encoder):
    def make(kind, **more):
        class Elastic(make_encoder):
            def at(self, size):
                size = Size.parse(size)
                return made if size.many else self

        words = Elastic()
        made = kind(words, size=Size(vectors="all"), **more)
        return words, made

    return make


def test_one_pass_gives_what_two_give(make):
    two, _ = make(TokenWords)
    one, tokens = make(TokensAndMore)
    for read, texts in ((document_forms, RECORDS), (query_forms, ["cat", "dog sea", ""])):
        (a, b), (c, d) = read(two, Size(), texts), read(one, Size(), texts)
        assert isinstance(a, Vectors)
        assert (a.values == c.values).all()
        assert (b.values == d.values).all()
        assert (b.offsets == d.offsets).all()
    assert tokens.passes == 2
    assert one.encoded == []
    assert len(two.encoded) == 2


def test_a_model_without_a_single_vector_gives_its_several_twice(make):
    words, tokens = make(TokensAndMore, single=False)
    one, many = document_forms(words, Size(), RECORDS)
    assert one is many
    one, many = query_forms(words, Size(), ["cat"])
    assert one is many
    assert tokens.passes == 2
