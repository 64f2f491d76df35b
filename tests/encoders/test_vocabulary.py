"""A token table of codes: the file, and the same rows in numpy and in torch."""

import numpy as np
import pytest

from nestvec.core.errors import CorruptError, FormatError, InputError
from nestvec.encoders.vocabulary import FILE, Vocabulary, find_vocabulary, load_vocabulary

rng = np.random.default_rng(0)
PRODUCT = {
    "codes": rng.integers(0, 16, (50, 3)).astype(np.uint8),
    "codebooks": rng.normal(size=(3, 16, 4)).astype(np.float16),
}
LOW = {
    "codes": rng.integers(-127, 128, (50, 6)).astype(np.int8),
    "scale": rng.uniform(0.01, 0.1, 50).astype(np.float16),
}
BACK = {"back": rng.normal(size=(6, 10)).astype(np.float16), "centre": rng.normal(size=10).astype(np.float16)}
KINDS = {
    "product": (PRODUCT, 10), "product with a way back": (PRODUCT | BACK, 10), "low rank": (LOW | BACK, 10),
    "leading numbers": (LOW, 10),
}  # fmt: skip


def by_hand(tensors, dim, token):
    if "codebooks" in tensors:
        z = np.concatenate([book[c] for book, c in zip(tensors["codebooks"], tensors["codes"][token], strict=True)])
    else:
        z = tensors["codes"][token] * tensors["scale"][token].astype(np.float32)
    z = z.astype(np.float32)
    if "back" in tensors:
        z = z[: len(tensors["back"])] @ tensors["back"].astype(np.float32)
    row = np.zeros(dim, np.float32)
    row[: min(dim, len(z))] = z[:dim]
    return row + tensors.get("centre", np.zeros(dim)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_what_the_formula_says_before_and_after_saving(kind, tmp_path):
    tensors, dim = KINDS[kind]
    vocabulary = Vocabulary(tensors, dim, "test")
    ids = np.array([3, 3, 0, 49])
    want = np.stack([by_hand(tensors, dim, i) for i in ids])
    assert np.allclose(vocabulary.rows(ids), want, atol=1e-5)
    assert vocabulary.rows(ids[:0]).shape == (0, dim)
    assert vocabulary.nbytes == sum(t.nbytes for t in tensors.values())
    vocabulary.save(tmp_path / FILE)
    again = load_vocabulary(find_vocabulary(tmp_path))
    assert (again.rows(ids) == vocabulary.rows(ids)).all()
    assert again.method == "test"


@pytest.mark.text
@pytest.mark.parametrize("kind", KINDS)
def test_torch_gives_the_same_rows(kind):
    torch = pytest.importorskip("torch")
    from nestvec.encoders.coded import CodedEmbedding

    vocabulary = Vocabulary(*KINDS[kind])
    ids = rng.integers(0, 50, (4, 7))
    found = CodedEmbedding(vocabulary)(torch.from_numpy(ids)).numpy()
    assert np.allclose(found, vocabulary.rows(ids.ravel()).reshape(4, 7, -1), atol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"codes": PRODUCT["codes"]}, PRODUCT | {"codes": PRODUCT["codes"] + np.uint8(20)},
        PRODUCT | {"scale": LOW["scale"]},
        LOW | {"scale": LOW["scale"][:3]}, LOW | {"back": BACK["back"].T}, LOW | {"other": LOW["scale"]},
        PRODUCT | {"centre": BACK["centre"][:2]},
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_refused(wrong):
    with pytest.raises(FormatError):
        Vocabulary(wrong, 10)


def test_a_damaged_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / FILE
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CorruptError):
        load_vocabulary(path)
    from safetensors.numpy import save_file

    save_file({"codes": LOW["codes"]}, path)
    with pytest.raises(FormatError, match="format 1"):
        load_vocabulary(path)


@pytest.mark.text
def test_a_vocabulary_of_another_width_is_refused(make_model):
    from nestvec.encoders.backbone import open_model

    folder = make_model()
    Vocabulary(LOW, 10).save(folder / FILE)
    with pytest.raises(InputError, match="as wide as"):
        open_model(folder, device="cpu")
