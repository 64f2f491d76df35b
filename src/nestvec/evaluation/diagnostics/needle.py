"""What a model sees of long texts: synthetic documents with one fact each, at a random place."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.types import JSON, Array
from nestvec.encoders.tokens import TruncationWarning
from nestvec.evaluation.diagnostics.sampling import wilson
from nestvec.kernels.neighbours import unit

Kind = Literal["passkey", "needle"]
LENGTHS = (128, 256, 512, 1024, 2048, 4096)
# fmt: off
_FIRST = (
    "Ada", "Boris", "Clara", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Lars", "Mina",
    "Nils", "Olga", "Pavel", "Rosa", "Sven", "Tara", "Umut",
)
_LAST = (
    "Abbott", "Berger", "Castro", "Dahl", "Evans", "Fischer", "Garcia", "Hansen", "Ivanov", "Jensen", "Keller",
    "Lopez", "Meyer", "Novak", "Okoye",
)
_THINGS = (
    "violin", "telescope", "ladder", "lantern", "compass", "carpet", "barometer", "anvil", "kettle", "sextant",
    "loom", "globe",
)
_PLACES = (
    "attic", "boathouse", "cellar", "orchard", "greenhouse", "lighthouse", "stable", "library", "workshop", "tower",
)
# fmt: on
_FILLER = (
    "The road follows the river for a while and then climbs.",
    "In spring the fields are wet and the paths are soft.",
    "The market opens early and closes before noon.",
    "Most houses here were built of the same grey stone.",
    "A bus leaves every hour, except on holidays.",
    "The wind comes from the west and brings rain.",
    "Children play in the square until the lamps are lit.",
    "Bread is baked twice a day in the old oven.",
    "The bridge was closed for repairs last autumn.",
    "From the hill one can see the sea on clear days.",
)


@dataclass(frozen=True)
class NeedleRow:
    """One length.

    Args:
        tokens: of each document.
        found: share of questions whose document comes first.
        low: lower end of a 95 % interval.
        high: upper end.
        seen: share of questions whose fact lies inside the model's window.
        false_alarms: share of questions about nobody whose best score passes the threshold that lets through 95 % of
            the true ones.
        chance: what guessing finds.
    """

    tokens: int
    found: float
    low: float
    high: float
    seen: float
    false_alarms: float
    chance: float

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        return dict(asdict(self))


@dataclass(frozen=True)
class _Haystack:
    documents: list[str]
    ends: list[int]  # character at which the fact of each document ends
    asked: list[str]
    about: list[int]  # which document answers
    absent: list[str]


def needle(
    encoder: Encoder,
    *,
    kind: Kind = "passkey",
    lengths: Sequence[int] = LENGTHS,
    documents: int = 100,
    questions: int = 50,
    seed: int = 0,
) -> list[NeedleRow]:
    """Ask for the one document that holds a fact, at several lengths.

    ``passkey`` hides "The pass key of NAME is 12345."; ``needle`` hides "NAME keeps the THING in the PLACE." All the
    rest is the same few sentences, so that nothing else tells documents apart.

    Args:
        encoder: any; longer texts than its window are cut off, as they are when it is used.
        kind: what is hidden.
        lengths: tokens of the documents, as the encoder counts them.
        documents: how many to choose from.
        questions: how many are asked, at most ``documents``; half as many again ask about nobody.
        seed: of names, facts and places.

    Returns:
        A row a length. The share found falls where the fact lies outside the window, or drowns in the rest.

    Raises:
        InputError: a number is out of range.

    Cost: encoding ``documents`` texts of each length.

    Source: Zhu et al. 2024, sec. 3 (arXiv:2404.12096), here with texts made on the spot.
    """
    if kind not in ("passkey", "needle"):
        raise InputError(f"kind must be 'passkey' or 'needle', got {kind!r}.")
    names = len(_FIRST) * len(_LAST)
    if not 2 <= documents <= names // 2 or not 1 <= questions <= documents or not lengths or min(lengths) < 32:
        raise InputError(
            f"there must be 2 to {names // 2} documents, at most as many questions, and lengths of 32 tokens and more, "
            f"got {documents}, {questions} and {list(lengths)}."
        )
    return [
        _measure(encoder, _haystack(encoder, kind, length, documents, questions, seed), length) for length in lengths
    ]


def _haystack(encoder: Encoder, kind: Kind, length: int, documents: int, questions: int, seed: int) -> _Haystack:
    rng = np.random.default_rng((seed, length))
    people = [f"{a} {b}" for a in _FIRST for b in _LAST]
    order = rng.permutation(len(people))
    present, nobody = [people[i] for i in order[:documents]], [people[i] for i in order[documents:]]
    per_sentence = max(sum(encoder.count_tokens(_FILLER)) / len(_FILLER), 1)
    texts, ends = [], []
    for name in present:
        fact = _fact(kind, name, rng)
        sentences = max(1, round((length - encoder.count_tokens([fact])[0]) / per_sentence))
        around = [_FILLER[i] for i in rng.integers(len(_FILLER), size=sentences)]
        at = int(rng.integers(sentences + 1))
        texts.append(" ".join([*around[:at], fact, *around[at:]]))
        ends.append(len(" ".join([*around[:at], fact])))
    about = rng.permutation(documents)[:questions].tolist()
    absent = nobody[: max(1, questions // 2)]
    return _Haystack(
        texts, ends, [_question(kind, present[i]) for i in about], about, [_question(kind, name) for name in absent]
    )


def _fact(kind: Kind, name: str, rng: np.random.Generator) -> str:
    if kind == "passkey":
        return f"The pass key of {name} is {int(rng.integers(10_000, 100_000))}."
    thing, place = _THINGS[int(rng.integers(len(_THINGS)))], _PLACES[int(rng.integers(len(_PLACES)))]
    return f"{name} keeps the {thing} in the {place}."


def _question(kind: Kind, name: str) -> str:
    return f"What is the pass key of {name}?" if kind == "passkey" else f"Where does {name} keep it?"


def _measure(encoder: Encoder, hay: _Haystack, length: int) -> NeedleRow:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # that texts are cut off is what is measured
        held = unit(encoder.encode(hay.documents).values)
    scores = unit(encoder.encode_query(hay.asked).values) @ held.T
    nobody = unit(encoder.encode_query(hay.absent).values) @ held.T
    right: Array = np.array(hay.about)
    hit = scores.argmax(axis=1) == right
    found = float(hit.mean())
    low, high = wilson(found, len(hit))
    threshold = np.quantile(scores[np.arange(len(right)), right], 0.05)
    before = encoder.count_tokens([hay.documents[i][: hay.ends[i]] for i in hay.about])
    return NeedleRow(
        tokens=length,
        found=found,
        low=low,
        high=high,
        seen=float((np.array(before) <= encoder.window).mean()),
        false_alarms=float((nobody.max(axis=1) >= threshold).mean()),
        chance=1 / len(hay.documents),
    )
