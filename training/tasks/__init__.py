"""Tasks: what a run does with its cases. The loop in `training.runs` knows the protocol only."""
