"""The tables, how to reach them, and their migrations."""
