"""How far a measured size may be off: by slices and noise, and from what readers would have measured.

Half-widths of 95 % intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from imaging.geometry import Vector
from pipelines.rules import Rules


@dataclass(frozen=True)
class Size:
    """A measured size.

    Parameters
    ----------
    value
        In its own unit, unrounded.
    error
        Half-width of the 95 % interval in which the same nodule's size comes out again, in a scan with other noise
        and other places of the slices.
    readers
        Half-width of the 95 % interval in which the median of LIDC's readers lies.
    """

    value: float
    error: float
    readers: float


@dataclass(frozen=True)
class Seen:
    """How a nodule was seen, as far as the error depends on it.

    Parameters
    ----------
    diameter
        Its mean diameter, mm.
    spacing
        Of the scan between slices, rows, columns, mm.
    grid
        Voxel edge of the grid on which it was segmented, mm.
    noise, contrast
        HU; as of `pipelines.lung_nodule.density.Composition`.
    """

    diameter: float
    spacing: Vector
    grid: float
    noise: float
    contrast: float


class ErrorRules(Rules):
    """Coefficients of the errors (`pipelines.lung_nodule.size_errors`)."""

    length_mm: float = Field(0.3, ge=0, description="Error of a length at least, mm.")
    length_per_slice: float = Field(0.2, ge=0, description="And so much of the distance between slices.")
    length_share: float = Field(0.03, ge=0, description="And this share of it.")
    volume_share: float = Field(0.1, ge=0, description="Error of a volume: this share of it,")
    volume_per_slice: float = Field(
        0.4, ge=0, description="and so much for a nodule one slice across, less for more."
    )
    readers_mm: float = Field(0.8, ge=0, description="Readers' lengths lie within so much, mm,")
    readers_share: float = Field(0.15, ge=0, description="and this share of the length.")
    readers_volume_share: float = Field(0.5, ge=0, description="Readers' volumes lie within this share.")

    def length(self, mm: float, seen: Seen) -> Size:
        """A length of the nodule with its errors, mm."""
        error = self.length_mm + self.length_per_slice * seen.spacing[0] + self.length_share * mm
        return Size(mm, error, self.readers_mm + self.readers_share * mm)

    def volume(self, mm3: float, seen: Seen) -> Size:
        """A volume with its errors, mm³."""
        slices = seen.diameter / seen.spacing[0]
        share = self.volume_share + self.volume_per_slice / max(slices, 0.5)
        return Size(mm3, share * mm3, self.readers_volume_share * mm3)
