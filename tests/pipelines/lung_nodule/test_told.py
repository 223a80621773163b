"""What headers say of an examination, and what they don't."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from imaging.study import StudyInfo
from pipelines.lung_nodule.configuration import LungNoduleConfiguration, LungRules, OrderRules, Phrases
from pipelines.lung_nodule.guidelines.facts import Density, NoduleFacts
from pipelines.lung_nodule.lungs import find_lungs
from pipelines.lung_nodule.nodule import Mark, Nodule
from pipelines.lung_nodule.told import examination_of, order_of, said

PHRASES = Phrases(told=("KNOWN CANCER", "METASTA*", "癌术后"), denied=("NO KNOWN CANCER", "无癌"))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Known cancer, staging", True),
        ("no known cancer", False),
        ("No known cancer. Metastases?", None),
        ("cough", None),
        ("乳腺癌术后", True),
        ("无癌", False),
        ("unknown cancers", None),
    ],
)
def test_what_a_text_says(text: str, answer: bool | None) -> None:
    assert said(text, PHRASES)[0] is answer


@pytest.fixture(scope="module")
def rules(configuration: dict[str, Any]) -> OrderRules:
    return LungNoduleConfiguration.model_validate(configuration).order


@pytest.mark.parametrize(
    ("order", "protocol", "screening"),
    [
        ("Lung cancer screening, baseline", "", True),
        ("", "LDCT_LUNG_SCREENING", True),
        ("体检，肺癌筛查", "", True),
        ("screening for metastases", "", None),
        ("incidental nodule, not screening", "", False),
        ("", "Chest routine", None),
    ],
)
def test_screening_only_where_order_or_protocol_says_so(
    rules: OrderRules, chest: Any, order: str, protocol: str, screening: bool | None
) -> None:
    found = order_of(StudyInfo("1.2", (), order=order), replace(chest.series, protocol=protocol), rules)
    assert found.screening is screening
    assert bool(found.evidence) is (screening is not None)
    assert order_of(None, chest.series, rules).screening is None


def test_the_shipped_words_on_an_order(rules: OrderRules, chest: Any) -> None:
    text = "No known malignancy, immunocompetent. Family history of lung cancer. Emphysema."
    found = order_of(StudyInfo("1.2", (), order=text), chest.series, rules)
    assert (found.known_cancer, found.immunosuppression, found.family_history, found.emphysema, found.first_ct) == (
        False, False, True, True, None,
    )  # fmt: skip


def nodule(density: Density | None) -> Nodule:
    return Nodule(Mark((0.0, 0.0, 0.0), 5.0), None, 0, (), NoduleFacts(density=density), 1.0)  # type: ignore[arg-type]


def test_the_examination(chest: Any, rules: OrderRules) -> None:
    lungs = find_lungs(chest, LungRules())
    study = StudyInfo("1.2", (), age=61.0, sex="F")
    order = order_of(study, chest.series, rules)

    def made(volume: Any = chest, lungs: Any = lungs, *densities: Density | None, hidden: float = 0.0) -> Any:
        given = [nodule(d) for d in densities]
        return examination_of(study, volume, lungs, given, order, hidden_ml=hidden, dense_note_ml=100)

    found = made(chest, lungs, Density.SOLID, Density.PART_SOLID)
    assert (found.age, found.sex, found.thickness_mm, found.whole_lung) == (61.0, "F", 2.0, True)
    assert (found.nodules, found.subsolid_nodules) == (2, 1)
    assert made(chest, lungs, Density.SOLID, None).subsolid_nodules is None
    assert not made(chest, replace(lungs, cut_below=True)).whole_lung
    assert not made(chest, replace(lungs, not_searched_ml=(0.0, 250.0))).whole_lung
    assert not made(chest, replace(lungs, labels=lungs.labels * (lungs.labels == 1))).whole_lung
    assert not made(chest, lungs, hidden=2.0).whole_lung
    thin = replace(chest, series=replace(chest.series, thickness=1.0))
    assert made(thin).thickness_mm == 2.0  # as far as its slices lie apart
    assert made(replace(chest, series=replace(chest.series, thickness=None))).thickness_mm is None
