"""Runs on disk: what was learnt, and what is needed to go on after a stop. Safetensors and JSON only."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.training.distill import Progress
from nestvec.training.student import Student

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause

BODY_FILE, TABLE_FILE, STATE_FILE, PROGRESS_FILE = (
    "body.safetensors", "table.safetensors", "optimiser.safetensors", "progress.json",
)  # fmt: skip


def save_student(folder: Path, student: Student, *, half: bool = True) -> None:
    """Write what can be trained, and nothing else: ``body.…`` and ``heads.…`` to one file, ``table.…`` to another.

    Args:
        folder: made if need be; files there are replaced whole.
        student: with frozen parameters, which are left out.
        half: True to write float16, half the size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learnt = {name: p.detach() for name, p in student.named_parameters() if p.requires_grad}
    for file, is_table in ((BODY_FILE, False), (TABLE_FILE, True)):
        chosen = {name: p for name, p in learnt.items() if name.startswith("table.") == is_table}
        if chosen:
            _replace(folder / file, {name: (p.half() if half else p).contiguous().cpu() for name, p in chosen.items()})


def load_student(folder: Path, student: Student) -> list[str]:
    """Put back what :func:`save_student` wrote; returns the names that were found.

    Raises:
        InputError: a tensor has no place in this student, or another shape.
    """
    places = dict(student.named_parameters())
    found: list[str] = []
    for file in (BODY_FILE, TABLE_FILE):
        if not (folder / file).is_file():
            continue
        for name, tensor in load_file(folder / file).items():
            if name not in places or places[name].shape != tensor.shape:
                raise InputError(
                    f"a run must be continued with the settings it was begun with, got {name} {tuple(tensor.shape)} in "
                    f"{str(folder)!r}. Begin a new one in another folder."
                )
            with torch.no_grad():
                places[name].copy_(tensor)
            found.append(name)
    return found


def save_run(folder: Path, student: Student, made: Any, progress: Progress, settings: dict[str, Any]) -> None:
    """Write everything that :func:`load_run` needs. The progress file comes last: without it there is no run."""
    (folder / PROGRESS_FILE).unlink(missing_ok=True)
    save_student(folder, student, half=False)
    state = {}
    for g, group in enumerate(made.param_groups):
        for i, p in enumerate(group["params"]):
            for name, value in made.state.get(p, {}).items():
                state[f"{g}.{i}.{name}"] = torch.as_tensor(value).detach().contiguous().cpu()
    _replace(folder / STATE_FILE, state)
    text = json.dumps({"progress": asdict(progress), "settings": settings})
    made_file = folder / (PROGRESS_FILE + ".new")
    made_file.write_text(text, encoding="utf-8")
    made_file.replace(folder / PROGRESS_FILE)


def load_run(folder: Path, student: Student, made: Any, settings: dict[str, Any]) -> Progress | None:
    """Put a run back where it was saved; None if there is none.

    Raises:
        InputError: it was begun with other settings.
    """
    if not (folder / PROGRESS_FILE).is_file():
        return None
    said = json.loads((folder / PROGRESS_FILE).read_text(encoding="utf-8"))
    if said["settings"] != json.loads(json.dumps(settings)):
        raise InputError(
            f"a run must be continued with the settings it was begun with, got {settings} for {said['settings']}. "
            "Begin a new one in another folder."
        )
    load_student(folder, student)
    state = load_file(folder / STATE_FILE)
    for g, group in enumerate(made.param_groups):
        for i, p in enumerate(group["params"]):
            mine = {name.split(".", 2)[2]: v for name, v in state.items() if name.startswith(f"{g}.{i}.")}
            made.state[p] = {n: v if n == "step" and not p.is_cuda else v.to(p.device) for n, v in mine.items()}
    return Progress(**said["progress"])


def _replace(path: Path, tensors: dict[str, Any]) -> None:
    new = path.with_name(path.name + ".new")
    save_file(tensors, new)
    new.replace(path)
