"""Stored instances in, nouns out: headers, series and their geometry, volumes and radiographs."""
