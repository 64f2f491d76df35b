"""What needs no torch: batches, the processor, the checkpoint's door, and a light import."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError, UnknownNameError
from nestvec.encoders import ENCODERS
from nestvec.encoders.batches import padding_waste, token_batches
from nestvec.encoders.checkpoint import Checkpoint, find
from nestvec.encoders.tokens import Tally, TruncationWarning
from nestvec.kernels.cpu import cpu_features


def test_importing_the_room_loads_no_torch():
    code = "import sys, nestvec.encoders as e; e.ENCODERS; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_room_has_no_other_attributes():
    import nestvec.encoders as room

    assert "sentence-transformer@1" in ENCODERS
    with pytest.raises(AttributeError, match="nothing"):
        _ = room.nothing
    with pytest.raises(UnknownNameError, match="did you mean"):
        _ = ENCODERS["sentence-transformers@1"]


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 500))
def test_batches_hold_every_text_once_and_keep_to_the_budget(lengths, budget):
    lengths = np.array(lengths, np.int64)
    batches = list(token_batches(lengths, budget=budget))
    assert sorted(np.concatenate([*batches, np.empty(0, np.int64)]).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    assert 0 <= padding_waste(lengths, budget=budget) < 1 or not lengths.sum()


def test_waste_is_the_share_of_padding():
    assert padding_waste(np.array([4, 2], np.int64), budget=8) == pytest.approx(0.25)
    assert padding_waste(np.array([4, 2], np.int64), budget=4) == 0
    assert padding_waste(np.array([], np.int64), budget=4) == 0


def test_features_come_from_the_first_core(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor: 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor: 1\nflags : fpu\n")
    assert cpu_features(info) == {"fpu", "avx2", "amx_bf16"}
    info.write_text("Features : asimd bf16\n")
    assert cpu_features(info) == {"asimd", "bf16"}
    info.write_text("nothing\n")
    assert cpu_features(info) == cpu_features(tmp_path / "absent") == frozenset()


def test_the_tally_warns_once_and_counts_on():
    tally = Tally()
    tally.add(0, of=3, limit=8)
    with pytest.warns(TruncationWarning, match="got 2 of 3"):
        tally.add(2, of=3, limit=8)
    tally.add(1, of=1, limit=8)
    assert tally.count == 3


def _folder(tmp_path, *names):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return tmp_path


def test_pickled_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"pytorch_model\.bin.*pickle"):
        find(_folder(tmp_path, "modules.json", "pytorch_model.bin"))


def test_a_pickle_in_a_later_module_is_refused_too(tmp_path):
    with pytest.raises(InputError, match="pickle"):
        find(_folder(tmp_path, "modules.json", "model.safetensors", "2_Dense/pytorch_model.bin"))


def test_a_pickle_beside_safetensors_is_never_opened_and_does_no_harm(tmp_path):
    assert find(_folder(tmp_path, "modules.json", "model.safetensors", "optimizer.pt")).folder == tmp_path


def test_folders_that_are_no_model_are_named(tmp_path):
    with pytest.raises(InputError, match=r"modules\.json or a config\.json"):
        find(tmp_path)
    with pytest.raises(InputError, match="must hold weights"):
        find(_folder(tmp_path, "config.json"))
    with pytest.raises(InputError, match="none of them"):
        find(tmp_path / "absent")
    with pytest.raises(InputError, match="none of them"):
        find("./absent/folder")


def test_a_hub_id_without_a_network_says_what_to_do():
    pytest.importorskip("huggingface_hub")
    with pytest.raises(InputError, match=r"local cache, got .owner/absent-model.*default"):
        find("owner/absent-model")


def test_the_fingerprint_knows_what_decides(tmp_path):
    folder = _folder(tmp_path / "a", "config.json", "vocab.txt", "model.safetensors", "README.md")
    first = Checkpoint(folder, "x", "x").fingerprint
    (folder / "README.md").write_text("other")
    (folder / "config.json").write_text('{"transformers_version": "9"}')
    moved = folder.rename(tmp_path / "b")
    assert Checkpoint(moved, "y", "y").fingerprint == first
    (moved / "vocab.txt").write_text("word")
    second = Checkpoint(moved, "y", "y").fingerprint
    (moved / "config.json").write_text('{"hidden_size": 9}')
    third = Checkpoint(moved, "y", "y").fingerprint
    (moved / "model.safetensors").write_text("[]")
    assert len({first, second, third, Checkpoint(moved, "y", "y").fingerprint}) == 4
    (moved / "config.json").write_text("{")
    with pytest.raises(InputError, match="must be JSON"):
        _ = Checkpoint(moved, "y", "y").fingerprint
