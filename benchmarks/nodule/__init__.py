"""From the last C-STORE of a chest CT to the confirmed report: `python -m benchmarks.nodule`."""
