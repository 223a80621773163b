"""Anterior and posterior hippocampus on T1-weighted MR."""
