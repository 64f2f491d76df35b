"""``nestvec diagnose``, ``similar-models``, ``needle`` and ``capacity``.

They live in nestvec.apps.cli.diagnosing, nestvec.apps.cli.likeness, nestvec.apps.cli.limits and
nestvec.apps.cli.vectors.
"""

import itertools
import json

import numpy as np
import pytest

from nestvec.core import Space, Vectors
from nestvec.search import Collection

SENTENCES = ["the cat sat on the mat", "the moon pulls the water", "bake the bread in the oven", "a ship sails home"]


def cloud(n=60, d=12, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


@pytest.fixture
def files(tmp_path):
    np.save(tmp_path / "a.npy", cloud())
    np.save(tmp_path / "b.npy", cloud()[:, :6])
    np.savez(tmp_path / "two.npz", docs=cloud(), queries=cloud(5), ids=np.arange(60))
    return tmp_path


def made(path, n=60, seed=0):
    space = Space("x", "w", "mean", 12, metric="dot", unit=False)
    with Collection.create(path, encoder=None, space=space) as collection:
        rows = [{"id": f"r{i}", "text": f"text {i}", "kind": "even" if i % 2 == 0 else "odd"} for i in range(n)]
        collection.add(rows, vectors=Vectors(cloud(n, seed=seed), space))
    return path


def test_a_file_of_vectors(nestvec, files):
    done = nestvec("diagnose", files / "a.npy", "--no-indexes")
    assert "60 vectors of 12 dimensions" in done.stdout
    for heading in ("spectrum:", "hubness:", "duplicates:", "stability:", "Not measured"):
        assert heading in done.stdout
    said = json.loads(nestvec("diagnose", f"{files / 'two.npz'}:docs", "--no-indexes", "--json").stdout)
    assert (said["vectors"], said["dim"]) == (60, 12)
    assert {row["name"] for row in said["skipped"]} >= {"classes", "paraphrases"}


def test_a_collection_without_its_encoder_and_with_labels(nestvec, tmp_path):
    made(tmp_path / "c.nest")
    done = nestvec("diagnose", tmp_path / "c.nest", "--labels", "kind", "--no-indexes")
    assert "whether 2 classes" in done.stdout
    assert "The encoder was not asked" in done.stdout
    assert "have no 'colour'" in nestvec("diagnose", tmp_path / "c.nest", "--labels", "colour", expect=3).stderr


def test_labels_and_texts_in_files(nestvec, files):
    (files / "labels.txt").write_text("\n".join("ab"[i % 2] for i in range(60)))
    (files / "texts.txt").write_text("\n".join(f"word {'x' * i}" for i in range(60)))
    done = nestvec(
        "diagnose", files / "a.npy", "--no-indexes", "--labels", files / "labels.txt", "--texts", files / "texts.txt"
    )
    assert "score and text length" in done.stdout
    assert "nearest mean" in done.stdout


def test_a_collection_with_its_encoder(nestvec, model, tmp_path):
    path = tmp_path / "texts.nest"
    rows = [f"{SENTENCES[i % 4]} {SENTENCES[i % 3]} {i}" for i in range(40)]
    with Collection.create(path, encoder=model) as collection:
        collection.add(rows)
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("the cat sat on the mat\tthe dog sat on the mat\nthe sun rises\tthe sun sets\n")
    done = nestvec("diagnose", path, "--pairs", pairs, "--no-indexes")
    assert "EvalRank" in done.stdout
    assert "rewording:" in done.stdout
    told = nestvec("similar-models", path, model).stdout
    assert "CKA" in told
    assert "1.000" in told


def test_bad_vectors_end_in_sentences(nestvec, files, tmp_path):
    assert "at least 20" in cli_error(nestvec, files, cloud(5))
    assert "NaN" in cli_error(nestvec, files, np.full((30, 4), np.nan, np.float32))
    assert "docs, queries, ids" in nestvec("diagnose", files / "two.npz", expect=3).stderr
    assert "and not nothing" in nestvec("diagnose", f"{files / 'two.npz'}:nothing", expect=3).stderr
    (tmp_path / "bad.npy").write_bytes(b"this is no array")
    assert "numpy wrote" in nestvec("diagnose", tmp_path / "bad.npy", expect=3).stderr
    nestvec("diagnose", tmp_path / "absent.npy", expect=5)
    nestvec("diagnose", tmp_path / "absent.nest", expect=5)
    (tmp_path / "p.tsv").write_text("a\tb\n")
    assert "--model" in nestvec("diagnose", files / "a.npy", "--pairs", tmp_path / "p.tsv", expect=3).stderr
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    assert "pickled" in nestvec("diagnose", tmp_path / "objects.npy", expect=3).stderr


def cli_error(nestvec, folder, x):
    np.save(folder / "x.npy", x)
    return nestvec("diagnose", folder / "x.npy", expect=3).stderr


def test_two_sides_side_by_side(nestvec, files, tmp_path):
    done = nestvec("similar-models", files / "a.npy", files / "b.npy", "-k", 5)
    assert "Jaccard@5" in done.stdout
    same = json.loads(nestvec("similar-models", files / "a.npy", files / "a.npy", "--json").stdout)
    assert [figure["value"] for figure in same["figures"]] == pytest.approx([1, 1, 1, 1])
    first, second = made(tmp_path / "one.nest"), made(tmp_path / "two.nest", n=50)
    said = json.loads(nestvec("similar-models", first, second, "--json").stdout)
    assert "all 50 items" in said["basis"]
    assert "same items" in nestvec("similar-models", files / "a.npy", f"{files / 'two.npz'}:queries", expect=3).stderr
    assert "--texts" in nestvec("similar-models", "no-model", "neither", expect=3).stderr


def test_needles_of_a_model(nestvec, model):
    done = nestvec("needle", model, "--lengths", "32,96", "--documents", 6, "--questions", 4)
    assert "a window of 62 tokens" in done.stdout
    said = json.loads(
        nestvec(
            "needle", model, "--lengths", "32", "--documents", 6, "--questions", 4, "--kind", "needle", "--json"
        ).stdout
    )
    assert [row["tokens"] for row in said["rows"]] == [32]
    assert "whole numbers" in nestvec("needle", model, "--lengths", "x", expect=2).stderr
    assert "lengths of 32" in nestvec("needle", model, "--lengths", "3", expect=3).stderr


def test_capacity_of_a_width(nestvec, tmp_path):
    path = tmp_path / "qrels.tsv"
    rows = [f"q{a}{b}\td{c}\t1" for a, b in itertools.combinations(range(5), 2) for c in (a, b)]
    path.write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows))
    done = nestvec("capacity", path, "--dim", 2, "--steps", 200, "--all-judged")
    assert "10 queries, 5 relevant items" in done.stdout
    assert "were not enough" in done.stdout
    said = json.loads(nestvec("capacity", path, "--dim", 16, "--steps", 150, "--json").stdout)
    assert said["fits"][0]["margin"] > 0.05
    path.write_text("alone\n")
    assert "qrels.tsv:1: a judgement must be" in nestvec("capacity", path, expect=3).stderr
    assert "must be a file absent.tsv" in nestvec("capacity", tmp_path / "absent.tsv", expect=3).stderr
