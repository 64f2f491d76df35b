"""Whether a model is worse on one's own data than on other data, when both are equally hard.

:func:`domain_gap` measures the model on both, takes away what the complexity of the texts explains, and says what is
left. :func:`cloze` makes questions where nobody wrote or judged any.
"""

from nestvec.evaluation.domain.cloze import cloze
from nestvec.evaluation.domain.complexity import MEASURES, complexity
from nestvec.evaluation.domain.decomposition import Gap, decompose
from nestvec.evaluation.domain.gap import DomainGap, domain_gap
from nestvec.evaluation.domain.probing import Probed, Probing, probe
from nestvec.evaluation.domain.words import sentences

__all__ = [
    "MEASURES",
    "DomainGap",
    "Gap",
    "Probed",
    "Probing",
    "cloze",
    "complexity",
    "decompose",
    "domain_gap",
    "probe",
    "sentences",
]
