"""REST, health and metrics. Read-only but for asking that a study be read now."""
