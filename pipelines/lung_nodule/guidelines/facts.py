"""What the guidelines ask about a nodule and its examination. None always means: not known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Density(StrEnum):
    """Density class of a nodule."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    NON_SOLID = "non-solid"


class Change(StrEnum):
    """A nodule against the earlier CT, by one guideline's own definition of growth."""

    BASELINE = "first detection"
    """No earlier CT shows the place."""
    NEW = "new"
    """An earlier CT shows the place, without the nodule."""
    GROWING = "growing"
    SLOWLY_GROWING = "slowly growing"
    STABLE = "stable"
    SHRUNK = "smaller"
    NOT_COMPARABLE = "not comparable"
    """Seen before, but the two measurements can't be compared."""


class Shape(StrEnum):
    """Shape of a solid nodule with smooth margin at the pleura; OTHER is any other nodule."""

    OVAL = "oval"
    LENTIFORM = "lentiform"
    TRIANGULAR = "triangular"
    OTHER = "other"


class Airway(StrEnum):
    """How central the airway is in which a nodule lies."""

    SUBSEGMENTAL = "in a subsegmental airway"
    PROXIMAL = "in a segmental or more proximal airway"


class Cyst(StrEnum):
    """What a person saw of an atypical pulmonary cyst, in the table's own terms."""

    THIN_WALLED = "unilocular cyst with a uniform wall under 2 mm"
    THICK_WALLED = "thick-walled cyst"
    MULTILOCULAR = "multilocular cyst"
    BECAME_MULTILOCULAR = "cyst that became multilocular"
    CYSTIC_PART_GROWING = "thick-walled cyst with a growing cystic part"
    WALL_GROWING = "thick-walled cyst with growing wall or nodularity"
    MULTILOCULAR_GROWING = "growing multilocular cyst"
    MORE_LOCULES_OR_OPACITY = "multilocular cyst with more locules or new or more opacity"


class Risk(StrEnum):
    """The patient's risk group, as a clinician gives it; never derived here."""

    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True)
class Comparison:
    """A nodule against one earlier CT. `growth.compare` makes it of two measurements.

    Parameters
    ----------
    lung_rads, fleischner, bts
        The change by each guideline's definition.
    interval_days
        Between the two CTs.
    doubling_time_days
        Of the volume; None where there is none (no growth, or not comparable).
    prior_category
        The nodule's own Lung-RADS category then: 2, 3, 4A, 4B or 4X.
    proven_benign
        Somebody told that diagnostic work-up proved it benign.
    why
        Why it isn't comparable.
    """

    lung_rads: Change
    fleischner: Change
    bts: Change
    interval_days: int | None = None
    doubling_time_days: float | None = None
    prior_category: str | None = None
    proven_benign: bool = False
    why: str = ""

    @classmethod
    def same(cls, change: Change, interval_days: int | None = None, why: str = "") -> Comparison:
        """The same change by every guideline: first detection, new, not comparable."""
        return cls(change, change, change, interval_days, why=why)


@dataclass(frozen=True)
class NoduleFacts:
    """One nodule. Every guideline has its own diameter; each is kept unrounded and rounded by its guideline.

    Parameters
    ----------
    density
        None where it wasn't determined.
    mean_any_plane_mm
        Lung-RADS: mean of the long and the short axis, in whichever plane shows them truly.
    mean_largest_image_mm
        Fleischner: mean of the long and the short axis on the one image with the largest extent.
    maximum_mm
        BTS, where there is no volume: the largest diameter.
    longest_axial_mm
        Brock: the longest diameter on an axial image.
    solid_mean_mm
        Mean diameter of a part-solid nodule's solid part.
    volume_mm3
        BTS: volume.
    benign_calcification
        Complete, central, popcorn or concentric-ring calcification.
    fat
        Macroscopic fat.
    juxtapleural
        Shape, where it is solid, smooth and at the pleura or a fissure; OTHER where it isn't.
    spiculated
        Margin.
    suspicious
        Told of by a person: enlarged nodes, metastasis or another feature that raises suspicion.
    upper_lobe
        Whether it lies in an upper lobe.
    airway, cyst
        None unless told: the pipeline doesn't recognise them.
    comparison
        None where nobody looked whether there is an earlier CT.
    """

    density: Density | None = None
    mean_any_plane_mm: float | None = None
    mean_largest_image_mm: float | None = None
    maximum_mm: float | None = None
    longest_axial_mm: float | None = None
    solid_mean_mm: float | None = None
    volume_mm3: float | None = None
    benign_calcification: bool | None = None
    fat: bool | None = None
    juxtapleural: Shape | None = None
    spiculated: bool | None = None
    suspicious: bool | None = None
    upper_lobe: bool | None = None
    airway: Airway | None = None
    cyst: Cyst | None = None
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Examination:
    """The examination and its patient.

    Parameters
    ----------
    screening, evidence
        Whether order or protocol says lung cancer screening, and the words that say so.
    age, sex
        Years; ``F`` or ``M``.
    known_cancer, immunosuppression
        Of the patient.
    risk
        Risk group for lung cancer, as given by a clinician.
    thickness_mm
        Slice thickness.
    whole_lung
        Whether both lungs are covered completely.
    nodules, subsolid_nodules
        How many there are in all, and how many of them are part-solid or non-solid.
    family_history
        Of lung cancer.
    emphysema
        Seen on CT.
    smoker
        Now or earlier. No table here asks; a risk group is never derived of it.
    """

    screening: bool | None = None
    evidence: str = ""
    age: float | None = None
    sex: str | None = None
    known_cancer: bool | None = None
    immunosuppression: bool | None = None
    risk: Risk | None = None
    thickness_mm: float | None = None
    whole_lung: bool | None = None
    nodules: int | None = None
    subsolid_nodules: int | None = None
    family_history: bool | None = None
    emphysema: bool | None = None
    smoker: bool | None = None
