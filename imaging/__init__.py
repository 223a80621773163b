"""The nouns every layer shares. Imports nothing of Raysight's other packages."""
