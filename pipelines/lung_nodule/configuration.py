"""The pipeline's configuration: every number that decides, with its unit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipelines.configured import PipelineRules
from pipelines.limits import LimitName
from pipelines.lung_nodule.followup.configuration import FollowUpRules
from pipelines.lung_nodule.size_errors import ErrorRules
from pipelines.rules import Rules

Axis = Literal["slices", "rows", "columns"]


class LungRules(Rules):
    """How lungs are recognised (`pipelines.lung_nodule.lungs`)."""

    grid_mm: float = Field(2.0, ge=1, le=4, description="Voxel size of the coarse grid, mm.")
    air_hu: float = Field(-400, ge=-700, le=-200, description="What is darker is air or lung, HU.")
    airway_hu: float = Field(-900, ge=-1000, le=-800, description="The inside of trachea and bronchi is darker, HU.")
    airway_mm2: tuple[float, float] = Field((40, 700), description="Area of a section of the trachea, mm².")
    airway_off_middle_mm: float = Field(40, gt=0, description="The trachea begins this near the body's middle, mm.")
    cut_depths_mm: tuple[float, ...] = Field(
        (3, 4, 5, 6, 8, 10, 12, 15), min_length=1, description="Depths tried in order to part the lungs, mm."
    )
    tissue_hu: tuple[float, float] = Field((-975, -430), description="Mean density of aerated lung, HU.")
    smaller_share: float = Field(
        0.25, gt=0, le=1, description="The smaller lung's least share of the larger one, where no spine is shown."
    )
    collapsed_share: float = Field(
        0.03, gt=0, le=1, description="The same of a lung that lies on the other side of the spine."
    )
    closing_mm: float = Field(12, gt=0, le=25, description="Hollows up to twice this width belong to the lung, mm.")
    min_volume_ml: float = Field(1000, gt=0, description="Both lungs together hold at least this, ml.")
    min_lung_ml: float = Field(400, gt=0, description="A lung that is alone holds at least this, ml.")
    dense_note_ml: float = Field(
        100, gt=0, description="Dense tissue where lung is to be expected is told of from this on, ml."
    )
    min_height_mm: float = Field(150, gt=0, description="Lungs cut off above and lower than this are bases only, mm.")
    cut_share: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Lungs count as cut off where the end slice holds this share of the largest section.",
    )


class CandidateRules(Rules):
    """What counts as a candidate (`pipelines.lung_nodule.candidates`)."""

    grid_mm: float = Field(1.0, ge=0.5, le=1.5, description="Voxel size of the search grid, mm.")
    solid_hu: float = Field(-400, ge=-600, le=-200, description="What is brighter inside the lungs is solid, HU.")
    cavity_mm2: float = Field(
        100, ge=0, description="Air enclosed in a section by solid counts as solid up to this, mm²."
    )
    opening_radii_mm: tuple[float, ...] = Field(
        (1.5, 2, 2.5, 3.2, 4, 5, 6.3, 8, 10, 12.6),
        min_length=1,
        description="Radii of the balls that cut vessels off, mm.",
    )
    diameter_mm: tuple[float, float] = Field(
        (6, 45), description="Least and greatest diameter of a ball of its volume, mm."
    )
    compactness: float = Field(
        0.6,
        gt=0,
        le=1,
        description="Radius of the largest ball inside, as a share of that of the ball of equal volume.",
    )
    elongation: float = Field(2.0, ge=1, description="Longest over shortest axis of the ellipsoid of equal spread.")
    attached: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of the shell round it, inside the lungs, that is solid: vessels that enter.",
    )
    outside: float = Field(0.5, ge=0, le=1, description="Share of the shell round it that lies outside the lungs.")

    @model_validator(mode="after")
    def _ascending(self) -> CandidateRules:
        if list(self.opening_radii_mm) != sorted(set(self.opening_radii_mm)):
            raise ValueError("opening_radii_mm must ascend")
        if self.diameter_mm[0] >= self.diameter_mm[1]:
            raise ValueError("diameter_mm: give the least first")
        return self


class MarkRules(Rules):
    """What counts as a mark of the network."""

    threshold: float = Field(0.3, gt=0, lt=1, description="The centre's least score. It ranks; it is no probability.")
    mirrors: tuple[tuple[Axis, ...], ...] = Field(
        (), description="Further readings of the image, each mirrored along these axes; all are averaged."
    )


class SegmentRules(Rules):
    """How a nodule is segmented (`pipelines.lung_nodule.segment`)."""

    coarser: float = Field(2.0, gt=1, description="Large nodules are read on voxels so many times as long.")
    large_mm: float = Field(
        20.0, gt=0, description="A nodule is large that is so long along an axis of the scan, mm,"
    )
    border_mm: float = Field(1.5, ge=0, description="or comes so near to the finer field of view's border, mm.")
    reach_mm: float = Field(3.0, ge=0, description="The nodule lies no farther from the point, mm.")
    mirrored: int = Field(4, ge=1, le=8, description="So many readings, each mirrored otherwise, are averaged.")


class DensityRules(Rules):
    """What counts as solid (`pipelines.lung_nodule.density`): chosen by the readers' texture in their outlines."""

    border_mm: float = Field(
        1.0, ge=0, description="So deep is the border that is mixed with lung by the scanner, mm."
    )
    solid_hu: float = Field(-350.0, description="What is denser is solid, HU.")
    non_solid_share: float = Field(0.15, ge=0, le=1, description="With less of its inner part solid it is non-solid,")
    part_mm: float = Field(4.0, ge=0, description="unless its solid part has the volume of such a ball, mm.")
    solid_share: float = Field(0.6, ge=0, le=1, description="With more of its inner part solid it is solid.")
    small_mm: float = Field(5.0, ge=0, description="A ball of less than this isn't told apart further: solid or not.")
    small_solid_hu: float = Field(-550.0, description="What is denser is solid in a small one, HU.")
    small_solid_share: float = Field(0.4, ge=0, le=1, description="With more of its inner part solid it is solid.")
    smoothing_mm: float = Field(
        0.6, ge=0, description="Sigma by which noise is smoothed to outline a solid part, mm."
    )


class SizeRules(ErrorRules, DensityRules):
    """How a nodule is measured (`pipelines.lung_nodule.sizes`)."""


class TestedRange(Rules):
    """What the figures in the card cover. Outside, the reading says so."""

    __test__ = False  # not a test, in spite of its name

    thickness_mm: tuple[float, float] = Field(description="Slice thickness, mm.")
    manufacturers: tuple[str, ...] = Field(description="Beginnings of Manufacturer (0008,0070), capitals or not.")


class NetworkRules(Rules):
    """How the networks find and judge, where ``finder`` is network (`pipelines.lung_nodule.network`)."""

    threshold: float | None = Field(
        None, gt=0, lt=1, description="Least score of a mark; null: the one that the detector was released with."
    )
    faint: float = Field(
        0.5, gt=0, le=1, description="From this share of it on a mark may be a nodule's partner in the other CT."
    )
    mirrors: tuple[tuple[Axis, ...], ...] = Field(
        (), description="Further readings of the chest, each mirrored along these axes; all are averaged."
    )
    second_look: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of the candidate classifier in a mark's score (geometric mean); 0: it isn't asked.",
    )
    suspicion: bool = Field(True, description="Whether the model of readers' rating is asked.")
    refuse_outside: tuple[LimitName, ...] = Field(
        ("age_years",),
        description="Outside these limits of the models a study isn't read; outside the others the report says so.",
    )


class Phrases(Rules):
    """What the texts of order and protocol say of one fact, by words (`pipelines.rules.contains`)."""

    told: tuple[str, ...] = Field((), description="It is so.")
    denied: tuple[str, ...] = Field((), description="It isn't so. Looked for first, and then taken out of the text.")


class OrderRules(Rules):
    """What guidelines must know and no image shows: only where order or protocol says so (`told`)."""

    screening: Phrases = Phrases()
    first_ct: Phrases = Phrases()
    known_cancer: Phrases = Phrases()
    immunosuppression: Phrases = Phrases()
    family_history: Phrases = Phrases()
    emphysema: Phrases = Phrases()


class BenignRules(Rules):
    """When calcium and fat are sure (`pipelines.lung_nodule.benign`); between the limits they stay unknown."""

    calcified_hu: float = Field(300, description="What is denser is calcium, HU.")
    calcified_share: float = Field(
        0.9, gt=0.5, le=1, description="Least share of it in a nodule that is all calcium."
    )
    soft_hu: float = Field(200, description="Where hardly a voxel is denser, no calcium is in it, HU.")
    fat_hu: tuple[float, float] = Field((-120, -30), description="Fat, HU.")
    fat_share: float = Field(0.5, gt=0, le=1, description="Least share of it in a nodule that holds fat.")
    least_voxels: int = Field(30, ge=1, description="Of fewer inner voxels nothing is judged.")


class FollowUp(FollowUpRules):
    """The follow-up, and which earlier CT is wanted."""

    days: tuple[float, float] = Field(
        (30, 3660), description="The earlier CT is so many days older: at least, at most."
    )

    @model_validator(mode="after")
    def _ascending(self) -> FollowUp:
        if not 1 <= self.days[0] <= self.days[1]:
            raise ValueError("days: give the least first, at least one day")
        return self


class LungNoduleConfiguration(PipelineRules):
    """Everything that `configs/pipelines/lung_nodule.yaml` may say."""

    pipeline: Literal["lung_nodule"] = Field(
        "lung_nodule", description="The folder under pipelines/ that this configures."
    )
    finder: Literal["baseline", "network"] = Field(
        "baseline",
        description="baseline: classical image analysis finds, outlines and measures; network: released models do.",
    )
    max_findings: int = Field(
        10, ge=1, le=50, description="At most so many marks are reported; the rest are counted."
    )
    lungs: LungRules = LungRules()
    candidates: CandidateRules = CandidateRules()
    network: NetworkRules = NetworkRules()
    segment: SegmentRules = SegmentRules()
    sizes: SizeRules = SizeRules()
    benign: BenignRules = BenignRules()
    order: OrderRules = OrderRules()
    follow_up: FollowUp = FollowUp()
    tested: TestedRange
