"""Nodules against the earlier CT: lungs registered, nodules paired, their change told with its error."""
