"""`models/<name>/spec.yaml`: what a model takes, gives, was made for, and where its evidence ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaging.codes import Code
from imaging.configuration import validated
from models.intensity import Intensity

Positive = Annotated[float, Field(gt=0)]
Length = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Sentence = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CodedTerm(_Part):
    """A coded concept as it stands in results."""

    value: Sentence = Field(description="Code value.")
    scheme: Sentence = Field(description="Coding scheme designator, PS3.16 table 8-1: SCT, DCM, LN, UCUM, RADLEX …")
    meaning: str = Field(min_length=1, max_length=64, description="Code meaning.")

    @property
    def code(self) -> Code:
        """The noun that results are written with."""
        return Code(self.value, self.scheme, self.meaning)


class Range(_Part):
    """A closed range; an end that is left out is open."""

    least: float | None = Field(None, description="Least value, included; null where there is no bound.")
    most: float | None = Field(None, description="Greatest value, included; null where there is no bound.")

    @model_validator(mode="after")
    def _ascending(self) -> Range:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError("least is greater than most")
        return self

    def contains(self, value: float) -> bool:
        """Whether ``value`` lies inside, ends included; not a number lies nowhere."""
        low = -math.inf if self.least is None else self.least
        high = math.inf if self.most is None else self.most
        return low <= value <= high


class VolumeInput(_Part):
    """A volume on a grid of the network's own."""

    kind: Literal["volume"]
    modality: Literal["CT", "MR", "PT"] = Field(description="Modality (0008,0060).")
    body_part: CodedTerm = Field(description="What the images show.")
    orientation: str = Field(
        description="Where slice, row and column index grow to, one letter each: R/L (right/left), A/P "
        "(anterior/posterior), I/S (feet/head) of the patient. SPL is an axial volume from feet to head."
    )
    spacing_mm: tuple[Positive, Positive, Positive] = Field(description="Between slices, rows, columns, mm.")
    intensity: tuple[Intensity, ...] = Field(min_length=1, description="One mapping per channel, in channel order.")
    patch: tuple[Length, Length, Length] = Field(description="What the network takes at once: slices, rows, columns.")
    pad_value: float = Field(0.0, description="Stands outside the image, in mapped intensity.")
    overlap: float = Field(
        0.5, ge=0, lt=1, description="Share of a patch, along each axis, that the next one repeats."
    )

    @model_validator(mode="after")
    def _axes(self) -> VolumeInput:
        axes = [next((n for n, pair in enumerate(("RL", "AP", "IS")) if c in pair), None) for c in self.orientation]
        if sorted(a for a in axes if a is not None) != [0, 1, 2] or len(axes) != 3:
            raise ValueError("orientation: one letter each of R/L, A/P and I/S, such as SPL")
        return self


class SliceInput(_Part):
    """A square out of one axial slice, on the slice's own pixels."""

    kind: Literal["slice"]
    modality: Literal["CT", "MR", "PT"] = Field(description="Modality (0008,0060).")
    body_part: CodedTerm = Field(description="What the images show.")
    intensity: tuple[Intensity, ...] = Field(min_length=1, description="One mapping per channel, in channel order.")
    patch: tuple[Length, Length] = Field(
        description="What the network takes at once: rows (to the patient's back), columns (to the left)."
    )
    pad_value: float = Field(0.0, description="Stands outside the image, in mapped intensity.")


class RadiographInput(_Part):
    """A projection image, scaled to the patch."""

    kind: Literal["radiograph"]
    modality: Literal["CR", "DX", "MG"] = Field(description="Modality (0008,0060).")
    body_part: CodedTerm = Field(description="What the images show.")
    intensity: tuple[Intensity, ...] = Field(min_length=1, description="One mapping per channel, in channel order.")
    patch: tuple[Length, Length] = Field(description="What the network takes at once: rows, columns.")
    pad_value: float = Field(0.0, description="Stands outside the image, in mapped intensity.")
    overlap: float = Field(
        0.5, ge=0, lt=1, description="Share of a patch, along each axis, that the next one repeats."
    )


class Column(_Part):
    """One column of a table."""

    name: Name = Field(description="Name of the column.")
    unit: str = Field(description="UCUM unit; {text} for text, 1 for a plain number.")
    plausible: Range | None = Field(None, description="What lies outside is an entry error, in the unit.")
    required: bool = Field(False, description="Without it there is no answer.")


class TabularInput(_Part):
    """A row of named values."""

    kind: Literal["tabular"]
    columns: tuple[Column, ...] = Field(min_length=1, description="In the order in which the model takes them.")


Input = Annotated[VolumeInput | SliceInput | RadiographInput | TabularInput, Field(discriminator="kind")]


class Label(_Part):
    """One structure, kind of finding, or class that the model tells apart."""

    value: int = Field(ge=1, le=255, description="Its number in label images and its channel; 0 is the background.")
    name: Name = Field(description="Its name in tables and file names.")
    code: CodedTerm = Field(description="What it is: property type of a segment, or the finding.")
    category: CodedTerm = Field(
        description="What kind of thing it is: property category of a segment, or of a finding."
    )
    modifier: CodedTerm | None = Field(None, description="Which part of it; null for the whole.")


class Output(_Part):
    """What comes out of the network."""

    activation: Literal["softmax", "sigmoid", "none"] = Field(
        description="softmax: one channel for the background and one per label; sigmoid: one per label, each by "
        "itself; none: the numbers as they come."
    )
    labels: tuple[Label, ...] = Field(min_length=1, description="In the order of the channels.")
    members: int | None = Field(
        None,
        ge=2,
        description="So many models answer side by side, each learnt from a bootstrap of the subjects: a last axis "
        "of the scores. Null: one model, and no such axis.",
    )

    @model_validator(mode="after")
    def _numbered(self) -> Output:
        if [label.value for label in self.labels] != list(range(1, len(self.labels) + 1)):
            raise ValueError("labels: the values run 1, 2, 3 … in the order of the channels")
        if len({label.name for label in self.labels}) != len(self.labels):
            raise ValueError("labels: two have the same name")
        return self

    @property
    def channels(self) -> int:
        """How many channels the network gives."""
        return len(self.labels) + (self.activation == "softmax")


class Threshold(_Part):
    """An operating point."""

    value: float = Field(description="At or above it the answer is yes, in the output's own unit.")
    chosen_for: Sentence = Field(description="By what rule and on which data it was chosen.")


class PostProcessing(_Part):
    """What is done to a segmentation on the volume's own grid, in this order."""

    fill_holes: bool = Field(False, description="Hollows that a label encloses wholly become part of it.")
    min_component_mm3: float = Field(0.0, ge=0, description="Separate pieces of a label below this volume go, mm³.")
    largest_only: bool = Field(False, description="Of each label only the largest piece stays.")


class TrainingData(_Part):
    """Where the model's knowledge comes from."""

    name: Sentence = Field(description="Name of the data set.")
    licence: Sentence = Field(description="Licence of the data.")
    images: int = Field(ge=0, description="Number of images (rows of a table) that training may see.")
    subjects: int | None = Field(
        None, ge=0, description="Number of subjects they are of; null where the set doesn't say."
    )
    source: Sentence = Field(description="Where it was published.")
    notes: str = Field("", description="Known defects and what the set leaves out.")


class Limits(_Part):
    """What the evidence covers. Outside, a reading is refused or says so. A limit that is left out isn't known."""

    age_years: Range | None = Field(None, description="Patient's age, years.")
    body_parts: tuple[Sentence, ...] = Field((), description="Words of Body Part Examined (0018,0015).")
    views: tuple[Sentence, ...] = Field((), description="View Position (0018,5101) of radiographs.")
    thickness_mm: Range | None = Field(None, description="Slice Thickness (0018,0050), mm.")
    in_plane_mm: Range | None = Field(None, description="Pixel Spacing (0028,0030), mm.")
    manufacturers: tuple[Sentence, ...] = Field((), description="Beginnings of Manufacturer (0008,0070) seen.")
    notes: tuple[Sentence, ...] = Field((), description="What numbers can't say, a sentence each.")


class ModelSpec(_Part):
    """Everything that `spec.yaml` may say."""

    name: Name = Field(description="The folder under models/.")
    title: Sentence = Field(description="What people call it.")
    task: Literal["segmentation", "detection", "classification", "tabular"] = Field(description="What it does.")
    input: Input = Field(description="What a network sees.")
    output: Output = Field(description="What it gives.")
    thresholds: Mapping[Name, Threshold] = Field({}, description="Operating points by name.")
    post_processing: PostProcessing = Field(
        PostProcessing(), description="What is done to a segmentation afterwards."
    )
    licence: Sentence = Field(description="Licence of the weights.")
    training_data: tuple[TrainingData, ...] = Field(min_length=1, description="Every set that training may see.")
    intended_use: Sentence = Field(description="What it is for, and what it is not for.")
    limits: Limits = Field(description="What the evidence covers.")

    @model_validator(mode="after")
    def _fits(self) -> ModelSpec:
        if (self.task == "tabular") != (self.input.kind == "tabular"):
            raise ValueError(f"task {self.task} doesn't go with input kind {self.input.kind}")
        if self.task == "segmentation" and self.output.activation == "none":
            raise ValueError("output.activation: a segmentation needs softmax or sigmoid")
        if self.output.activation == "sigmoid" and not set(self.thresholds) >= {la.name for la in self.output.labels}:
            raise ValueError("thresholds: sigmoid needs one for each label, under the label's name")
        return self

    def fits_weights_of(self, other: ModelSpec) -> bool:
        """Whether weights trained for ``other`` do what this describes: task, input and output are the same."""
        return (self.name, self.task, self.input, self.output) == (other.name, other.task, other.input, other.output)


def load_spec(folder: Path) -> ModelSpec:
    """The description in ``folder/spec.yaml``.

    Raises
    ------
    ConfigurationError
        One line per mistake: file, key, what is wrong, the nearest known key.
    """
    return validated(folder / "spec.yaml", ModelSpec)
