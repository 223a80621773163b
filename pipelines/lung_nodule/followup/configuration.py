"""Every number that decides in the follow-up, with its unit."""

from __future__ import annotations

from pydantic import Field

from pipelines.rules import Rules


class RegistrationRules(Rules):
    """How the earlier CT is laid onto the present one, and when that counts as having worked (`registration`)."""

    grid_mm: float = Field(
        3.0, ge=2, le=4, description="Voxel size of the grid on which the lungs are registered, mm."
    )
    margin_mm: float = Field(12.0, ge=6, description="Of surroundings round the present lungs, mm.")
    affine_steps: int = Field(100, ge=1, description="At most so many steps of the affine part.")
    coarse_steps: int = Field(60, ge=1, description="Steps of the deformable part at twice the grid's voxel size.")
    fine_steps: int = Field(40, ge=1, description="Steps of the deformable part on the grid.")
    smoothing_voxels: float = Field(1.5, gt=0, description="Sigma by which the displacement is kept smooth, voxels.")
    least_overlap: float = Field(0.9, gt=0, le=1, description="Least Dice of the two CTs' lungs after registration.")
    least_correlation: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Least correlation of the density inside the lungs, of shown by both: other patients reach 0.5.",
    )


class PairingRules(Rules):
    """Which nodules of two CTs may be one, and which places a CT shows (`pairing`)."""

    distance_mm: float = Field(8.0, gt=0, description="Farther apart after registration they are two, mm.")
    diameter_ratio: float = Field(3.0, gt=1, description="Of more different diameters they are two.")
    size_mm: float = Field(2.0, ge=0, description="A twofold diameter counts as so much distance, mm.")
    density_mm: float = Field(3.0, ge=0, description="Solid against non-solid counts as so much distance, mm.")
    edge_mm: float = Field(4.0, ge=0, description="A place so near to the lungs still lies in them, mm.")
    slices_across: float = Field(
        2.0, gt=0, description="A CT shows what spans so many of its slices; what is smaller may be hidden by them."
    )


class FollowUpRules(Rules):
    """The follow-up against an earlier CT."""

    registration: RegistrationRules = RegistrationRules()
    pairing: PairingRules = PairingRules()
