"""The networks of `lung_nodule_suspicion`, on the numbers that segmented slices tell."""

from models.lung_nodule_suspicion.network import build

__all__ = ["build"]
