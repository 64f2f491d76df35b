"""The tasks that nestvec knows by name. Their data is not part of nestvec: it lies in a folder of the user's."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from nestvec.core.errors import UnknownNameError
from nestvec.evaluation.task import Task

_TREC = "ABBR=abbreviation,DESC=description,ENTY=thing,HUM=person,LOC=place,NUM=number"


def _retrieval(name: str, licence: str, citation: str, **options: Any) -> Task:
    return Task(name, "retrieval@1", name, options, licence, citation)


def _words(name: str, file: str, citation: str) -> Task:
    return Task(name, "word_similarity@1", f"wordsim/{file}.tsv", {}, "free for research", citation)


def _groups(name: str, citation: str) -> Task:
    return Task(f"clustering_{name}", "clustering@1", f"short_text_clustering/{name}.jsonl", {}, citation=citation)


def _dictionary(a: str, b: str, languages: tuple[str, str]) -> Task:
    options = {"columns": (a, b)}
    path = f"bli_dictionaries/{a}-{b}.test.tsv"
    return Task(f"bli_{a}_{b}", "bitext@1", path, options, citation="Glavaš et al. 2019", languages=languages)


def _sts(language: str, script: str) -> Task:
    name = "stsb" if language == "en" else f"stsb_{language}"
    path = f"stsb/{language}_test.jsonl"
    return Task(name, "sts@1", path, licence="CC BY-SA 4.0", citation="Cer et al. 2017", languages=(script,))


_BANKING = ("CC BY 4.0", "Casanueva et al. 2020")
_QUESTIONS = ("research", "Li and Roth 2002")

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        _retrieval("scifact", "CC BY 4.0, abstracts ODC-By 1.0", "Wadden et al. 2020"),
        _retrieval("cranfield", "not stated", "Cleverdon 1967"),
        _retrieval("medline", "not stated", "Salton and McGill 1983"),
        _retrieval("adi", "not stated", "Salton and McGill 1983"),
        _retrieval("cosqa_dev", "C-UDA", "Huang et al. 2021"),
        _retrieval("limit_small", "CC BY 4.0", "Weller et al. 2025", metric="R@2"),
        Task("scifact_reranking", "reranking@1", "scifact", {}, "as scifact", "Wadden et al. 2020"),
        _sts("en", "eng-Latn"),
        _sts("de", "deu-Latn"),
        _sts("es", "spa-Latn"),
        _sts("fr", "fra-Latn"),
        _sts("ja", "jpn-Jpan"),
        _sts("ru", "rus-Cyrl"),
        _sts("zh", "zho-Hans"),
        Task(
            "snli_pairs", "pair_classification@1", "snli_dev_test/test.jsonl",
            {"true": "entailment", "false": "contradiction"}, "CC BY-SA 4.0", "Bowman et al. 2015",
        ),
        Task("banking77", "classification@1", "banking77", {}, *_BANKING),
        Task("banking77_probe", "classification@1", "banking77", {"way": "probe"}, *_BANKING),
        Task("banking77_knn", "classification@1", "banking77", {"way": "knn"}, *_BANKING),
        Task("trec_coarse", "classification@1", "trec_question_types", {"label": "coarse"}, *_QUESTIONS),
        Task("trec_fine_knn", "classification@1", "trec_question_types", {"label": "fine", "way": "knn"}, *_QUESTIONS),
        Task(
            "trec_zero_shot", "zero_shot@1", "trec_question_types/test.jsonl",
            {"label": "coarse", "template": "a question about a {}", "names": _TREC}, *_QUESTIONS,
        ),
        Task("banking77_zero_shot", "zero_shot@1", "banking77/test.jsonl", {}, *_BANKING),
        Task(
            "newsgroups", "clustering@1", "mini_newsgroups/all.jsonl", {"text": ("subject", "text")},
            citation="Lang 1995",
        ),
        _groups("tweet", "Yin and Wang 2014"),
        _groups("search_snippets", "Phan et al. 2008"),
        _groups("googlenews_t", "Yin and Wang 2014"),
        _groups("stackoverflow", "Xu et al. 2015"),
        _groups("biomedical", "Xu et al. 2015"),
        _groups("agnews8000", "Zhang et al. 2015"),
        _dictionary("en", "de", ("eng-Latn", "deu-Latn")),
        _dictionary("en", "fr", ("eng-Latn", "fra-Latn")),
        _dictionary("en", "it", ("eng-Latn", "ita-Latn")),
        _dictionary("en", "ru", ("eng-Latn", "rus-Cyrl")),
        _words("wordsim353", "ws-353-all", "Finkelstein et al. 2001"),
        _words("simlex999", "simlex-999", "Hill et al. 2015"),
        _words("men", "men-tr-3k", "Bruni et al. 2014"),
        _words("rare_words", "rw-stanford", "Luong et al. 2013"),
        Task("google_analogies", "analogy@1", "analogies/google.tsv", {}, "Apache-2.0", "Mikolov et al. 2013"),
        Task("google_phrases", "analogy@1", "analogies/google_phrases.tsv", {}, "Apache-2.0", "Mikolov et al. 2013"),
    )
}  # fmt: skip
"""Tasks by name."""

GROUPS: dict[str, tuple[str, ...]] = {
    "quick": ("scifact", "stsb", "banking77", "clustering_tweet", "wordsim353"),
    "all": tuple(TASKS),
    **{kind: tuple(t.name for t in TASKS.values() if t.kind == f"{kind}@1") for kind in sorted(
        {t.kind.partition("@")[0] for t in TASKS.values()}
    )},
}  # fmt: skip
"""Names for several tasks at once: ``quick`` has one of five kinds, and each kind names all of its tasks."""


def choose(names: Iterable[str]) -> tuple[Task, ...]:
    """Tasks by name, by group, or of one's own data (``KIND=PATH``), each once, in the order given.

    Raises:
        UnknownNameError: nothing has that name; the nearest is offered.
    """
    found: dict[str, Task] = {}
    for name in names:
        if "=" in name:
            own = Task.own(name)
            while own.name in found and found[own.name] != own:
                own = Task(own.name + "-2", own.kind, own.path, own.options, own.licence)
            found[own.name] = own
        elif name in GROUPS:
            found |= {one: TASKS[one] for one in GROUPS[name]}
        elif name in TASKS:
            found[name] = TASKS[name]
        else:
            near = difflib.get_close_matches(name, [*TASKS, *GROUPS], n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join([*TASKS, *GROUPS])}."
            raise UnknownNameError(f"unknown task {name!r}; {hint}")
    return tuple(found.values())
