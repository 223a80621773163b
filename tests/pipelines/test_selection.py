"""The choice of series, on made-up headers."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from imaging.pipeline import Refusal, Selection
from imaging.reasons import Reason, ReasonKind
from imaging.study import InstanceInfo, SeriesInfo, StudyInfo
from pipelines.rules import SelectionRules, contains
from pipelines.selection import select


@pytest.fixture(scope="module")
def rules(repo_root: Path) -> SelectionRules:
    text = (repo_root / "configs" / "pipelines" / "lung_nodule.yaml").read_text(encoding="utf-8")
    return SelectionRules.model_validate(yaml.safe_load(text)["selection"])


def instances(uid: str, count: int, *, image: bool = True, ours: bool = False, rescale: str = "HU") -> tuple:
    return tuple(
        InstanceInfo("1.2", uid, f"{uid}.{n}", "", "", f"{uid}{n}", "", image, ours, "CT", rescale_type=rescale)
        for n in range(count)
    )


def series(
    number: int, description: str = "", *, count: int = 250, rescale: str = "HU", **values: object
) -> SeriesInfo:
    uid = f"1.2.3.{number}"
    usual: dict[str, object] = {
        "body_part": "CHEST",
        "manufacturer": "SIEMENS",
        "kernel": "Br40f",
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "orientation": "axial",
        "thickness": 1.0,
        "spacing": 1.0,
        "extent": 300.0,
    }
    return SeriesInfo(uid, "CT", instances(uid, count, rescale=rescale), number, description, **(usual | values))


SCOUT = series(
    1, "Topogram", count=2, orientation="coronal", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"), extent=None
)
THICK = series(2, "Chest 5.0 Br40", count=60, thickness=5.0, spacing=5.0)
LUNG = series(3, "Lung 1.0 Bl57", kernel="Bl57f")
SOFT = series(4, "Chest 1.0 Br40")
CORONAL = series(5, "Chest cor 2.0 MPR", orientation="coronal", image_type=("DERIVED", "SECONDARY", "MPR"))
MIP = series(6, "Chest ax MIP 8.0", image_type=("DERIVED", "SECONDARY", "MIP"))
DOSE = series(7, "Patient Protocol", count=1, image_type=("ORIGINAL", "SECONDARY", "OTHER"), orientation=None)
IODINE = series(8, "Chest Iodine map", image_type=("DERIVED", "PRIMARY", "AXIAL"), rescale="MGML")
PARTIAL = series(9, "Lung 1.0 Bl57 repeat", count=170, kernel="Bl57f", extent=170.0)
DERIVED = series(10, "Chest 1.0", image_type=("DERIVED", "PRIMARY", "OTHER"))
GAP = Reason(ReasonKind.MISSING_SLICE, "series 11 (Lung gap): a slice is missing after z = 3 mm", "1.2.3.11")
DEFECTIVE = series(11, "Lung gap", kernel="Bl57f", thickness=0.8, spacing=0.8, defect=GAP)
ALL = (SCOUT, THICK, LUNG, SOFT, CORONAL, MIP, DOSE, IODINE, PARTIAL, DERIVED, DEFECTIVE)
KINDS = {
    SCOUT: ReasonKind.LOCALIZER,
    THICK: ReasonKind.RANKED_LOWER,
    SOFT: ReasonKind.RANKED_LOWER,
    CORONAL: ReasonKind.REFORMAT,
    MIP: ReasonKind.PROJECTION,
    DOSE: ReasonKind.DOSE_PAGE,
    IODINE: ReasonKind.DUAL_ENERGY_MAP,
    PARTIAL: ReasonKind.RANKED_LOWER,
    DERIVED: ReasonKind.DERIVED,
    DEFECTIVE: ReasonKind.MISSING_SLICE,
}


def study(*group: SeriesInfo, description: str = "", patients: tuple[str, ...] = ("a",)) -> StudyInfo:
    return StudyInfo("1.2", group, description, patients=patients)


def test_the_thin_lung_kernel_is_read_and_every_other_series_is_named(rules):
    chosen = select(study(*ALL), rules)
    assert isinstance(chosen, Selection)
    assert chosen.series == (LUNG,)
    reasons = {r.series_instance_uid: r for r in chosen.excluded}
    assert len(chosen.excluded) == len(ALL) - 1
    for one, kind in KINDS.items():
        assert reasons[one.series_instance_uid].kind is kind
        assert one.name in reasons[one.series_instance_uid].message
    assert reasons[DEFECTIVE.series_instance_uid] == GAP
    assert "170 mm" in reasons[PARTIAL.series_instance_uid].message
    assert "5.00 mm" in reasons[THICK.series_instance_uid].message
    assert "Br40f" in reasons[SOFT.series_instance_uid].message


def test_the_order_of_arrival_never_matters(rules):
    first = select(study(*ALL), rules)
    dice = random.Random(3)
    for _ in range(30):
        assert select(study(*dice.sample(ALL, len(ALL))), rules) == first


def test_equal_series_fall_to_the_lower_number_then_the_uid(rules):
    again = replace(LUNG, series_number=12, series_instance_uid="1.2.3.0")
    twin = replace(LUNG, series_instance_uid="1.2.3.29")
    for order in itertools.permutations((LUNG, again, twin)):
        chosen = select(study(*order), rules)
        assert isinstance(chosen, Selection)
        assert chosen.series[0] is twin  # the UIDs compare as text


def test_thinner_than_thin_enough_is_no_better(rules):
    thinner = replace(SOFT, series_number=13, series_instance_uid="1.2.3.13", thickness=0.6, spacing=0.6)
    chosen = select(study(LUNG, thinner), rules)
    assert isinstance(chosen, Selection)
    assert chosen.series == (LUNG,)


@pytest.mark.parametrize(
    ("kernel", "sharp"),
    [
        ("LUNG", True),
        ("BONEPLUS", True),
        ("STANDARD", False),
        ("B70f", True),
        ("B41f", False),
        ("Br64f", True),
        ("Bl57d", True),
        ("YC", True),
        ("B", False),
        ("FC51", True),
        ("FC18", False),
        ("B_VSHARP_C", True),
        ("", False),
    ],
)
def test_kernels_of_the_vendors(rules, kernel, sharp):
    assert rules.kernels[0].fits(kernel) is sharp


def test_a_defective_series_gives_its_own_reason_when_nothing_else_is_left(rules):
    refused = select(study(SCOUT, CORONAL, DEFECTIVE), rules)
    assert isinstance(refused, Refusal)
    assert refused.reason == GAP
    assert refused.reason.ours
    assert len(refused.excluded) == 3


def test_a_tilted_series_is_called_tilted_not_oblique(rules):
    tilt = Reason(ReasonKind.GANTRY_TILT, "series 3 (x): tilted by 12 degrees", LUNG.series_instance_uid)
    refused = select(study(replace(LUNG, orientation="oblique", defect=tilt)), rules)
    assert isinstance(refused, Refusal)
    assert refused.reason is tilt


def test_two_patients_under_one_study(rules):
    refused = select(study(LUNG, patients=("a", "b")), rules)
    assert isinstance(refused, Refusal)
    assert refused.reason.kind is ReasonKind.MIXED_PATIENTS


@pytest.mark.parametrize(
    ("body_part", "description", "of_study", "read"),
    [
        ("ABDOMEN", "Abdomen 1.0", "", False),
        ("", "", "CT Abdomen", False),
        ("ABDOMEN", "Chest Abdomen Pelvis", "", True),
        ("ABDOMEN", "CAP 1.0", "", True),
        ("ABDOMEN", "1.0", "CT chest and abdomen", False),
        ("", "", "", True),
        ("", "胸部平扫", "", True),
        ("", "上腹部增强", "", False),
        ("", "Thórax s/c", "", True),
        ("", "THORAX_W 3.0", "", True),
        ("", "", "CT Thorax w/Contrast", True),
        ("", "CAPITATE", "", True),  # CAP isn't in it, and no other part is known: tried
        ("HEAD", "", "", False),
    ],
)
def test_body_parts(rules, body_part, description, of_study, read):
    result = select(study(replace(LUNG, body_part=body_part, description=description), description=of_study), rules)
    assert isinstance(result, Selection) is read
    if isinstance(result, Refusal):
        assert result.reason.kind is ReasonKind.WRONG_BODY_PART
        assert not result.reason.ours


def test_body_part_rules_can_be_turned(rules):
    abdomen = study(replace(LUNG, body_part="ABDOMEN", description=""))
    anything = rules.model_copy(update={"body_parts": rules.body_parts.model_copy(update={"enforced": False})})
    assert isinstance(select(abdomen, anything), Selection)
    strict = rules.model_copy(update={"body_parts": rules.body_parts.model_copy(update={"unknown": False})})
    refused = select(study(replace(LUNG, body_part="", description="")), strict)
    assert isinstance(refused, Refusal)
    assert refused.reason.kind is ReasonKind.WRONG_BODY_PART


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"modality": "MR"}, ReasonKind.WRONG_MODALITY),
        ({"thickness": 7.5, "spacing": 7.5}, ReasonKind.SLICES_TOO_THICK),
        ({"thickness": 1.0, "spacing": 10.0}, ReasonKind.SLICES_TOO_THICK),
        ({"thickness": 0.1, "spacing": 0.1}, ReasonKind.OUTSIDE_LIMITS),
        ({"orientation": "sagittal"}, ReasonKind.WRONG_ORIENTATION),
        ({"orientation": None}, ReasonKind.WRONG_ORIENTATION),
        ({"extent": 60.0}, ReasonKind.TOO_SHORT),
        ({"instances": instances("1.2.3.3", 12)}, ReasonKind.TOO_FEW_SLICES),
        ({"instances": instances("1.2.3.3", 200, rescale="US")}, ReasonKind.WRONG_UNITS),
        ({"image_type": ("DERIVED", "SECONDARY", "MINIP")}, ReasonKind.PROJECTION),
        ({"image_type": ("DERIVED", "PRIMARY", "AXIAL", "VNC")}, ReasonKind.DUAL_ENERGY_MAP),
        ({"description": "肺 冠状位"}, ReasonKind.REFORMAT),
    ],
)
def test_one_series_and_its_objection(rules, change, kind):
    refused = select(study(replace(LUNG, **change)), rules)
    assert isinstance(refused, Refusal)
    assert refused.reason.kind is kind
    assert refused.excluded == (refused.reason,)


def test_an_original_goes_before_a_derived_axial_series(rules):
    derived = replace(
        LUNG, series_number=1, series_instance_uid="1.2.3.99", image_type=("DERIVED", "PRIMARY", "AXIAL")
    )
    chosen = select(study(derived, LUNG), rules)
    assert isinstance(chosen, Selection)
    assert chosen.series == (LUNG,)
    alone = select(study(derived), rules)
    assert isinstance(alone, Selection)


def test_units_that_the_header_does_not_say_are_hu(rules):
    assert isinstance(select(study(replace(LUNG, instances=instances("1.2.3.3", 200, rescale=""))), rules), Selection)


def test_reports_and_own_objects_are_passed_over_in_silence(rules):
    report = SeriesInfo("1.2.9", "SR", instances("1.2.9", 1, image=False), 99)
    own = SeriesInfo("1.2.8", "OT", instances("1.2.8", 1, ours=True), 98)
    chosen = select(study(report, own, LUNG), rules)
    assert isinstance(chosen, Selection)
    assert chosen.excluded == ()
    refused = select(study(report, own), rules)
    assert isinstance(refused, Refusal)
    assert refused.reason.kind is ReasonKind.NO_IMAGES


def test_words_stand_alone_unless_starred():
    assert contains("Chest COR 3mm", ["COR"]) == "COR"
    assert contains("CORTEX", ["COR"]) is None
    assert contains("ABDOMINAL", ["ABDOM*"]) == "ABDOM*"
    assert contains("THORAX_W", ["THORA*"]) == "THORA*"
    assert contains("", ["CHEST"]) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"colour": "red"},
        {"thickness_mm": [5, 1]},
        {"ranking": ["kernel", "kernel"]},
        {"ranking": ["beauty"]},
        {"kernels": [{"name": "x", "patterns": ["("]}]},
        {"excluded": [{"kind": "gantry-tilt", "words": ["X"]}]},
        {"excluded": [{"kind": "localizer"}]},
    ],
)
def test_rules_that_cannot_be(wrong):
    with pytest.raises(ValidationError):
        SelectionRules.model_validate({"modalities": ["CT"], "body_parts": {"accepted": ["CHEST"]}} | wrong)
