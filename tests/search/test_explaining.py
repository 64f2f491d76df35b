"""Why a record was found (nestvec.search.explaining), with an encoder that needs no model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from nestvec import Collection, Record, Size
from nestvec.core import Token
from nestvec.core.errors import InputError, NotFoundError
from nestvec.reducers.cluster import members, pool
from nestvec.search import Explanation, Match
from nestvec.search.explaining import NO_TOKENS, NO_VECTORS, ONE_VECTOR, UNKNOWN
from tests.search.test_several import TokenWords

TEXTS = {"cat": "the cat sat on a mat", "ship": "a ship sails the sea", "bread": "bread and salt", "none": "..."}


class NamedWords(TokenWords):
    """Words with a vector and a name each; three dots are no word."""

    def tokens_of(self, records):
        return [self._named(r if isinstance(r, str) else r.full_text) for r in records]

    def tokens_of_query(self, queries):
        return [self._named(query) for query in queries]

    def _named(self, text):
        spans = [m.span() for m in re.finditer(r"\w+", text)]
        return tuple(Token(text[a:b], text[a:b], a, b, a) for a, b in spans)

    def _made(self, found):
        return super()._made([" ".join(re.findall(r"\w+", text)) for text in found])


@pytest.fixture
def words(make_encoder):
    class Elastic(make_encoder):
        def at(self, size):
            size = Size.parse(size)
            return NamedWords(self, size=size) if size.many else self

    return Elastic()


@pytest.fixture
def make(tmp_path, words):
    def make(size="vall", encoder=words):
        made = Collection.create(tmp_path / "c", encoder=encoder, size=size)
        made.add([Record(name, text, title="") for name, text in TEXTS.items()])
        return made

    return make


def test_each_token_of_the_query_with_the_one_that_answers_it(make):
    with make() as collection:
        (hit,) = collection.search("cat on mat", 1)
        why = hit.explain()
        assert why == collection.explain("cat on mat", "cat")
        assert (why.id, why.compared, why.note) == ("cat", True, "")
        assert why.score == pytest.approx(hit.score, abs=1e-4)
        assert [match.token.text for match in why.matches] == ["cat", "on", "mat"]
        assert [TEXTS["cat"][m.token.start : m.token.end] for m in why.matches] == ["cat", "on", "mat"]
        assert [match.vector for match in why.matches] == [1, 3, 5]
        assert all(
            match.score == pytest.approx(1, abs=0.02) and match.cluster == (match.token,) for match in why.matches
        )


def test_several_records_at_once_in_the_order_asked(make):
    with make() as collection:
        some = collection.explain_many("the sea", ["bread", "ship"])
        assert [one.id for one in some] == ["bread", "ship"]
        assert some[1] == collection.explain("the sea", "ship")
        assert collection.explain_many("sea", []) == []


@pytest.mark.parametrize("size", ["v2-b16", "v50%-b16", "v2-b1"])
def test_a_cluster_shows_the_tokens_that_went_into_it(make, words, size):
    with make(size) as collection:
        kept = words.at("vall").encode([TEXTS["cat"]])
        how = {"k": 2} if size.startswith("v2") else {"ratio": 0.5}
        own = members(kept.values, kept.offsets, **how)
        means = pool(kept.values, kept.offsets, **how)[0]
        why = collection.explain("cat salt", "cat")
        assert why.score == pytest.approx({r.id: r.score for r in collection.search("cat salt", 4)}["cat"], abs=0.01)
        for match, vector in zip(why.matches, words.at("vall").encode_query(["cat salt"]).values, strict=True):
            inside = np.flatnonzero(own == match.vector)
            assert [token.text for token in match.cluster] == [TEXTS["cat"].split()[i] for i in inside]
            assert match.token.text == TEXTS["cat"].split()[inside[(kept.values[inside] @ vector).argmax()]]
            if not size.endswith("b1"):
                assert match.vector == (means @ vector).argmax()
        assert why.matches[0].token.text == "cat"
        assert (why.note, why.compared) == ("", True)


def test_clusters_that_cannot_be_made_again_are_not_named(make, monkeypatch):
    with make("v2") as collection:
        score = collection.explain("cat", "cat").score

        def other(self, records):
            return self._made([re.sub(r"\w+", "other", r.full_text) for r in records])

        monkeypatch.setattr(NamedWords, "encode", other)
        why = collection.explain("cat", "cat")
        assert (why.note, why.score) == (UNKNOWN, score)
        assert (why.matches[0].token, why.matches[0].cluster) == (None, ())
        assert why.to_json()["matches"][0]["document"] is None


def test_of_single_vectors_it_says_that_they_are_not_what_is_compared(make):
    with make("full") as collection:
        why = collection.search("cat on mat", 1)[0].explain()
        assert (why.compared, why.note) == (False, ONE_VECTOR)
        assert [match.token.text for match in why.matches] == ["cat", "on", "mat"]
        assert why.score == pytest.approx(3, abs=1e-4)


@pytest.mark.parametrize("size", ["vall", "v2"])
def test_without_vectors_or_without_tokens_there_is_nothing_to_match(make, size):
    with make(size) as collection:
        assert (collection.explain("cat", "none").matches, collection.explain("cat", "none").note) == ((), NO_VECTORS)
        assert (collection.explain("...", "cat").matches, collection.explain("...", "cat").note) == ((), NO_TOKENS)
        assert collection.explain("...", "cat").score == 0


def test_what_cannot_be_explained_is_refused_with_a_sentence(make, tmp_path, make_encoder):
    with make() as collection:
        with pytest.raises(NotFoundError, match="'dog', which is not in it"):
            collection.explain("cat", "dog")
        with pytest.raises(InputError, match="search by meaning"):
            collection.search("cat", 1, mode="lexical")[0].explain()
        hit = collection.search("cat", 1)[0]
        collection.delete([hit.id])
        with pytest.raises(NotFoundError):
            hit.explain()
    with Collection.create(tmp_path / "one", encoder=make_encoder()) as plain:
        plain.add(["cat"])
        with pytest.raises(InputError, match="a vector for each token, and WordEncoder gives none at size full"):
            plain.search("cat", 1)[0].explain()

    class Unnamed(make_encoder):
        def at(self, size):
            return TokenWords(self, size=Size.parse(size)) if Size.parse(size).many else self

    with Collection.create(tmp_path / "two", encoder=Unnamed(), size="vall") as unnamed:
        unnamed.add([Record("r", "cat")])
        with pytest.raises(InputError, match="TokenWords does not give them"):
            unnamed.explain("cat", "r")


def test_pieces_of_a_word_are_told_together_and_fillers_side_by_side():
    cat, mask = Token("cat", "cat", 0, 3, 0), Token("[MASK]", "[MASK]")
    pieces = [Token("em", "embed", 0, 2, 0), Token("bed", "embed", 2, 5, 0)]
    asked = [*pieces, Token("embed", "embed", 6, 11, 6), mask, mask]
    matches = tuple(Match(token, cat, (cat,), 0, 0.25) for token in asked)
    words = Explanation("r", matches, compared=True).words()
    assert [(word.text, len(word.matches), word.score) for word in words] == [
        ("embed", 2, 0.5), ("embed", 1, 0.25), ("[MASK]", 2, 0.5),
    ]  # fmt: skip
