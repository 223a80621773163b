"""Coded terms that Raysight writes. A test holds every entry against pydicom's dictionaries.

A term, or a wording of one, that they lack stands in `SOURCES` with where it comes from.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A coded concept: value, coding scheme designator (PS3.16 table 8-1) and meaning (at most 64 characters)."""

    value: str
    scheme: str
    meaning: str


# what was found
NODULE = Code("27925004", "SCT", "Nodule")
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
# where
LUNG = Code("39607008", "SCT", "Lung")
UPPER_LOBE = Code("45653009", "SCT", "Upper lobe of lung")
MIDDLE_LOBE = Code("72481006", "SCT", "Middle lobe of right lung")
LOWER_LOBE = Code("90572001", "SCT", "Lower lobe of lung")
UPPER_ZONE = Code("281392002", "SCT", "Upper zone of lung")
MIDDLE_ZONE = Code("281393007", "SCT", "Middle zone of lung")
LOWER_ZONE = Code("281394001", "SCT", "Lower zone of lung")
RIGHT = Code("24028007", "SCT", "Right")
LEFT = Code("7771000", "SCT", "Left")
CHEST = Code("51185008", "SCT", "Chest")
HIPPOCAMPUS = Code("5366008", "SCT", "Hippocampus")
# measurements
VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
DIAMETER = Code("81827009", "SCT", "Diameter")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
MEAN = Code("373098007", "SCT", "Mean")
MAXIMUM_DIAMETER = Code("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
PLANE_DIAMETER = Code("PLANE-DIAMETER", "99RAYSIGHT", "Mean diameter in the plane that shows most")
SOLID_SIZE = Code("RDE1303", "RADELEMENT", "Solid component size")
SOLID_VOLUME = Code("SOLID-VOLUME", "99RAYSIGHT", "Volume of the solid part")
PROBABILITY_OF_CANCER = Code("111047", "DCM", "Probability of cancer")
READER_SUSPICION = Code("READER-SUSPICION", "99RAYSIGHT", "Agreement with readers' rating: suspicious")
VOLUME_CHANGE = Code("VOLUME-CHANGE", "99RAYSIGHT", "Change of volume since the earlier CT")
DOUBLING_TIME = Code("DOUBLING-TIME", "99RAYSIGHT", "Volume doubling time")
# units
MM = Code("mm", "UCUM", "mm")
MM3 = Code("mm3", "UCUM", "cubic millimeter")
HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT = Code("%", "UCUM", "Percent")
DAY = Code("d", "UCUM", "day")
# procedure reported
CT_STUDY = Code("25045-6", "LN", "CT unspecified body region")
MR_STUDY = Code("25056-3", "LN", "MRI unspecified body region")
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
# outcome of the analysis (PS3.16 CID 6042, 6047)
SUMMARY_OF_DETECTIONS = Code("111064", "DCM", "Summary of Detections")
SUMMARY_OF_ANALYSES = Code("111065", "DCM", "Summary of Analyses")
SUCCEEDED = Code("111222", "DCM", "Succeeded")
FAILED = Code("111224", "DCM", "Failed")
NOT_ATTEMPTED = Code("111225", "DCM", "Not Attempted")
CAD_SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
ALL_SUCCEEDED_NO_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
ALL_SUCCEEDED_WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
NONE_SUCCEEDED_NO_FINDINGS = Code("111245", "DCM", "No algorithms succeeded; without findings")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
CONCLUSION = Code("121077", "DCM", "Conclusion")
BEST_ILLUSTRATION = Code("121080", "DCM", "Best illustration of finding")
# assessments
ASSESSMENT_CATEGORY = Code("111005", "DCM", "Assessment Category")
LUNG_RADS = Code("RID50134", "RADLEX", "Lung-RADS assessment")
LUNG_RADS_2 = Code("RID50137", "RADLEX", "Lung-RADS 2")
LUNG_RADS_3 = Code("RID50138", "RADLEX", "Lung-RADS 3")
LUNG_RADS_4A = Code("RID50139", "RADLEX", "Lung-RADS 4A")
LUNG_RADS_4B = Code("RID50140", "RADLEX", "Lung-RADS 4B")
LUNG_RADS_4X = Code("RID50141", "RADLEX", "Lung-RADS 4X")
COMPOSITION = Code("RDE1301", "RADELEMENT", "Composition")
SOLID = Code("RDE1301.0", "RADELEMENT", "solid")
GROUND_GLASS = Code("RDE1301.1", "RADELEMENT", "ground glass")
PART_SOLID = Code("RDE1301.2", "RADELEMENT", "part-solid")
CHANGE = Code("111021", "DCM", "Description of Change")
NEW = Code("7147002", "SCT", "New")
INCREASED = Code("35105006", "SCT", "Increased")
NO_CHANGE = Code("260388006", "SCT", "No change")
DECREASED = Code("1250004", "SCT", "Decreased")
# why not (PS3.16 CID 9301, 9302, 9303)
REASON = Code("410666004", "SCT", "Reason")
COMMENT = Code("121106", "DCM", "Comment")
OBJECT_SET_INCOMPLETE = Code("110523", "DCM", "Object Set incomplete")
OBJECT_TYPES_NOT_SUPPORTED = Code("110522", "DCM", "Object Types not supported")
OBJECTS_INCORRECTLY_FORMATTED = Code("110521", "DCM", "Objects incorrectly formatted")
INSUFFICIENT_QUALITY = Code("110531", "DCM", "Insufficient quality for interpretation")
SOFTWARE_FAILURE = Code("111218", "DCM", "Software Failure")
# makers
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

_RADLEX = "RadLex, as two public code lists alike have it (RadLex itself was not at hand)"
_RADELEMENT = (
    "RadElement set RDES195 Pulmonary Nodule as public copies of it have it (scheme: PS3.16 table 8-1), element"
)
_PRIVATE = "private: none in the dictionaries of DICOM's context groups"
SOURCES: dict[Code, str] = {
    CHEST: "SNOMED CT 51185008 |Thoracic structure|, SRT T-D3000; Chest in PS3.16 CID 4031 of earlier editions",
    QUALITATIVE_EVALUATIONS: "PS3.16 TID 1500 Measurement Report, UMLS concept C0034375",
    LUNG_RADS: _RADLEX,
    LUNG_RADS_2: _RADLEX,
    LUNG_RADS_3: _RADLEX,
    LUNG_RADS_4A: _RADLEX,
    LUNG_RADS_4B: _RADLEX,
    LUNG_RADS_4X: _RADLEX,
    SOLID_SIZE: f"{_RADELEMENT} RDE1303",
    COMPOSITION: f"{_RADELEMENT} RDE1301",
    SOLID: f"{_RADELEMENT} RDE1301, first value",
    GROUND_GLASS: f"{_RADELEMENT} RDE1301, second value",
    PART_SOLID: f"{_RADELEMENT} RDE1301, third value",
    NEW: "SNOMED CT International Edition, qualifier value 7147002 |New|",
    INCREASED: "SNOMED CT International Edition, qualifier value 35105006 |Increased|",
    PLANE_DIAMETER: f"{_PRIVATE} for a mean diameter of whichever plane shows most",
    SOLID_VOLUME: f"{_PRIVATE} for the volume of a nodule's solid part",
    READER_SUSPICION: f"{_PRIVATE} for a model of readers' ratings, which is no probability of cancer",
    VOLUME_CHANGE: f"{_PRIVATE} for a lesion's change of volume",
    DOUBLING_TIME: f"{_PRIVATE} for a volume's doubling time",
    REASON: "SNOMED CT International Edition, observable entity 410666004 |Reason|",
}
