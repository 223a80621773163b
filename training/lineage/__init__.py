"""From a result back to run, data, approval and decision, and from any of these forward to every result.

A released version's part of it stands in its `provenance.json`, so it is there in a fresh clone, without runs,
manifests or a database; what only an installation has (runs, manifests, decisions, results) is added where it is.
"""

from training.lineage.nodes import Node, NoResults, Result, Results
from training.lineage.walk import Lineage

__all__ = ["Lineage", "NoResults", "Node", "Result", "Results"]
