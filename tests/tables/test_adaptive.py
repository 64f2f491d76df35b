"""Methods whose index map is learnt: what each does while it learns, and that only what serving needs is kept."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.core.errors import FormatError, InputError  # noqa: E402
from nestvec.tables import METHODS, FrozenTable, Table, fit_spec, make_spec, stored_bytes  # noqa: E402
from nestvec.tables.adaptive import Adaptive, Index, Learning, adaptive, narrow, places  # noqa: E402
from nestvec.tables.method import Method, Sizes  # noqa: E402
from nestvec.tables.methods.cafe import CAFE  # noqa: E402
from nestvec.tables.methods.cce import CCE  # noqa: E402
from nestvec.tables.methods.dedup import Dedup  # noqa: E402
from nestvec.tables.saving import read, write  # noqa: E402

SIZES = Sizes((1000, 30))
ALL = np.arange(1030)
LEARNT = [name for name in METHODS if isinstance(METHODS[name](SIZES, 8), Adaptive)]
each = pytest.mark.parametrize("name", LEARNT)


def rows_of(table, ids=ALL):
    return table(torch.from_numpy(np.asarray(ids))).detach().numpy()


def train(table, ids, wanted, steps, *, lr, told=True):
    """Plain gradient steps towards ``wanted``, with the hook that a trainer calls; ``told`` how long it will be."""
    table.train()
    for step in range(1, steps + 1):
        table.zero_grad(set_to_none=True)
        (table(ids) - wanted).square().sum().backward()
        with torch.no_grad():
            for p in table.parameters():
                if p.grad is not None:
                    p.sub_(p.grad.to_dense(), alpha=lr)
        table.after_step(lr=lr, step=step, of=steps if told else 0)
    return table.eval()


def test_a_step_completes_a_share_once():
    def steps(of):
        return [s for s in range(1, of + 1) if Learning(s, of, {}, {}).reaches(0.25)]

    assert steps(100) == [25]
    assert steps(1) == [1]
    assert not Learning(3, 0, {}, {}).reaches(0.25)  # nobody knows how long it will be
    assert [narrow(n) for n in (0, 255, 256, 70_000, 1 << 40)] == ["uint8", "uint8", "uint16", "uint32", "int64"]


@each
def test_the_first_map_is_the_one_without_training(name):
    made = METHODS[name](SIZES, 8)
    assert isinstance(made, Method)
    assert adaptive(made) is made
    assert set(made.indexes()) == set(made.first_indexes())
    ids = SIZES.split(ALL)
    first, given = made.locate(ids), places(made, ids, made.first_indexes())
    assert all((first[part] == given[part]).all() for part in first)
    for index_name, value in made.first_indexes().items():
        index = made.indexes()[index_name]
        assert isinstance(index, Index)
        assert index.shape == value.shape
    assert adaptive(METHODS["full@1"](SIZES, 8)) is None


@each
def test_what_it_learnt_is_served_and_can_learn_on(name, tmp_path):
    spec = fit_spec(name, (1000, 30), 8, 16_000)
    ids = torch.arange(0, 1030, 3)
    wanted = torch.randn(len(ids), 8, generator=torch.Generator().manual_seed(0))
    table = train(Table(spec), ids, wanted, 20, lr=0.05)
    first = spec.compressor.first_indexes()
    served = table.freeze()
    assert any((served.indexes[k] != first[k]).any() for k in served.indexes)  # the map has moved
    assert {k: v.dtype.name for k, v in served.indexes.items()} == {
        k: i.dtype for k, i in spec.compressor.indexes().items() if i.served
    }
    served.save(tmp_path / "ids.table")
    loaded = FrozenTable.load(tmp_path / "ids.table")
    assert (tmp_path / "ids.table").stat().st_size == stored_bytes(spec) <= 16_000
    assert loaded.rows(ALL).tobytes() == served.rows(ALL).tobytes()
    assert np.abs(loaded.rows(ALL) - rows_of(table)).max() < 1e-6
    assert np.abs(rows_of(Table.thaw(loaded)) - rows_of(table)).max() < 1e-6


@each
def test_a_checkpoint_holds_the_map(name):
    spec = fit_spec(name, (1000, 30), 8, 16_000)
    ids = torch.arange(64)
    table = train(Table(spec), ids, torch.ones(64, 8), 20, lr=0.05)
    again = Table(spec)
    again.load_state_dict(table.state_dict())
    assert (rows_of(again) == rows_of(table)).all()


@each
def test_an_index_of_another_shape_is_refused(name, tmp_path):
    Table(fit_spec(name, (1000, 30), 8, 16_000)).freeze().save(tmp_path / "ids.table")
    arrays, notes = read(tmp_path / "ids.table")
    key = next(n for n in arrays if n.startswith("index."))
    kept = {k: v for k, v in notes.items() if k not in ("xxh3", "header")}
    for changed in ({**arrays, key: arrays[key][:-1]}, {k: v for k, v in arrays.items() if k != key}):
        write(tmp_path / "ids.table", changed, kept)
        with pytest.raises(FormatError, match=f"must have {key} of shape"):
            FrozenTable.load(tmp_path / "ids.table")


@each
@pytest.mark.parametrize("codec", ["alpt4", "dpq4"])
def test_a_codec_that_is_trained_does_not_suit_it(name, codec):
    with pytest.raises(InputError, match="must be one that packs afterwards"):
        fit_spec(f"{name.partition('@')[0]}+{codec}", (1000, 30), 8, 16_000)


def test_cce_brings_ids_together_that_want_the_same_row():
    spec = make_spec("cce", (600,), 8, buckets=60, chunks=2)
    ids = torch.arange(600)
    wanted = torch.randn(6, 8, generator=torch.Generator().manual_seed(3))[ids % 6]
    static, learnt = (train(Table(spec), ids, wanted, 80, lr=0.02, told=told) for told in (False, True))
    assert (static.freeze().indexes["pointers"] == spec.compressor.first_indexes()["pointers"]).all()
    assert learnt.freeze().indexes["turn"].tolist() == [3]
    errors = [np.square(rows_of(t, ids) - wanted.numpy()).mean() for t in (static, learnt)]
    assert errors[1] < 0.7 * errors[0]


def test_cce_clusters_to_centres_and_mean_residuals():
    made = CCE(Sizes((400,)), 8, seed=1, buckets=16, chunks=2)
    rng = np.random.default_rng(0)
    values = {n: rng.standard_normal((p.rows, p.width)).astype(np.float32) for n, p in made.parts().items()}
    indexes = made.first_indexes()
    ids = made.sizes.split(np.arange(400))

    def read_rows():
        at = made.locate(ids, indexes)
        return values["centres"][at["centres"]] + values["hashed"][at["hashed"]]

    before = read_rows()
    made.adapt(Learning(25, 100, values, indexes))
    at = made.locate(ids, indexes)
    for chunk in range(2):
        centre = values["centres"][at["centres"][:, chunk]]
        gaps = np.square(before[:, chunk, None] - values["centres"][None, chunk * 16 : (chunk + 1) * 16]).sum(axis=2)
        assert np.allclose(np.square(before[:, chunk] - centre).sum(axis=1), gaps.min(axis=1), atol=1e-4)
        bucket = at["hashed"][:, chunk]
        for number in np.unique(bucket)[:5]:
            left = (before[:, chunk] - centre)[bucket == number].mean(axis=0)
            assert np.allclose(values["hashed"][number], left, atol=1e-5)
    assert np.square(read_rows() - before).mean() < np.square(before).mean()


def test_dedup_is_full_at_first_and_keeps_one_of_each_block():
    spec = make_spec("dedup", (64,), 4, blocks=3, block=4)
    kinds = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    pattern = kinds[[0, 0, 1, 2, 1, 1, 0, 2, 2, 2, 1, 0, 0, 2, 1, 1]].view(64, 4)
    table = Table(spec).train()
    assert table.settled
    table.after_step(lr=0.1, step=1, of=20)
    assert not table.settled  # 64 rows of its own for a quarter of the training
    with torch.no_grad():
        table.held["rows"].weight.copy_(pattern + 0.01 * torch.randn(64, 4, generator=torch.Generator().manual_seed(1)))
    assert np.abs(rows_of(table, np.arange(64)) - pattern.numpy()).max() < 0.06
    early = table.freeze()  # settles a copy
    assert early.held["rows"].values.shape == (12, 4)
    assert not table.settled
    table.after_step(lr=0.1, step=5, of=20)
    assert table.settled
    assert (rows_of(table, np.arange(64)) == early.rows(np.arange(64))).all()
    assert np.abs(early.rows(np.arange(64)) - pattern.numpy()).max() < 0.06  # each block found one of its own kind
    assert early.nbytes == stored_bytes(spec)
    again = Table.thaw(early)
    again.after_step(lr=0.1, step=1, of=20)
    assert again.settled  # what was found is not thrown away for a full table of first values
    assert (rows_of(again, np.arange(64)) == early.rows(np.arange(64))).all()


def test_dedup_finds_a_threshold_for_any_number_of_blocks():
    rng = np.random.default_rng(0)
    for blocks in (1, 2, 7, 30, 64):
        made = Dedup(Sizes((64 * 4,)), 4, blocks=blocks, block=4)
        rows = rng.standard_normal((256, 4)).astype(np.float32)
        learning = Learning(0, 0, {"rows": rows}, made.first_indexes())
        before = rows.copy()
        made.settle(learning)
        pointers = learning.indexes["pointers"]
        assert 0 <= pointers.min() <= pointers.max() < blocks
        assert made.settled(learning.indexes)
    assert (rows.reshape(64, 16)[pointers] == before.reshape(64, 16)).all()  # room for all: nothing is lost


def test_cafe_gives_rows_to_ids_that_matter_and_takes_them_back():
    spec = make_spec("cafe", (1000,), 4, buckets=40, hot=50)
    table = Table(spec).train()

    def steps(important, n):
        rng = np.random.default_rng(0)
        for _ in range(n):
            ids = torch.from_numpy(np.concatenate([important, rng.integers(0, 1000, 5)]))
            table(ids).sum().backward()
            table.after_step(lr=0.1)

    steps(np.arange(700, 708), 48)
    owners = table.freeze().indexes["owners"]
    assert set(range(700, 708)) <= set(owners.tolist())
    at = spec.compressor.locate(spec.compressor.sizes.split(np.arange(1000)), table.freeze().indexes)["rows"][:, 0]
    assert len(set(at[700:708].tolist())) == 8
    assert (at[:700] >= 20).mean() > 0.97  # nearly all others share the second half
    steps(np.arange(100, 108), 240)  # they drift
    owners = set(table.freeze().indexes["owners"].tolist())
    assert set(range(100, 108)) <= owners
    assert not set(range(700, 708)) <= owners


def test_a_new_owner_begins_with_the_row_it_shared():
    table = Table(make_spec("cafe", (1000,), 4, buckets=20)).train()
    before = rows_of(table, [7])
    for _ in range(16):
        table(torch.tensor([7])).sum().backward()
        table.after_step(lr=0.1)  # and no optimiser: rows stay as they are
    assert 7 in table.freeze().indexes["owners"]
    assert (rows_of(table, [7]) == before).all()


def test_the_sketch_keeps_the_heavy_of_a_cell():
    made = CAFE(Sizes((10_000,)), 4, buckets=8, hot=50)
    indexes = made.first_indexes()
    rng = np.random.default_rng(0)
    for _ in range(50):
        flat = np.unique(np.concatenate([np.arange(6), rng.integers(0, 10_000, 40)]))
        scores = np.where(flat < 6, 10, 1).astype(np.float32)
        ids = made.sizes.split(flat)
        made.adapt(Learning(0, 0, {"rows": np.zeros((8, 4), np.float32)}, indexes, ((ids, scores),)))
    heavy = np.argsort(-indexes["scores"].ravel())[:6]
    assert set(indexes["sketch"].ravel()[heavy].tolist()) == set(range(6))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cce", {"chunks": 9}, "chunks must be at most dim=8"),
        ("cafe", {"hot": 100}, "hot must be a per cent"),
        ("cafe", {"buckets": 1}, "buckets must be at least 2"),
        ("dedup", {"block": 0}, "block must be at least 1"),
    ],
)
def test_nonsense_is_refused(name, settings, message):
    with pytest.raises(InputError, match=message):
        make_spec(name, (1000, 30), 8, **settings)
