"""Token tables that take fewer bytes, and the models that read them."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, UnknownNameError
from nestvec.training.vocabulary import METHODS, compress_rows, compress_vocab, token_weights

pytestmark = pytest.mark.text


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(400, 6)) @ rng.normal(size=(6, 24)) + rng.normal(size=24)).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("part", [0.6, 0.45])
def test_bytes_are_kept_to_and_nearly_used(rows, method, part):
    weights = np.full(len(rows), 1 / len(rows))
    budget = int(rows.nbytes * part)
    made = compress_rows(rows, weights, method=method, nbytes=budget)
    assert made.nbytes <= budget
    size, _, most = METHODS[method]
    assert made.nbytes in {size(400, 24, m) for m in range(1, most(24) + 1)}  # the formula is what comes out
    every = np.arange(len(rows))
    left = np.square(made.rows(every) - rows).sum() / np.square(rows).sum()
    assert left < 1
    again = compress_rows(rows, weights, method=method, nbytes=budget)
    assert (again.rows(every) == made.rows(every)).all()


def test_weights_move_what_is_kept(rows):
    heavy = np.full(len(rows), 1e-9)
    heavy[:50] = 0.02
    heavy /= heavy.sum()
    alike = np.full(len(rows), 1 / len(rows))
    budget = rows.nbytes * 2 // 5

    def error(weights):
        made = compress_rows(rows, weights, method="pq", nbytes=budget)
        return np.square(made.rows(np.arange(50)) - rows[:50]).sum()

    assert error(heavy) < 0.5 * error(alike)


def test_too_small_a_budget_says_how_small_it_can_be(rows):
    weights = np.full(len(rows), 1 / len(rows))
    for method, (size, _, most) in METHODS.items():
        with pytest.raises(InputError, match=str(min(size(400, 24, m) for m in range(1, most(24) + 1)))):
            compress_rows(rows, weights, method=method, nbytes=100)


@pytest.mark.parametrize("method", ["low_rank", "truncate", "subspace"])
def test_a_compressed_model_loads_and_reads_its_codes(model_folder, texts, tmp_path, method):
    from nestvec.encoders import load
    from nestvec.encoders.depth import weight_bytes

    plain = [text for _, text in texts]
    made = compress_vocab(model_folder, tmp_path / "small", plain, method=method, nbytes=800)
    assert made.ratio <= 800 / made.table_bytes
    whole, small = load(model_folder), load(tmp_path / "small")
    assert small.space.fingerprint != whole.space.fingerprint
    assert weight_bytes(whole.stack) - weight_bytes(small.stack) == made.table_bytes - made.vocabulary.nbytes
    cosines = (whole.encode(plain[:50]).values * small.encode(plain[:50]).values).sum(axis=1)
    assert 0.1 < cosines.mean() < 0.9999
    table = load(tmp_path / "small", size="L0")
    assert table.nbytes == made.vocabulary.nbytes
    assert np.isfinite(table.encode(plain[:5]).values).all()
    assert small.at("L1").encode(plain[:3]).values.shape == (3, 32)


def test_a_table_kept_whole_gives_the_same_vectors(model_folder, texts, tmp_path):
    from nestvec.encoders import load

    plain = [text for _, text in texts][:20]
    compress_vocab(model_folder, tmp_path / "same", method="low_rank", nbytes=10**6)
    cosines = (load(model_folder).encode(plain).values * load(tmp_path / "same").encode(plain).values).sum(axis=1)
    assert cosines.min() > 0.999


def test_common_tokens_weigh_more(model_folder):
    from nestvec.encoders import checkpoint

    found = checkpoint.find(model_folder)
    n = len((model_folder / "vocab.txt").read_text().split()) if (model_folder / "vocab.txt").exists() else 40
    weights = token_weights(found, ["cat cat cat mat"], n)
    from nestvec.encoders.words import open_tokenizer

    number = open_tokenizer(found.tokenizer_file).token_to_id
    assert weights[number("cat")] / weights[number("mat")] == pytest.approx((4 / 2) ** 0.75)
    assert weights.sum() == pytest.approx(1)


def test_what_cannot_be_done_is_said_and_leaves_nothing(model_folder, tmp_path):
    with pytest.raises(UnknownNameError, match="one of lr2vq"):
        compress_vocab(model_folder, tmp_path / "a", method="zip")
    with pytest.raises(InputError, match="needs at least"):
        compress_vocab(model_folder, tmp_path / "a", method="pq", nbytes=10)
    assert not (tmp_path / "a").exists()
    compress_vocab(model_folder, tmp_path / "a", method="truncate", nbytes=3000)
    with pytest.raises(InputError, match="new or empty"):
        compress_vocab(model_folder, tmp_path / "a", method="truncate", nbytes=3000)
    with pytest.raises(InputError, match="compressed once"):
        compress_vocab(tmp_path / "a", tmp_path / "b", method="truncate", nbytes=3000)
