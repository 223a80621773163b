"""What a training file says about its task. No torch here: a configuration is checked without it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Augmentation(_Part):
    """How far a training patch may differ from its case. Each amount is drawn anew for each patch."""

    mirror: tuple[Literal["RL", "AP", "IS"], ...] = Field(
        (), description="Patient axes along which half of the patches are mirrored; only where anatomy allows it."
    )
    spatial_share: Share = Field(0.0, description="Share of patches that are turned, scaled and shifted.")
    rotation_degrees: float = Field(0.0, ge=0, le=180, description="Up to so much, either way, about each axis.")
    scaling: float = Field(0.0, ge=0, lt=1, description="Size times 1 - this to 1 + this.")
    shift_mm: float = Field(0.0, ge=0, description="Up to so far, either way, along each axis.")
    intensity_share: Share = Field(
        0.0, description="Share of patches for each of contrast, brightness, gamma, noise."
    )
    contrast: float = Field(0.0, ge=0, lt=1, description="Distance from the mean times 1 - this to 1 + this.")
    brightness: float = Field(0.0, ge=0, description="Up to so much is added or taken, in mapped intensity.")
    gamma: float = Field(0.0, ge=0, lt=1, description="Power between 1 - this and 1 / (1 - this).")
    noise: float = Field(0.0, ge=0, description="Greatest standard deviation of noise, in mapped intensity.")


class SegmentationLoss(_Part):
    """Weights of the two parts of the loss."""

    dice: float = Field(1.0, ge=0, description="Of the soft Dice loss over the foreground (Milletari et al. 2016).")
    cross_entropy: float = Field(1.0, ge=0, description="Of the cross entropy over all voxels.")


class SegmentationSettings(_Part):
    """How a segmentation is trained."""

    kind: Literal["segmentation"]
    foreground_share: Share = Field(
        0.5, description="Share of patches whose middle is a labelled voxel; matters where patches are smaller."
    )
    loss: SegmentationLoss = SegmentationLoss()
    augmentation: Augmentation = Augmentation()


class Look(_Part):
    """How far another scanner's image may differ. All is drawn anew for each sample."""

    thick_share: Share = Field(0.5, description="Share of samples seen in thicker slices.")
    thickness_most_mm: float = Field(5.0, gt=0, description="The thickest slices, mm.")
    kernel_share: Share = Field(0.4, description="Share of samples with a softer or sharper kernel.")
    noise_share: Share = Field(0.4, description="Share of samples with more noise.")
    noise_hu: float = Field(60.0, ge=0, description="Up to so much noise is added, HU (standard deviation).")
    shift_share: Share = Field(0.3, description="Share of samples with other HU: times 0.95 to 1.05, -30 to 30 more.")


class SceneSettings(Look):
    """What detection learns from: nodules put into lungs, seen by some scanner. All is drawn anew for each scene."""

    empty_share: Share = Field(0.25, description="Share of scenes without the nodule whose turn it is.")
    company_share: Share = Field(0.25, description="Chance of one more nodule, again after each.")
    sham_share: Share = Field(0.3, description="Share of scenes with a piece of healthy lung put in like a nodule.")
    scaling: float = Field(0.25, ge=0, lt=1, description="Size of a nodule times 1 / (1 + this) to 1 + this.")


class DetectionLoss(_Part):
    """Weights of the parts of the loss."""

    centre: float = Field(1.0, ge=0, description="Of the focal loss of the centre map (Law and Deng 2018).")
    dice: float = Field(1.0, ge=0, description="Of the soft Dice loss of the nodules' voxels.")
    cross_entropy: float = Field(1.0, ge=0, description="Of the cross entropy of the nodules' voxels.")


class DetectionSettings(_Part):
    """How a detector of nodules is trained."""

    kind: Literal["nodule-detection"]
    crop: tuple[int, int, int] = Field((64, 64, 64), description="Size of a training scene, voxels.")
    scenes: SceneSettings = SceneSettings()
    loss: DetectionLoss = DetectionLoss()


class ViewSettings(Look):
    """What the segmentation of one nodule learns from: a field of view round a point near it. All is drawn anew."""

    jitter_mm: float = Field(3.0, ge=0, description="The point lies up to so far from the nodule's centre, mm,")
    jitter_share: float = Field(0.2, ge=0, description="and up to this share of its radius farther.")
    scaling: float = Field(0.15, ge=0, lt=1, description="Size of a nodule times 1 / (1 + this) to 1 + this.")
    tilt_degrees: float = Field(10.0, ge=0, le=90, description="Thick slices are tilted so far at most.")
    coarser: float = Field(2.0, gt=1, description="A large nodule is also seen on voxels so many times as long.")


class NoduleSegmentationLoss(_Part):
    """Weights of the parts of the loss."""

    overlap: float = Field(1.0, ge=0, description="Of the overlap of shares, view by view (Wang et al. 2023).")
    cross_entropy: float = Field(10.0, ge=0, description="Of the cross entropy with the share of readers.")


class NoduleSegmentationSettings(_Part):
    """How the segmentation of one nodule is trained."""

    kind: Literal["nodule-segmentation"]
    views: ViewSettings = ViewSettings()
    loss: NoduleSegmentationLoss = NoduleSegmentationLoss()


class PatchSettings(_Part):
    """How the classification of patches is trained. Every patch is turned by any angle, and half are mirrored."""

    kind: Literal["patch-classification"]
    scaling: float = Field(0.15, ge=0, lt=1, description="Size times 1 / (1 + this) to 1 + this.")
    shift_pixels: float = Field(2.0, ge=0, description="Up to so far, either way, along rows and columns.")
    contrast: float = Field(0.1, ge=0, lt=1, description="Times 1 - this to 1 + this.")
    brightness: float = Field(0.05, ge=0, description="Up to so much is added or taken, in mapped intensity.")
    noise: float = Field(0.02, ge=0, description="Greatest standard deviation of noise, in mapped intensity.")
    nodule_weight: float = Field(3.0, gt=0, description="Of a nodule in the loss, where anything else weighs 1.")


class RatingSettings(_Part):
    """How readers' rating of nodules is learnt."""

    kind: Literal["readers-rating"]
    source: Literal["boxes", "exams"] = Field(
        "boxes", description="Nodules as boxes of CT; or as segmented slices by exam, of a cohort of their own."
    )
    other_outline_share: Share = Field(
        0.5,
        description="Share of samples whose traits are of any outline: the majority's, a reader's, or all together.",
    )


TaskSettings = Annotated[
    SegmentationSettings | DetectionSettings | NoduleSegmentationSettings | PatchSettings | RatingSettings,
    Field(discriminator="kind"),
]
