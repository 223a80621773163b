"""The gate: from evidence, which version may read next."""
