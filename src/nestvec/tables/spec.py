"""What a table is, in one frozen value that JSON can hold."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from nestvec.core.catalog import Catalog
from nestvec.core.errors import InputError, UnknownNameError
from nestvec.core.types import Array, Bool, Int64
from nestvec.kernels.idhash import mix_seed
from nestvec.tables.adaptive import Adaptive
from nestvec.tables.method import Ids, Method, Sizes, at_least

METHODS = Catalog(
    "nestvec.tables",
    (
        ("full@1", "methods.full:Full"),
        ("low_dim@1", "methods.low_dim:LowDim"),
        ("mixed_dim@1", "methods.mixed_dim:MixedDim"),
        ("field_dims@1", "methods.field_dims:FieldDims"),
        ("leading@1", "methods.leading:Leading"),
        ("sparse@1", "methods.sparse:Sparse"),
        ("hash@1", "methods.hash:Hash"),
        ("adapt_hot_cold@1", "methods.hot_cold:HotCold"),
        ("unified@1", "methods.unified:Unified"),
        ("quotient_remainder@1", "methods.quotient_remainder:QuotientRemainder"),
        ("subspace@1", "methods.subspace:Subspace"),
        ("bloom@1", "methods.bloom:Bloom"),
        ("hash_embedding@1", "methods.hash_embedding:HashEmbedding"),
        ("memcom@1", "methods.memcom:MEmCom"),
        ("robe@1", "methods.robe:ROBE"),
        ("tensor_train@1", "methods.tensor_train:TensorTrain"),
        ("deep_hash@1", "methods.deep_hash:DeepHash"),
        ("mgqe@1", "methods.mgqe:MGQE"),
        ("lr2vq@1", "methods.lr2vq:LR2VQ"),
        ("dedup@1", "methods.dedup:Dedup"),
        ("cafe@1", "methods.cafe:CAFE"),
        ("cce@1", "methods.cce:CCE"),
        ("anchors@1", "methods.anchors:Anchors"),
        ("multi_hash_features@1", "methods.multi_hash_features:MultiHashFeatures"),
    ),
)
"""Index maps with their composers, by versioned name."""

SEARCHES = Catalog(
    "nestvec.tables",
    (
        ("auto_dim@1", "searches.auto_dim:AutoDim"),
        ("dnis@1", "searches.dnis:DNIS"),
        ("opt_embed@1", "searches.opt_embed:OptEmbed"),
        ("pep@1", "searches.pep:PEP"),
        ("deeplight@1", "searches.deeplight:DeepLight"),
    ),
)
"""What finds the structure of a table while a model trains, by versioned name; see :mod:`nestvec.tables.search`."""

_ENDS_IN = {
    "auto_dim": "field_dims", "dnis": "sparse", "opt_embed": "leading", "pep": "sparse", "deeplight": "sparse",
}  # fmt: skip
"""The method of the table that a search finds."""

FORMS: Mapping[str, tuple[str, str]] = {
    "int8": ("full", "int8"),
    "int4": ("full", "int4"),
    "int2": ("full", "int2"),
    "float16": ("full", "float16"),
    "alpt": ("full", "alpt8"),
    "alpt8": ("full", "alpt8"),
    "alpt4": ("full", "alpt4"),
    "alpt2": ("full", "alpt2"),
    "dpq": ("full", "dpq"),
    **{search: (method, "float32") for search, method in _ENDS_IN.items()},
}
"""Short names of a full table under a codec, and of what searches end in: ``(method, codec)``."""

CODECS = (
    "float32", "float16", "int8", "int4", "int2", "alpt8", "alpt4", "alpt2",
    "dpq1", "dpq2", "dpq4", "dpq8", "dpq16", "dpq32", "dpq64",
)  # fmt: skip
"""How the numbers of a part are kept: see :mod:`nestvec.tables.packing` and :mod:`nestvec.tables.rows`."""

Setting = int | float | bool | tuple[int, ...]


@dataclass(frozen=True)
class TableSpec:
    """Everything that decides what a table is before it is trained.

    Args:
        method: a name of ``METHODS``, versioned.
        rows: ids of each field. Ids of all fields are numbered through: those of the second begin where those of the
            first end. Inside a field they should be sorted by falling frequency; methods that treat frequent ids
            better (MEmCom, MGQE, hot-cold …) rely on it.
        dim: width of a row.
        settings: of the method; what is not named has its default.
        codec: a name of ``CODECS``.
        exact_below: fields with at most so many ids keep a row for every id, whatever the method.
        seed: of the hashes and of the first values.
        search: a name of ``SEARCHES`` if one has yet to find a table of this method and of at most this size; empty for
            a table that is ready to learn.
        hashing: how the seed becomes the salts of hashes. 2 mixes it, so that tables of neighbouring seeds have no hash
            in common; 1 counts up from it, as tables do that were saved before there was a choice.

    Raises:
        InputError: a number is out of range, a setting is unknown, a search ends in another method.
        UnknownNameError: no method, codec or search has that name.
    """

    method: str
    rows: tuple[int, ...]
    dim: int
    settings: Mapping[str, Setting] = field(default_factory=dict)
    codec: str = "float32"
    exact_below: int = 0
    seed: int = 0
    search: str = ""
    hashing: int = 2

    def __post_init__(self) -> None:
        at_least(1, dim=self.dim, fields=len(self.rows))
        for number, rows in enumerate(self.rows):
            at_least(1, **{f"rows of field {number}": rows})
        at_least(0, exact_below=self.exact_below, seed=self.seed)
        check_codec(self.codec)
        if self.hashing not in (1, 2):
            raise InputError(f"hashing must be 1 or 2, got {self.hashing}. A later version of nestvec may know more.")
        if self.search:
            SEARCHES.require(self.search)
            ends = _ENDS_IN[self.search.partition("@")[0]]
            if ends != self.method.partition("@")[0]:
                raise InputError(f"a search of {self.search} must end in {ends}, got method {self.method}.")
        self.compressor  # an unknown name or setting is told now, not at the first lookup  # noqa: B018
        if self.codec.startswith(("alpt", "dpq")) and isinstance(self.compressor, Adaptive):
            raise InputError(
                f"{self.method} moves rows about while it learns, so its codec must be one that packs afterwards "
                f"(float16, int8, int4, int2), got {self.codec}."
            )

    @cached_property
    def sizes(self) -> Sizes:
        """All fields."""
        return Sizes(self.rows)

    @cached_property
    def exact(self) -> Bool[np.ndarray, " fields"]:
        """``[fields]`` whether a field keeps a row for every id."""
        return np.array(self.rows) <= self.exact_below

    @cached_property
    def compressor(self) -> Method | None:
        """The method over the fields that are not exact; None if there are none."""
        rows = tuple(n for n, small in zip(self.rows, self.exact, strict=True) if not small)
        method = METHODS[self.method]
        seed = self.seed if self.hashing == 1 else mix_seed(self.seed)
        try:
            made: Method = method(sizes=Sizes(rows or (1,)), dim=self.dim, seed=seed, **self.settings)
        except TypeError as cause:
            raise InputError(f"settings of {self.method} must be known to it, got {dict(self.settings)}.") from cause
        return made if rows else None

    @property
    def sought(self) -> bool:
        """Whether a search has yet to find the structure."""
        return bool(self.search) and self.compressor is not None

    @property
    def exact_rows(self) -> int:
        """Rows of the exact fields."""
        return int(np.array(self.rows)[self.exact].sum())

    @property
    def name(self) -> str:
        """Short, for people: ``quotient_remainder+int4``."""
        plain = (self.search or self.method).partition("@")[0]
        return plain if self.codec == "float32" else f"{plain}+{self.codec}"

    def check(self, ids: Array) -> Int64[np.ndarray, " n"]:
        """``[...]`` ids, one after another, as ``[n]`` int64.

        Raises:
            InputError: not whole numbers, or outside ``-1`` (padding) to the last id.
        """
        if ids.dtype.kind not in "iu":
            raise InputError(f"ids must be whole numbers, got {ids.dtype}.")
        flat = np.ascontiguousarray(ids.reshape(-1), dtype=np.int64)
        if flat.size and (flat.min() < -1 or flat.max() >= self.sizes.total):
            wrong = flat[(flat < -1) | (flat >= self.sizes.total)][0]
            raise InputError(
                f"ids must be -1 (padding) or in [0, {self.sizes.total}), got {wrong}. Ids of the fields are numbered "
                "through: add spec.sizes.starts to ids that begin at 0 in every field."
            )
        return flat

    def route(self, flat: Int64[np.ndarray, " n"]) -> tuple[Bool[np.ndarray, " n"] | None, Ids, Array]:
        """Where each id is answered.

        Returns:
            ``[n]`` True where the field is exact (None if no field is), the other ids renumbered for the compressor,
            and the rows of the exact ones.
        """
        if not self.exact.any():
            return None, self.sizes.split(flat), np.empty(0, np.int64)
        ids = self.sizes.split(flat)
        small = self.exact[ids.field]
        where = ids.field
        sizes = np.array(self.rows, np.int64)
        before = np.cumsum(np.where(self.exact, sizes, 0)) - np.where(self.exact, sizes, 0)
        others = np.cumsum(np.where(self.exact, 0, sizes)) - np.where(self.exact, 0, sizes)
        number = np.cumsum(~self.exact) - 1
        at = ~small
        rest = Ids(others[where[at]] + ids.local[at], number[where[at]], ids.local[at])
        return small, rest, before[where[small]] + ids.local[small]

    def to_json(self) -> str:
        """One line of JSON that :meth:`from_json` reads."""
        settings = {name: list(v) if isinstance(v, tuple) else v for name, v in self.settings.items()}
        sought = {"search": self.search} if self.search else {}
        return json.dumps(
            {
                "method": self.method, "rows": list(self.rows), "dim": self.dim, "settings": settings,
                "codec": self.codec, "exact_below": self.exact_below, "seed": self.seed,
                "hashing": self.hashing, **sought,
            },
            separators=(",", ":"), sort_keys=True,
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> TableSpec:
        """What :meth:`to_json` wrote.

        Raises:
            InputError: it is not that.
        """
        try:
            value: dict[str, Any] = json.loads(text)
            settings = {k: tuple(v) if isinstance(v, list) else v for k, v in value.pop("settings").items()}
            rows = tuple(value.pop("rows"))
            return cls(rows=rows, settings=settings, **{"hashing": 1, **value})
        except (ValueError, TypeError, KeyError, AttributeError) as cause:
            raise InputError(f"a description must be the JSON of a TableSpec, got {text[:80]!r}: {cause}") from cause


def resolve(name: str) -> tuple[str, str]:
    """``(versioned method, codec)`` of ``name``: ``hash``, ``hash@1``, ``quotient_remainder+int4`` or ``alpt``.

    Raises:
        UnknownNameError: there is none; the nearest name is offered.
    """
    plain, _, codec = name.partition("+")
    known = plain.partition("@")[0] if plain in SEARCHES else plain
    method, own = FORMS.get(known, (plain, "float32"))
    if "@" not in method:
        method = max((n for n in METHODS if n.partition("@")[0] == method), default=method)
    if method not in METHODS:
        names = sorted({*FORMS, *(name.partition("@")[0] for name in METHODS)})
        near = difflib.get_close_matches(plain, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}."
        raise UnknownNameError(f"unknown name {plain!r} of a table; {hint}")
    codec = codec or own
    if codec != "dpq":  # how many pieces is for the budget to say
        check_codec(codec)
    return method, codec


def search_of(name: str) -> str:
    """The versioned search that ``name`` stands for, with or without a codec; empty if it stands for none."""
    plain = name.partition("+")[0]
    return next((search for search in SEARCHES if plain in (search, search.partition("@")[0])), "")


def check_codec(codec: str) -> None:
    """Return if there is such a codec.

    Raises:
        InputError: there is none.
    """
    if codec not in CODECS:
        raise InputError(f"a codec must be one of {', '.join(CODECS)}, got {codec!r}.")


def as_rows(rows: int | Iterable[int] | Mapping[str, int]) -> tuple[int, ...]:
    """Ids of each field, from one number, several, or a mapping of names to numbers."""
    if isinstance(rows, int):
        return (rows,)
    return tuple(int(n) for n in (rows.values() if isinstance(rows, Mapping) else rows))


def make_spec(
    name: str, rows: int | Iterable[int] | Mapping[str, int], dim: int, *, exact_below: int = 0, seed: int = 0,
    **settings: Setting,
) -> TableSpec:  # fmt: skip
    """A :class:`TableSpec` from the short name of a method.

    Raises:
        InputError, UnknownNameError: see :class:`TableSpec`.
    """
    method, codec = resolve(name)
    return TableSpec(method, as_rows(rows), dim, settings, codec, exact_below, seed, search_of(name))
