"""What every table must do. Runs over the catalogue: a new method is tested by being listed."""

import subprocess
import sys

import numpy as np
import pytest
import xxhash

torch = pytest.importorskip("torch")

from nestvec.core.errors import CorruptError, FormatError, InputError, ShapeError  # noqa: E402
from nestvec.tables import METHODS, FrozenTable, RowWiseAdagrad, Table, fit_spec, stored_bytes  # noqa: E402
from nestvec.tables.method import Knob, Method, Reading  # noqa: E402
from nestvec.tables.module import TensorReading  # noqa: E402
from nestvec.tables.rows import FloatRows, MaskedRows  # noqa: E402

ROWS, DIM, BYTES = (700, 3, 90), 8, 9_000
TOTAL = sum(ROWS)
# relative root mean square: steps of a row's range / sqrt(12), for a product of two such parts; ALPT and DPQ train
# codes
LOOSE = {"float16": 1e-3, "int8": 1e-2, "int4": 0.13, "int2": 0.6, "alpt8": 2e-3, "alpt4": 2e-3, "dpq4": 2e-3}
# what has no knob, or a network, or a book of words, or rows of which little is kept until something is found
NEED_MORE = {
    "full": 60_000, "deep_hash": 60_000, "sparse": 25_000, "leading": 20_000, "mgqe": 20_000,
    "multi_hash_features": 20_000, "anchors": 30_000,
}  # fmt: skip

methods = pytest.mark.parametrize("name", list(METHODS))


def methods_and(*codecs):
    """Every pair that there is: what moves rows about while it learns has no codec that is trained."""
    trained = ("alpt", "dpq")
    pairs = [(n, c) for c in codecs for n in METHODS if not (c.startswith(trained) and hasattr(METHODS[n], "adapt"))]
    return pytest.mark.parametrize(("name", "codec"), pairs)


def spec_of(name, codec="float32", **changes):
    plain = name.partition("@")[0]
    settings = {"hashes": 16, "layers": 2} if plain == "deep_hash" else {}
    return fit_spec(f"{plain}+{codec}", ROWS, DIM, NEED_MORE.get(plain, BYTES), seed=5, **settings, **changes)


def some_ids(n=40, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, TOTAL, n))


@methods
def test_is_a_method(name):
    spec = spec_of(name)
    assert isinstance(spec.compressor, Method)
    assert spec.method == METHODS[name].id == name
    assert isinstance(METHODS[name].knob(spec.compressor.sizes, DIM), Knob | None)
    table = Table(spec)
    total = spec.compressor.sizes.total
    places = spec.compressor.locate(spec.compressor.sizes.split(np.arange(total)))
    assert isinstance(TensorReading(table.held, places, training=False), Reading)
    for part, at in places.items():
        assert at.dtype == np.int64
        assert len(at) <= total  # a part may serve some of the ids only
        assert 0 <= at.min() <= at.max() < spec.compressor.parts()[part].rows


@methods_and("float32", "int4", "dpq4")
def test_bytes_are_as_promised(name, codec, tmp_path):
    spec = spec_of(name, codec)
    path = tmp_path / "ids.table"
    Table(spec).freeze().save(path)
    budget = NEED_MORE.get(name.partition("@")[0], BYTES)
    assert path.stat().st_size == stored_bytes(spec) == FrozenTable.load(path).nbytes <= budget


@methods_and("float32", "int8", "alpt4", "dpq4")
def test_what_is_saved_is_loaded_bit_for_bit(name, codec, tmp_path):
    frozen = Table(spec_of(name, codec)).freeze()
    frozen.save(tmp_path / "ids.table")
    loaded = FrozenTable.load(tmp_path / "ids.table")
    ids = np.arange(-1, TOTAL)
    assert loaded.spec == frozen.spec
    assert loaded.rows(ids).tobytes() == frozen.rows(ids).tobytes()
    assert loaded.nbytes == frozen.nbytes


@methods
def test_training_and_serving_give_the_same_rows(name):
    table = Table(spec_of(name)).eval()
    ids = torch.arange(-1, TOTAL)
    assert np.abs(table(ids).detach().numpy() - table.freeze().rows(ids.numpy())).max() < 1e-6


@methods_and(*LOOSE)
def test_a_codec_stays_near(name, codec):
    table = Table(spec_of(name, codec)).eval()
    ids = torch.arange(TOTAL)
    exact, got = table(ids).detach().numpy(), table.freeze().rows(ids.numpy())
    assert np.sqrt(np.square(exact - got).mean()) <= LOOSE[codec] * np.sqrt(np.square(exact).mean())


def test_two_processes_make_the_same_tables():
    specs = [spec_of(name) for name in METHODS]
    code = f"""
import numpy as np, xxhash
from nestvec.tables import Table, TableSpec  # noqa: E402
for text in {[spec.to_json() for spec in specs]!r}:
    print(xxhash.xxh3_64_hexdigest(Table(TableSpec.from_json(text)).freeze().rows(np.arange({TOTAL})).tobytes()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    mine = [xxhash.xxh3_64_hexdigest(Table(spec).freeze().rows(np.arange(TOTAL)).tobytes()) for spec in specs]
    assert done.stdout.split() == mine


@methods
def test_padding_empty_batches_and_shapes(name):
    table = Table(spec_of(name)).eval()
    frozen = table.freeze()
    assert table(torch.empty(0, dtype=torch.int64)).shape == (0, DIM)
    assert frozen.rows(np.empty((0, 3), np.int64)).shape == (0, 3, DIM)
    ids = some_ids(12).view(4, 3)
    ids[1, 1] = -1
    rows = table(ids)
    assert rows.shape == (4, 3, DIM)
    assert not rows[1, 1].any()
    assert not frozen.rows(ids.numpy())[1, 1].any()
    assert not table(torch.tensor([-1, -1])).any()
    one = table(ids[0, 0].view(1))
    assert torch.allclose(one[0], rows[0, 0], atol=1e-6)  # alone as in company


@methods
def test_bags_are_weighted_sums(name):
    table = Table(spec_of(name)).eval()
    ids, starts = some_ids(6), torch.tensor([0, 2, 2, 5])
    weights = torch.tensor([0.5, 2.0, 1.0, -1.0, 0.0, 3.0])
    rows = table(ids) * weights[:, None]
    want = torch.stack([rows[:2].sum(0), torch.zeros(DIM), rows[2:5].sum(0), rows[5:].sum(0)])
    assert torch.allclose(table.bags(ids, starts, weights), want, atol=1e-6)
    frozen = table.freeze()
    assert np.allclose(frozen.bags(ids.numpy(), starts.numpy(), weights.numpy()), want.detach().numpy(), atol=1e-6)
    assert np.allclose(frozen.bags(ids.numpy(), np.array([0])), table(ids).sum(0).detach().numpy(), atol=1e-5)
    for wrong in ([1, 2], [0, 3, 2], [0, 9]):
        with pytest.raises(ShapeError, match="starts must rise"):
            table.bags(ids, torch.tensor(wrong))
    with pytest.raises(ShapeError, match="one an id"):
        frozen.bags(ids.numpy(), starts.numpy(), weights.numpy()[:3])


@methods
def test_ids_of_another_table_are_refused(name):
    table = Table(spec_of(name))
    for wrong in (TOTAL, -2):
        with pytest.raises(InputError, match=rf"\[0, {TOTAL}\), got {wrong}"):
            table(torch.tensor([0, wrong]))
    with pytest.raises(InputError, match="whole numbers"):
        table.freeze().rows(np.array([0.5]))


@methods
def test_gradients_are_those_of_the_formula(name):
    table = Table(spec_of(name)).eval()
    ids = torch.cat([some_ids(7), torch.tensor([701, 750])])  # of every field
    target = torch.randn(9, DIM, generator=torch.Generator().manual_seed(1))
    (table(ids) * target).sum().backward()
    rng = np.random.default_rng(2)
    # of rows that are spelt the gradient is that of the query, not of the word that is read: tests/tables/test_words.py
    learning = [
        part
        for part in table.held.values()
        if isinstance(part, FloatRows | MaskedRows) and part.weight.grad is not None
    ]
    assert learning
    for part in learning:
        assert part.weight.requires_grad
        dense = part.weight.grad.to_dense() if part.weight.grad.is_sparse else part.weight.grad
        used = dense.nonzero()
        for row, column in used[torch.from_numpy(rng.integers(0, len(used), 3))].tolist():
            with torch.no_grad():
                before = part.weight[row, column].item()
                ends = []
                for step in (1e-3, -1e-3):  # so small that hardly ever a relu turns on or off
                    part.weight[row, column] = before + step
                    ends.append((table(ids).double() * target).sum().item())
                part.weight[row, column] = before
            slope = (ends[0] - ends[1]) / 2e-3
            assert slope == pytest.approx(dense[row, column].item(), rel=0.05, abs=2e-3)


@methods
def test_only_used_rows_change(name):
    table = Table(spec_of(name)).train()
    ids = torch.cat([some_ids(5), torch.tensor([701, 750])])
    spec = table.spec
    before = {n: p.weight.detach().clone() for n, p in table.held.items()}
    optimiser = RowWiseAdagrad([p for p in table.parameters() if p.requires_grad], lr=0.1)
    table(ids).square().sum().backward()
    optimiser.step()
    _, rest, exact = spec.route(ids.numpy())
    places = dict(spec.compressor.locate(rest))
    if "exact" in table.held:
        places["exact"] = exact
    changed = 0
    for part, at in places.items():
        moved = (table.held[part].weight != before[part]).any(dim=1).nonzero()[:, 0]
        assert set(moved.tolist()) <= set(np.unique(at).tolist())
        changed += len(moved)
    assert changed


@methods_and("float32", "alpt8", "dpq4")
def test_it_learns_rows_that_can_be_learnt(name, codec):
    """Two groups of ids, one wanted at +1 and one at -1: the error must fall well below that of zeros."""
    table = Table(spec_of(name, codec)).train()
    ids = torch.arange(20)
    wanted = torch.where(ids % 2 == 0, 1.0, -1.0)[:, None].expand(-1, DIM)
    optimiser = RowWiseAdagrad([p for p in table.parameters() if p.requires_grad] or [torch.zeros(1, 1)], lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        loss = (table(ids) - wanted).square().mean()
        loss.backward()
        optimiser.step()
        table.after_step(lr=0.1)
    limit = 0.99 if name == "subspace@1" else 0.6  # digits that all share what they are to tell apart
    assert loss.item() < limit


@methods
def test_a_saved_table_goes_on_learning(name):
    table = Table(spec_of(name)).eval()
    again = Table.thaw(table.freeze()).eval()
    ids = torch.arange(TOTAL)
    assert torch.equal(table(ids), again(ids))


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "ids.table"
    Table(spec_of("hash@1")).freeze().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CorruptError, match="checksum differs"):
        FrozenTable.load(path)
    FrozenTable.load(path, verify=False)
    path.write_bytes(whole[:-40])
    with pytest.raises(CorruptError, match="must be whole"):
        FrozenTable.load(path)
    for bad in (b"", b"short", whole[:20], b"\xff" * 400):
        path.write_bytes(bad)
        with pytest.raises(FormatError):
            FrozenTable.load(path)
    with pytest.raises(OSError, match="readable file"):
        FrozenTable.load(tmp_path / "nothing")


def test_any_safetensors_library_reads_it(tmp_path):
    from safetensors.numpy import load_file

    frozen = Table(spec_of("quotient_remainder@1", "int4")).freeze()
    frozen.save(tmp_path / "ids.table", notes={"made_by": "a test"})
    found = load_file(tmp_path / "ids.table")
    for part, form in frozen.held.items():
        for name, value in form.arrays().items():
            assert found[f"{part}.{name}"].tobytes() == value.tobytes()
