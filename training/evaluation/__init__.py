"""Evaluation: a version's figures on cases that it has not seen, with intervals, beside the simplest baseline."""
