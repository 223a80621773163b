"""MLflow: runs looked at by people. The only place that imports it; nothing that serves asks it."""
