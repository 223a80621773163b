"""Composition root: settings, database, workflows, delivery, REST API, command line. The only place that wires."""
