"""Whether a model is worse on one's own data than complexity explains: nestvec.evaluation.domain."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from nestvec.core import Record, Space, Vectors
from nestvec.core.errors import InputError
from nestvec.evaluation.domain import MEASURES, Probed, Probing, cloze, complexity, decompose, domain_gap, sentences
from nestvec.evaluation.domain.complexity import entropy, fog
from nestvec.evaluation.domain.gap import DomainGap
from nestvec.evaluation.domain.probing import cut, probe
from nestvec.evaluation.kinds.retrieval import Retrieval
from nestvec.evaluation.lexical import words

SPACE = Space(encoder="knows", weights="knows", pooling="mean", dim=48)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("nestvec.evaluation.domain.decomposition._RESAMPLES", 100)  # every call is type-checked here


class Knows:
    """An encoder: the mean of a vector for each word; words that begin with ``x`` are all one word to it."""

    space, window = SPACE, 1_000

    def encode(self, records, *, size=None, instruction=None):
        texts = [r if isinstance(r, str) else r.full_text for r in records]
        return Vectors(np.stack([sum((self._of(w) for w in words(text)), np.zeros(48)) for text in texts])
                       .astype(np.float32), SPACE)  # fmt: skip

    def encode_query(self, queries, *, size=None, instruction=None):
        return self.encode(queries)

    def stream(self, records):
        raise NotImplementedError

    def count_tokens(self, texts, /):
        return [sum(2 if word.startswith("x") else 1 for word in words(text)) for text in texts]

    def _of(self, word):
        known = "x" if word.startswith("x") else word
        return np.random.default_rng(list(known.encode())).standard_normal(48)


def library(seed, *, strange=False, documents=140):
    """Texts of four sentences each about a subject of their own; ``strange`` ones in words that mean one thing."""
    rng = np.random.default_rng(seed)
    before = "x" if strange else "k"
    made = []
    for i in range(documents):
        subject = [f"{before}{seed}n{int(w)}" for w in rng.integers(0, 150, 8)]
        pieces = [" ".join(rng.choice(subject, 4)) + " " + " ".join(f"c{int(c)}" for c in rng.integers(0, 40, 3))
                  for _ in range(4)]  # fmt: skip
        made.append(Record(f"d{i}", ". ".join(pieces) + "."))
    return made


@pytest.fixture(scope="module")
def references():
    return {f"r{seed}": cloze(library(seed), 60, seed=seed) for seed in (1, 2, 3)}


def test_a_gap_is_found_where_the_words_are_strange_and_not_where_they_are_not(references):
    how = Probing(documents=100, questions=40)
    strange, known = (cloze(library(9, strange=some), 60) for some in (True, False))
    bad = domain_gap(Knows(), strange, references, name="strange", how=how, judged=False)
    good = domain_gap(Knows(), known, references, name="known", how=how, margin=0.2, judged=False)
    assert (bad.verdict, good.verdict) == ("gap", "none")
    assert np.allclose(bad.own.by_words, good.own.by_words)  # to BM25 they are the same texts
    assert bad.gap.unexplained.high < min(value for _, value in bad.gap.held_out)
    assert bad.own.tokens > 1.3 * good.own.tokens
    said = " ".join(sentences(bad))
    for part in ("There is a gap: on strange", "Adapting it", "BM25 answers these questions better", "tokens a word",
                 "by chance once in 4 times", "what your users ask"):  # fmt: skip
        assert part in said
    assert "No gap worth the name" in sentences(good)[0]
    told = json.loads(json.dumps(bad.to_json()))
    assert told["verdict"] == "gap"
    assert told["chance"] == 0.25
    assert set(told["own"]["complexity"]) == set(MEASURES)


def probed(name, y, x, *, by_words=None):
    y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
    full = np.zeros((len(y), len(MEASURES)))
    full[:, : x.shape[1]] = x
    return Probed(name, 100, y, y * 0 if by_words is None else by_words, full, 1.0)


def straight(seed, *, middle=0.0, level=0.0, n=300):
    """Scores that fall on a line of two measures, at a level of their own."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 2)) + middle
    return 0.5 + level + 0.2 * x[:, 0] - 0.1 * x[:, 1] + 0.02 * rng.standard_normal(n), x


def test_what_complexity_explains_is_taken_away():
    references = [probed(str(i), *straight(i, middle=0.2 * i)) for i in range(3)]
    own = probed("own", *straight(7, middle=-0.5, level=-0.15))
    found = decompose(own, references)
    assert found.raw.mean == pytest.approx(found.explained.mean + found.unexplained.mean)
    assert found.explained.mean == pytest.approx((-0.5 - 0.2) * 0.1, abs=0.02)
    assert found.unexplained.low < -0.15 < found.unexplained.high
    assert found.unexplained.high - found.unexplained.low < 0.05
    assert found.slopes[:2] == pytest.approx((0.2, -0.1), abs=0.02)
    assert found.slopes[2:] == (0.0,) * 6
    assert all(abs(value) < 0.05 for _, value in found.held_out)
    assert found.far < 0.1


def test_levels_of_the_references_are_no_effect_of_complexity():
    """The middle set is longer and better for a reason of its own; within each set, length does nothing."""
    rng = np.random.default_rng(0)
    sets = [(0.5 + shift + 0.05 * rng.standard_normal(200), rng.standard_normal((200, 1)) + 3 * shift)
            for shift in (0.0, 0.3, -0.3, 0.1)]  # fmt: skip
    found = decompose(probed("own", *sets[1]), [probed(str(i), *sets[i]) for i in (0, 2, 3)])
    assert abs(found.explained.mean) < 0.03
    assert found.unexplained.mean == pytest.approx(found.raw.mean, abs=0.03)


def test_nothing_is_foreseen_from_what_was_not_seen():
    references = [probed(str(i), *straight(i)) for i in range(3)]
    far = decompose(probed("far", *straight(7, middle=50.0)), references)
    farther = decompose(probed("farther", *straight(7, middle=500.0)), references)
    assert far.far == farther.far == 1.0
    assert far.explained.mean == pytest.approx(farther.explained.mean)


def test_one_reference_cannot_be_held_out():
    found = decompose(probed("own", *straight(1)), [probed("a", *straight(2))])
    assert found.held_out == ()
    with pytest.raises(InputError, match="must be a reference"):
        decompose(probed("own", *straight(1)), [])


def told(gap, *, own=None):
    own = own or probed("own", *straight(1))
    return DomainGap(own, (probed("a", *straight(2)), probed("b", *straight(3))), (), gap, "unclear", 0.05, judged=True)


def test_doubts_are_named():
    gap = decompose(probed("own", *straight(7, level=-0.3)), [probed(str(i), *straight(i)) for i in range(3)])
    wide = replace(gap, unexplained=replace(gap.unexplained, low=-0.2, mean=-0.05, high=0.1))
    assert "lies between -0.20 and +0.10, and so many questions show gaps from about 0.21" in sentences(told(wide))[0]
    deep = replace(gap, held_out=(("a", -0.5), ("b", 0.1)), beyond_words=replace(gap.beyond_words, high=0.1))
    said = sentences(told(deep))[0]
    assert "a, held out, falls as far (-0.50), and these questions are hard for BM25 too" in said
    eased = replace(gap, unexplained=replace(gap.unexplained, mean=0.02, low=-0.01, high=0.05))
    assert "but the model's lead over BM25 differs by" in sentences(told(eased))[0]
    small = replace(gap, unexplained=replace(gap.unexplained, mean=-0.03, low=-0.06, high=-0.01))
    assert "but that is small" in sentences(told(small))[0]
    assert any("90% of the questions are unlike" in line for line in sentences(told(replace(gap, far=0.9))))
    assert "what your users ask" not in sentences(told(gap))[-1]
    alone = replace(gap, held_out=())
    assert any("bring more" in line for line in sentences(told(alone)))


# ------------------------------------------------------------------ questions without labels


def test_a_sentence_is_taken_out_of_its_text():
    records = library(4)
    task = cloze([*records, replace(records[0], id="again")], 50)
    texts = {record.id: record.text for record in records}
    left = {record.id: record.text for record in task.documents}
    assert len(task) == 50
    assert "again" not in left
    for name, question in task.queries.items():
        assert question in texts[name]
        assert question not in left[name]
        assert task.judged[name] == {name: 1.0}
    assert all(left[name] == texts[name] for name in left if name not in task.queries)
    assert cloze(records, 50).fingerprint == cloze(records, 50).fingerprint != cloze(records, 50, seed=1).fingerprint


def test_sentences_that_stand_in_several_texts_are_no_questions():
    records = [Record(f"d{i}", f"All rights are reserved here.\nThis one is number {i} of the lot. Short. Also {i} of "
                      f"these nine words are never {i} asked.") for i in range(40)]  # fmt: skip
    assert not {"All rights are reserved here.", "Short."} & set(cloze(records, 40).queries.values())
    with pytest.raises(InputError, match="at least 30 questions, got 0 of 2"):
        cloze([Record("a", "One sentence only is here."), Record("b", "x. y. z.")], 40)


# ------------------------------------------------------------------ how hard, and how much


def test_entropy_and_readability():
    assert entropy("") == 0
    assert entropy("same same same") == 0
    assert entropy("one two three four") == pytest.approx(2)
    assert entropy(" ".join(f"w{i}" for i in range(300))) == pytest.approx(math.log2(100))
    assert fog("") == 0
    assert fog("The cat sat. The dog ran.") == pytest.approx(0.4 * 3)
    assert fog("Immediate gratification.") == pytest.approx(0.4 * (2 + 100))


def test_measures_of_a_question():
    documents = (Record("a", "red fox runs"), Record("b", "blue whale swims far"), Record("c", "red whale"))
    task = Retrieval(documents, {"q": "blue fox sings"}, {"q": {"a": 1.0, "b": 2.0, "c": 0.0}})
    row = dict(zip(MEASURES, complexity(task, {"q": 0.25})[0], strict=True))
    rare, rarest = math.log(4 / 2), math.log(4)
    assert row["question words"] == pytest.approx(math.log(4))
    assert row["document words"] == pytest.approx((math.log(4) + math.log(5)) / 2)
    assert row["rarity"] == pytest.approx((2 * rare + rarest) / 3)
    assert row["overlap"] == pytest.approx(rare / (2 * rare + rarest))
    assert row["answers"] == pytest.approx(math.log(3))
    assert row["by words"] == 0.25
    assert complexity(task, {}).shape == (0, len(MEASURES))


def judged(documents, answers, questions=40):
    """Question ``i`` has ``answers`` documents of its own."""
    records = tuple(Record(f"d{i}", f"text {i}") for i in range(documents))
    gains = {f"q{i}": {f"d{answers * i + j}": 1.0 for j in range(answers)} for i in range(questions)}
    return Retrieval(records, {name: f"ask {name}" for name in gains}, gains)


def test_sets_are_cut_to_one_measure():
    part = cut(judged(400, 5), Probing(documents=100, questions=30))
    assert (len(part.documents), len(part)) == (100, 25)  # 25 questions fill half of the documents
    assert {len(gains) for gains in part.judged.values()} == {2}
    assert len(cut(judged(400, 1), Probing(documents=100, questions=30))) == 30
    every = cut(judged(210, 5), Probing(documents=200, questions=100))
    assert len(every.documents) == 2 * 40 + 10  # answers that were left out cannot be confused with anything
    how = Probing(documents=100, questions=30)
    assert cut(judged(400, 5), how).fingerprint == part.fingerprint
    assert cut(judged(400, 5), replace(how, seed=1)).fingerprint != part.fingerprint


def test_a_model_is_measured_beside_words():
    part = cut(cloze(library(5), 40), Probing(documents=60, questions=30))
    found = probe("five", part, Knows())
    assert (found.documents, len(found)) == (60, 30)
    assert found.measures.shape == (30, len(MEASURES))
    assert (found.measures[:, -1] == found.by_words).all()
    assert found.by_words.mean() > 0.5
    assert found.tokens == 1.0


def test_what_cannot_be_measured_is_refused(references):
    own = cloze(library(8), 40)
    with pytest.raises(InputError, match="margin must be above 0"):
        domain_gap(Knows(), own, references, margin=0.0)
    with pytest.raises(InputError, match="'r1', which is also"):
        domain_gap(Knows(), own, references, name="r1")
    with pytest.raises(InputError, match=r"got none that can be used \(none was given"):
        domain_gap(Knows(), own, {})
    with pytest.raises(InputError, match="tiny: 12 documents and 6 questions that can be used are too few"):
        domain_gap(Knows(), own, {"tiny": judged(12, 2, questions=6)})
    with pytest.raises(InputError, match="own data must have 50 documents and 30 questions"):
        domain_gap(Knows(), judged(45, 1), references)
    with pytest.raises(InputError, match="at least 50 documents"):
        Probing(documents=10)
