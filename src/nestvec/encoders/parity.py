"""Does the text encoder give what sentence-transformers gives? One figure, with what it was measured against."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Matrix
from nestvec.encoders import backbone
from nestvec.encoders.precision import COSINE_FLOOR, cosines
from nestvec.encoders.samples import PARITY
from nestvec.encoders.text import Precision, TextEncoder
from nestvec.encoders.tokens import TruncationWarning

BATCH_SINGLE_CEILING = 1e-3
_SINGLES = 64  # texts that are also encoded one by one; each costs a forward pass


@dataclass(frozen=True)
class Parity:
    """How close an encoder is to sentence-transformers in float32, and to itself.

    Args:
        encoder: name of the model.
        precision: in which it ran.
        precision_reason: why.
        reference: the library and release it was compared with.
        texts: how many were compared, as documents and as queries.
        truncated: how many of those were longer than the window; both sides cut them alike.
        cosine_min: lowest cosine of a text's two vectors.
        cosine_mean: the mean of them.
        batch_single_max_diff: largest difference of any number between a text encoded in company and alone,
            the vectors taken at length 1.
    """

    encoder: str
    precision: str
    precision_reason: str
    reference: str
    texts: int
    truncated: int
    cosine_min: float
    cosine_mean: float
    batch_single_max_diff: float

    @property
    def passed(self) -> bool:
        """True where every cosine is at least 0.999 and no number moved by more than 0.001."""
        return self.cosine_min >= COSINE_FLOOR and self.batch_single_max_diff <= BATCH_SINGLE_CEILING

    def to_json(self) -> dict[str, JSON]:
        """A plain dict, ``passed`` included."""
        return {**asdict(self), "passed": self.passed}

    def __str__(self) -> str:
        return (
            f"{'passed' if self.passed else 'FAILED'}: {self.encoder} in {self.precision} against {self.reference}\n"
            f"  texts               {self.texts} ({self.truncated} longer than the window)\n"
            f"  cosine, lowest      {self.cosine_min:.6f} (at least {COSINE_FLOOR})\n"
            f"  cosine, mean        {self.cosine_mean:.6f}\n"
            f"  batch minus single  {self.batch_single_max_diff:.1e} (at most {BATCH_SINGLE_CEILING:.0e})\n"
            f"  {self.precision_reason}"
        )


def check_parity(
    source: str | Path = "default", texts: Sequence[str] | None = None, *, precision: Precision = "auto"
) -> Parity:
    """Encode texts, as documents and as queries, here and with sentence-transformers, and compare.

    Args:
        source: as for :meth:`TextEncoder.load`.
        texts: what to compare on; built-in ones, from empty to longer than the window, if left out.
        precision: of this side; the reference runs in float32.

    Raises:
        InputError: there are no texts, or ``source`` cannot be used.
    """
    chosen = list(PARITY if texts is None else texts)
    if not chosen:
        raise InputError("parity must be measured on at least one text, got none.")
    encoder = TextEncoder.load(source, precision=precision)
    model = backbone.open_model(encoder.folder, device=encoder.device)
    quiet = {"show_progress_bar": False, "convert_to_numpy": True}
    reference = np.concatenate([model.encode_document(chosen, **quiet), model.encode_query(chosen, **quiet)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # the count is in the report
        documents = encoder.encode(chosen).values
        ours = np.concatenate([documents, encoder.encode_query(chosen).values])
        truncated = encoder.truncated
        few = np.linspace(0, len(chosen) - 1, min(len(chosen), _SINGLES)).astype(int)
        alone = np.concatenate([encoder.encode([chosen[i]]).values for i in few])
    agreement = cosines(ours, reference.astype(np.float32))
    return Parity(
        encoder=encoder.space.encoder,
        precision=encoder.precision,
        precision_reason=encoder.precision_reason,
        reference=f"sentence-transformers {version('sentence-transformers')}",
        texts=len(ours),
        truncated=truncated,
        cosine_min=float(agreement.min()),
        cosine_mean=float(agreement.mean()),
        batch_single_max_diff=float(np.abs(_unit(documents[few]) - _unit(alone)).max()),
    )


def _unit(x: Matrix) -> Matrix:
    unit: Matrix = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return unit
