"""Lung nodules on chest CT: agreement with readers' rating of how suspicious one is."""
