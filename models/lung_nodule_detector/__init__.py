"""Lung nodules on chest CT: where one is, and which voxels are of it."""
