"""Lung nodules as segmented slices without spacing: agreement with readers' rating. For evidence, not for serving."""
