"""Depth 0 with rows for n-grams: by the formula, nearer to the whole model, and in a space of its own."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, SpaceMismatchError
from nestvec.encoders import load
from nestvec.encoders.ngrams import Ngrams, NgramSums
from nestvec.tables.ngrams import NgramTable
from nestvec.training.ngrams import cache_ngrams

pytestmark = pytest.mark.text


@pytest.fixture(scope="module")
def plain(texts):
    return [text for _, text in texts]


@pytest.fixture(scope="module")
def made(model_folder, plain, tmp_path_factory):
    path = tmp_path_factory.mktemp("grams") / "n.grams"
    return cache_ngrams(model_folder, path, plain, most=300, least=2, ladder=None), path


def test_rows_of_ngrams_stand_in_the_place_of_the_last_token(made, model_folder, plain):
    table, static = NgramTable.open(made[1]), load(model_folder, size="L0", ladder=None)
    assert isinstance(table, Ngrams)
    with_them = static.with_ngrams(table)
    tokenizer = static.tokens.tokenizer
    for text in (plain[0], plain[7], "cat", ""):
        ids = np.array(tokenizer.encode(text, add_special_tokens=False).ids, np.int64)
        found = table.find(ids, np.array([0, len(ids)]))
        rows = [
            static.tokens.rows(ids[i : i + 1])[0] if n < 0 else table.rows(np.array([n]))[0]
            for i, n in enumerate(found)
        ]
        mean = np.mean(rows, axis=0) if rows else np.zeros(32)
        got = with_them.encode([text]).values[0]
        assert np.allclose(got, mean / (np.linalg.norm(mean) or 1), atol=1e-5)
    assert 0.2 < made[0].coverage < 1
    sums, counts = NgramSums(static.tokens, table)(plain[:5])
    assert sums.shape == (5, 32)
    assert counts.tolist() == static.count_tokens(plain[:5])


def test_texts_come_nearer_to_the_whole_model(made, model_folder, plain):
    whole, static = load(model_folder, ladder=None), load(model_folder, size="L0", ladder=None)
    with_them, truth = static.with_ngrams(made[0].table), whole.encode(plain).values
    near = [(encoder.encode(plain).values * truth).sum(axis=1).mean() for encoder in (static, with_them)]
    assert near[1] > near[0] + 0.02


def test_their_space_is_another_one_at_every_dim(made, model_folder, plain):
    static = load(model_folder, size="L0", ladder=None)
    with_them = static.with_ngrams(made[0].table)
    with pytest.raises(SpaceMismatchError):
        static.space.require(with_them.space)
    with pytest.raises(SpaceMismatchError):
        static.at("d8").space.require(with_them.at("d8").space)
    again = with_them.with_ngrams(NgramTable.open(made[1]))
    assert again.space == with_them.space
    assert with_them.encode(plain[:3], size="d8").values.shape == (3, 8)


def test_what_does_not_fit_is_refused(made, model_folder, plain, tmp_path):
    static, table = load(model_folder, size="L0", ladder=None), made[0].table
    other = NgramTable(table.hashes, table.codes, table.scale, table.longest, "another table")
    with pytest.raises(InputError, match="another table"):
        static.with_ngrams(other)
    with pytest.raises(InputError, match="comes 50 times"):
        cache_ngrams(model_folder, tmp_path / "n", ["cat mat"], least=50, ladder=None)
    assert not (tmp_path / "n").exists()
