"""Put what ``benchmarks._fit_ladder`` learnt into the ladder that comes with nestvec.

``python -m benchmarks._ship_ladder RUN LADDER --licences TEXTS.jsonl.gz.licences.json [--table-rank 116]``

Done twice: once to have a ladder to measure, and again with ``--measured`` to write into it what
``NESTVEC_LADDER=LADDER python -m benchmarks ladder`` printed. ``--model`` is the model that the ladder is for, whose
fingerprint it carries; the run may have trained on another copy of the same weights.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file

from benchmarks._fit_ladder import NARROW
from benchmarks._ladder_table import figures_of, rung_figures
from nestvec.core.types import Array
from nestvec.encoders import backbone, checkpoint
from nestvec.encoders.ladder import JSON_FILE, Ladder, Rung
from nestvec.training.assembly import Whole, student_tensors, table_tensors, whole_tensors
from nestvec.training.starting import make_student
from nestvec.training.student import Student, TokenTable
from nestvec.training.teacher import Teacher


def main() -> None:
    """Read a run, write a ladder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="its folder; or a ladder, whose dims are put right")
    parser.add_argument("ladder", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--licences", type=Path)
    parser.add_argument("--table-rank", type=int)
    parser.add_argument("--only", type=int, help="keep this depth and leave out every other rung")
    parser.add_argument("--measured", type=Path, help="what the benchmark ladder printed, for the figures of rungs")
    parser.add_argument("--recipe", type=json.loads, default={}, help="JSON, added to what is said of the making")
    asked = parser.parse_args()
    ladder = corrected(Ladder.load(asked.run)) if (asked.run / JSON_FILE).is_file() else assemble(asked)
    ladder.save(asked.ladder)
    size = sum(path.stat().st_size for path in asked.ladder.iterdir())
    print(f"{asked.ladder}: {size / 1e6:.3f} MB, rungs {[rung.depth for rung in ladder.rungs]}")
    sizes: dict[str, int] = {}
    for name, tensor in ladder.tensors.items():
        sizes[name.split(".")[0]] = sizes.get(name.split(".")[0], 0) + tensor.nbytes
    print({name: f"{nbytes / 1e6:.2f} MB" for name, nbytes in sizes.items()})


def assemble(asked: Any) -> Ladder:
    """The ladder of a run."""
    found = checkpoint.find(asked.model)
    stack = backbone.open_stack(found.folder, device="cpu")
    teacher = Teacher.of(stack.modules, device="cpu", narrow=False)
    student = student_of(asked.run, teacher)
    tensors = student_tensors(student, teacher.body)
    if student.table is not None:
        tensors |= table_tensors(student.table, rank=asked.table_rank)
    whole = load_arrays(asked.run / "whole.safetensors")
    tensors |= whole_tensors(Whole(whole.get("rotation"), whole["binariser.centre"], whole["binariser.rotation"]))
    licences, texts = licences_of(asked.licences)
    depths = (*((0,) if student.table is not None else ()), *sorted(student.depths))
    if asked.only is not None:
        depths = tuple(k for k in depths if k == asked.only)
        if not depths:
            raise ValueError(f"--only must name a depth of the run, {sorted(student.depths)} or 0, got {asked.only}.")
        tensors = {name: x for name, x in tensors.items() if _is_for(name, asked.only)}
    measured = figures_of(asked.measured) if asked.measured else {}
    rungs = tuple(Rung(k, dims_of(k, stack.dim), "distilled", rung_figures(measured, k)) for k in depths)
    return Ladder(
        base=found.fingerprint, name=found.name, tokenizer=found.tokenizer, dim=stack.dim, rungs=rungs,
        tensors=tensors, recipe={**asked.recipe, "texts": texts}, licences=licences,
    )  # fmt: skip


def dims_of(depth: int, full: int) -> tuple[int, ...]:
    """The dims that ``benchmarks._fit_ladder`` trains a depth for, widest first."""
    return (full, *sorted(NARROW.get(depth, ()), reverse=True))


def corrected(ladder: Ladder) -> Ladder:
    """The same weights, with the dims that were trained in place of those that were said to be."""
    return replace(ladder, rungs=tuple(replace(r, dims=dims_of(r.depth, ladder.dim)) for r in ladder.rungs))


def _is_for(name: str, depth: int) -> bool:
    """Whether a ladder of that one depth needs the tensor."""
    if name.startswith("head."):
        return name.startswith(f"head.{depth}.")
    return name.startswith(("rotation", "binariser.")) or name.startswith("table.") == (depth == 0)


def student_of(run: Path, teacher: Teacher) -> Student:
    """The student as it was at the end of a run."""
    body = load_file(run / "body.safetensors")
    depths = sorted({int(name.split(".")[1]) for name in body if name.startswith("heads.")})
    rank = next((len(x) for name, x in body.items() if name.endswith(".down")), None)
    table = None
    if (run / "table.safetensors").is_file():
        parts = {name.removeprefix("table."): x.float() for name, x in load_file(run / "table.safetensors").items()}
        table = TokenTable(parts["codes"], parts["projection"], parts["bias"], parts["log_weights"])
    dim = len(body[f"heads.{depths[0]}.bias"])
    hidden = int(teacher.body.config.hidden_size)
    empty: dict[int, tuple[Array, Array]] = {
        k: (np.zeros((dim, hidden), np.float32), np.zeros(dim, np.float32)) for k in depths
    }
    student = make_student(teacher, empty, table, rank=rank)
    places = dict(student.named_parameters())
    for name, tensor in body.items():
        places[name].data.copy_(tensor)
    return student


def licences_of(path: Path | None) -> tuple[tuple[str, ...], dict[str, int]]:
    """``set: licence`` for each set, and how many texts it gave."""
    if path is None:
        return (), {}
    said = json.loads(path.read_text(encoding="utf-8"))
    return tuple(f"{name}: {row['licence']}" for name, row in said.items()), {
        n: row["texts"] for n, row in said.items()
    }


if __name__ == "__main__":
    main()
