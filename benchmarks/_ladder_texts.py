"""Gather texts to fit the shipped ladder on: free and attribution sets only, none that is used to evaluate.

``python -m benchmarks._ladder_texts TEXTS.jsonl.gz`` writes one JSON object a line (``title``, ``text``, ``set``) and,
beside it, ``TEXTS.jsonl.gz.licences.json`` with what was taken from where. ``python -m benchmarks._ladder_texts
--model FOLDER`` writes the default model with its weights in float16, half the size, for a machine that has none.
"""

from __future__ import annotations

import argparse
import ast
import csv
import gzip
import importlib.util
import json
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import data

Pair = tuple[str, str]

LICENCES = {
    "debian_packages": "descriptions of Debian packages, under the terms of each package",
    "wordnet_nouns": "WordNet 3.0 licence",
    "wn18rr": "WordNet 3.0 licence",
    "stsb_train": "CC BY-SA 4.0 (sentences of the train split, without their scores)",
    "snli": "CC BY-SA 4.0 (sentences without labels)",
    "banking77": "CC BY 4.0",
    "octis_topics": "MIT (OCTIS)",
    "cane_cora_text": "MIT (CANE)",
    "fb15k237": "CC BY 4.0 (names of entities)",
    "umls": "MIT (PyKEEN)",
    "emoji": "Unicode-DFS-2016 (names and keywords)",
    "python_stdlib": "PSF-2.0 (docstrings of the standard library)",
    "python_science": "BSD-3-Clause (docstrings of numpy, scipy, networkx, sympy, scikit-learn, where installed)",
}
_SCIENCE = ("numpy", "scipy", "networkx", "sympy", "sklearn")
_SHORTEST, _LONGEST = 12, 2400  # characters of a docstring that says something, and of what one window reads


def main() -> None:
    """Write texts, or the small model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("texts", type=Path, nargs="?")
    parser.add_argument("--model", type=Path)
    asked = parser.parse_args()
    if asked.model:
        write_model(asked.model)
    if asked.texts:
        write_texts(asked.texts)


def write_texts(path: Path) -> None:
    """All sets into one file; a text that was there already, or that an evaluation has word for word, is left out."""
    seen = {f" {text}".casefold() for text in evaluated()}
    report: dict[str, dict[str, object]] = {}
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=9) as file:
        for name, licence in LICENCES.items():
            texts = characters = 0
            for title, text in SETS[name]():
                key = f"{title} {text}".casefold()
                if key in seen or not text.strip():
                    continue
                seen.add(key)
                file.write(json.dumps({"title": title, "text": text, "set": name}, ensure_ascii=False) + "\n")
                texts, characters = texts + 1, characters + len(text) + len(title)
            report[name] = {"texts": texts, "characters": characters, "licence": licence}
            print(f"{name:18} {texts:7} texts {characters / 1e6:7.2f} M characters  {licence}")
    Path(f"{path}.licences.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(f"{path.stat().st_size / 1e6:.1f} MB")


def write_model(folder: Path) -> None:
    """The default model, its weights in float16."""
    from safetensors.torch import load_file, save_file

    from nestvec.encoders.checkpoint import find

    shutil.copytree(find("default").folder, folder, ignore=shutil.ignore_patterns("*.onnx", "README.md"))
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: x.half() if x.is_floating_point() else x for name, x in weights.items()},
        folder / "model.safetensors", metadata={"format": "pt"},
    )  # fmt: skip


def _rows(set_name: str, file: str) -> Iterator[dict[str, object]]:
    folder = data(set_name)
    if folder is None:
        return
    path = folder / file
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _table(set_name: str, file: str) -> Iterator[list[str]]:
    folder = data(set_name)
    if folder is None:
        return
    path = folder / file
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        yield from rows


def evaluated() -> Iterator[str]:
    """Sentences of the splits that ladders are measured on."""
    for split in ("dev", "test"):
        for row in _rows("stsb", f"en_{split}.jsonl"):
            yield str(row["s1"])
            yield str(row["s2"])


def debian() -> Iterator[Pair]:
    for row in _rows("debian_packages", "packages.jsonl.gz"):
        yield str(row["summary"]), str(row["description"])[:_LONGEST]


def nouns() -> Iterator[Pair]:
    for row in _rows("wordnet_nouns", "synsets.jsonl.gz"):
        words = row["words"]
        yield ", ".join(words) if isinstance(words, list) else "", str(row["gloss"])


def wordnet() -> Iterator[Pair]:
    for _, text, *_ in _table("wn18rr", "entity_text.tsv.gz"):
        word, _, gloss = text.partition(", ")
        yield word, gloss


def stsb() -> Iterator[Pair]:
    for row in _rows("stsb", "en_train.jsonl.gz"):
        yield "", str(row["s1"])
        yield "", str(row["s2"])


def snli() -> Iterator[Pair]:
    for split in ("dev", "test"):
        for row in _rows("snli_dev_test", f"{split}.jsonl.gz"):
            yield "", str(row["premise"])
            yield "", str(row["hypothesis"])


def banking() -> Iterator[Pair]:
    for row in _rows("banking77", "train.jsonl.gz"):
        yield "", str(row["text"])


def octis() -> Iterator[Pair]:
    for name in ("bbc_news", "m10", "dblp"):
        for row in _rows("octis_topics", f"{name}.jsonl.gz"):
            yield "", str(row["text"])[:_LONGEST]


def cora() -> Iterator[Pair]:
    for row in _rows("cane_cora_text", "nodes.jsonl.gz"):
        yield "", str(row["text"])[:_LONGEST]


def entities() -> Iterator[Pair]:
    for _, name, *_ in _table("fb15k237", "entity_text.tsv"):
        yield "", name


def umls() -> Iterator[Pair]:
    for name, text, *_ in _table("umls", "entity_text.tsv"):
        words = text.split()
        for start in range(0, len(words), 150):  # definitions run on for pages
            yield name.replace("_", " "), " ".join(words[start : start + 150])


def emoji() -> Iterator[Pair]:
    for row in _rows("emoji", "emoji.jsonl.gz"):
        names, keywords = row.get("names") or row.get("name"), row.get("keywords")
        name = names.get("en") if isinstance(names, dict) else names
        words = keywords.get("en") if isinstance(keywords, dict) else keywords
        if name:
            yield str(name), " ".join(words) if isinstance(words, list) else str(words or name)


def docstrings(root: Path) -> Iterator[Pair]:
    """``(name, docstring)`` of everything documented under a folder, without running any of it."""
    for path in sorted(root.rglob("*.py")):
        if {"test", "tests", "site-packages", "idlelib", "lib2to3"} & set(path.relative_to(root).parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = " ".join((ast.get_docstring(node) or "").split())
                if len(text) >= _SHORTEST:
                    name = path.stem if isinstance(node, ast.Module) else node.name
                    yield name.replace("_", " ").strip(), text[:_LONGEST]


def stdlib() -> Iterator[Pair]:
    yield from docstrings(Path(sysconfig.get_paths()["stdlib"]))


def science() -> Iterator[Pair]:
    for package in _SCIENCE:
        found = importlib.util.find_spec(package)
        if found is not None and found.submodule_search_locations:
            yield from docstrings(Path(next(iter(found.submodule_search_locations))))


SETS = {
    "debian_packages": debian, "wordnet_nouns": nouns, "wn18rr": wordnet, "stsb_train": stsb, "snli": snli,
    "banking77": banking, "octis_topics": octis, "cane_cora_text": cora, "fb15k237": entities, "umls": umls,
    "emoji": emoji, "python_stdlib": stdlib, "python_science": science,
}  # fmt: skip

if __name__ == "__main__":
    main()
