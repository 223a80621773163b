"""Runs: from a frozen cohort to weights, the same ones for the same seed."""
