"""Rows of several codes: written, read, changed and compacted like any other column; damage is never an answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core import Record
from nestvec.core.errors import CorruptError, FormatError, InputError, ShapeError
from nestvec.store import Ragged, Store, layout, repair, verify
from nestvec.store.ragged import RaggedSegment, recover_file

WIDTH = 5
SETTINGS = {"arrays": {"dense": 2, "tokens": WIDTH}, "ragged": ["tokens"]}


def codes(*lengths, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (sum(lengths), WIDTH), dtype=np.uint8)
    return Ragged(values, np.cumsum([0, *lengths], dtype=np.int64))


def codes_of(number, version=0):
    """What row ``number`` holds: as many codes as its number says."""
    return codes(number % 4, seed=100 * version + number)


def put(store, *numbers, version=0):
    several = Ragged.join([codes_of(n, version) for n in numbers], width=WIDTH)
    dense = np.array([[n, version] for n in numbers], np.float32).reshape(-1, 2)
    return store.commit([Record(f"r{n}", f"text {n}") for n in numbers], {"dense": dense, "tokens": several})


def held(store, version=None):
    """What each living record holds, by its number."""
    with store.read() as snapshot:
        rows = dict(snapshot.rows())
        found = snapshot.several("tokens", np.array(list(rows), np.int64))
        return {int(r.id[1:]): found[[i]].values.tolist() for i, r in enumerate(rows.values())}


def expected(numbers, changed=()):
    return {n: codes_of(n, int(n in changed)).values.tolist() for n in numbers}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c"


@pytest.fixture
def store(path):
    with Store.create(path, settings=SETTINGS) as made:
        put(made, *range(9))
        yield made


def only_segment(path):
    (file,) = (path / layout.SEGMENTS).glob("tokens-*.seg")
    return file


def test_what_is_committed_is_read_back_also_after_opening_again(store, path):
    assert held(store) == expected(range(9))
    store.close()
    with Store.open(path) as again:
        assert held(again) == expected(range(9))
    assert verify(path).ok


@given(
    batches=st.lists(st.sets(st.integers(0, 12), min_size=1), min_size=1, max_size=4),
    removed=st.sets(st.integers(0, 12)),
    compacted=st.booleans(),
)
@settings(max_examples=8)
def test_updates_deletes_and_compaction_keep_each_row_its_own(tmp_path_factory, batches, removed, compacted):
    folder = tmp_path_factory.mktemp("c") / "c"
    now = {}
    with Store.create(folder, settings=SETTINGS) as store:
        for version, batch in enumerate(batches):
            put(store, *sorted(batch), version=version)
            now |= dict.fromkeys(batch, version)
        store.commit(remove=[f"r{n}" for n in removed])
        now = {n: version for n, version in now.items() if n not in removed}
        if compacted:
            store.compact()
        assert held(store) == {n: codes_of(n, version).values.tolist() for n, version in now.items()}
    assert verify(folder).ok


def test_an_older_version_keeps_its_codes(store, path):
    put(store, 3, 4, version=1)
    store.commit(remove=["r5"])
    assert held(store) == expected(set(range(9)) - {5}, changed={3, 4})
    with Store.open(path, version=2) as old:
        assert held(old) == expected(range(9))


def test_many_small_segments_are_merged(store, path):
    for n in range(20, 60):
        put(store, n)
    assert len(list((path / layout.SEGMENTS).glob("tokens-*.seg"))) < 20
    assert held(store) == expected([*range(9), *range(20, 60)])


def test_rows_of_nothing_and_rows_across_blocks(tmp_path):
    many = codes(0, 300_000, 0, 1, 250_000, 0)  # a block holds 209,715 codes of 5 bytes
    records = [Record(f"r{i}", "x") for i in range(6)]
    with Store.create(tmp_path / "c", settings=SETTINGS) as store:
        store.commit(records, {"dense": np.zeros((6, 2), np.float32), "tokens": many})
        with store.read() as snapshot:
            (segment,) = snapshot.ragged("tokens")
            assert not segment._checked.any()
            found = snapshot.several("tokens", np.array([4, 1, 6, 5]))
            assert segment._checked.tolist() == [False, True, True]  # what row 2 holds alone was not looked at
    assert np.diff(found.offsets).tolist() == [1, 0, 0, 250_000]
    assert (found.values == many[[3, 0, 5, 4]].values).all()


def test_a_commit_of_nothing_but_empty_rows(tmp_path):
    with Store.create(tmp_path / "c", settings=SETTINGS) as store:
        store.commit([Record("a", "x")], {"dense": np.zeros((1, 2), np.float32), "tokens": codes(0)})
        with store.read() as snapshot:
            assert len(snapshot.several("tokens", np.array([1])).values) == 0
        store.compact()
    assert verify(tmp_path / "c").ok


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (np.zeros((2, WIDTH), np.float32), InputError),
        (Ragged(np.zeros((3, WIDTH + 1), np.uint8), np.array([0, 1, 3])), ShapeError),
        (codes(1, 1, 1), ShapeError),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(store, values, error):
    before = held(store)
    with pytest.raises(error):
        store.commit([Record("a", "x"), Record("b", "y")], {"dense": np.zeros((2, 2), np.float32), "tokens": values})
    assert held(store) == before


@pytest.mark.parametrize("offsets", [[1, 2], [0, 2, 1], [0, 1], []])
def test_offsets_must_rise_to_the_last_code(offsets):
    with pytest.raises(ShapeError, match="rise from 0 to 2"):
        Ragged(np.zeros((2, 3), np.uint8), np.array(offsets, np.int64))


@pytest.mark.parametrize("ragged", ["tokens", ["other"], [3]])
def test_settings_must_name_ragged_arrays_that_there_are(tmp_path, ragged):
    with pytest.raises(InputError, match="ragged must name"):
        Store.create(tmp_path / "c", settings={**SETTINGS, "ragged": ragged})


def test_an_older_nestvec_refuses_the_collection(store, path, monkeypatch):
    store.close()
    monkeypatch.setattr(layout, "FEATURES", frozenset({"bands"}))
    with pytest.raises(FormatError, match="ragged"):
        Store.open(path)


# ---------------------------------------------------------------- damage


def parts(file):
    """Where in a segment of nine rows what stands."""
    vectors = sum(n % 4 for n in range(9))
    ends = np.cumsum([0, 504, 8, vectors * WIDTH, 8 * 10])
    names = ("header", "sum of the header", "codes", "offsets")
    return {name: (int(a), int(b)) for name, a, b in zip(names, ends, ends[1:], strict=False)} | {
        "sums": (int(ends[-1]), file.stat().st_size)
    }


@pytest.mark.parametrize("part", ["header", "sum of the header", "codes", "offsets", "sums"])
def test_a_flipped_bit_anywhere_is_an_error_and_verify_and_repair_see_it(store, path, part):
    store.close()
    file = only_segment(path)
    data = bytearray(file.read_bytes())
    lo, hi = parts(file)[part]
    for at in np.linspace(lo, hi - 1, 4).astype(int):
        changed = data.copy()
        changed[at] ^= 4
        file.write_bytes(changed)
        with pytest.raises(CorruptError), Store.open(path) as damaged:
            held(damaged)
        assert not verify(path).ok
    lost = repair(path).missing["tokens"]
    assert lost == (8 if part == "codes" else 9)  # the first row has no codes to lose
    assert verify(path).problems[0].what.startswith(f"{lost} rows have no vector in 'tokens'")
    with Store.open(path, write=True) as mended:
        assert held(mended) == {n: [] for n in range(9)}
        missing = mended.missing("tokens")
        mended.restore("tokens", missing, Ragged.join([codes_of(int(n) - 1) for n in missing], width=WIDTH))
        assert held(mended) == expected(range(9))
    assert verify(path).ok


def test_offsets_that_fall_are_refused_even_with_a_good_checksum(store, path):
    import xxhash

    store.close()
    file = only_segment(path)
    lo, hi = parts(file)["offsets"]
    offsets = np.frombuffer(file.read_bytes()[lo:hi], "<i8").copy()
    offsets[[3, 4]] = offsets[[4, 3]]
    data = bytearray(file.read_bytes())
    data[lo:hi] = offsets.tobytes()
    sums = parts(file)["sums"][0]
    data[sums + 8 : sums + 16] = xxhash.xxh3_64_digest(offsets.tobytes())
    file.write_bytes(data)
    assert recover_file(file) is None


def test_repair_keeps_the_rows_of_good_blocks(tmp_path):
    several = codes(150_000, 150_000, 1)
    with Store.create(tmp_path / "c", settings=SETTINGS) as store:
        records = [Record(f"r{i}", "x") for i in range(3)]
        store.commit(records, {"dense": np.zeros((3, 2), np.float32), "tokens": several})
    file = only_segment(tmp_path / "c")
    data = bytearray(file.read_bytes())
    data[512] ^= 1
    file.write_bytes(data)
    assert repair(tmp_path / "c").missing == {"tokens": 2}  # the second row lies in both blocks
    with Store.open(tmp_path / "c") as store, store.read() as snapshot:
        found = snapshot.several("tokens", np.array([1, 2, 3]))
    assert np.diff(found.offsets).tolist() == [0, 0, 1]
    assert (found.values == several.values[-1:]).all()


def test_a_lost_database_is_made_again_from_the_segments(store, path):
    store.close()
    data = bytearray((path / layout.DATABASE).read_bytes())
    data[100:200] = bytes(100)
    (path / layout.DATABASE).write_bytes(data)
    repair(path)
    with Store.open(path) as again:
        found = held(again)
    assert found == {n: codes_of(n).values.tolist() for n in found}


def test_bad_positions_are_those_of_damaged_blocks_only(store, path):
    with store.read() as snapshot:
        (segment,) = snapshot.ragged("tokens")
    assert isinstance(segment, RaggedSegment)
    assert len(segment.bad_positions()) == 0
