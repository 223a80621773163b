"""Walking the lineage: every name that a person may have, looked for in all places that may know it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from imaging.errors import CohortError, EngineError, RaysightError, UsageError
from imaging.reading import NO_WEIGHTS, ModelIdentity
from models.store import ReleasedModel
from training.cohort import Cohort, CohortShelf, load_cohort
from training.gate.decision import DecisionBook
from training.lineage.nodes import (
    Node,
    Results,
    cohort_node,
    decision_facts,
    evaluation_node,
    result_node,
    run_facts,
)
from training.places import Places
from training.runs.candidate import in_lineage
from training.runs.folder import MANIFEST, RunFolder, all_runs

DIGEST_LEAST = 6


@dataclass(frozen=True)
class Lineage:
    """Walks both ways.

    Parameters
    ----------
    results
        Of this installation.
    """

    places: Places
    book: DecisionBook
    results: Results

    def of(self, reference: str) -> Node:
        """The tree of whatever is named.

        Parameters
        ----------
        reference
            An SR's SOP Instance UID or a reading's key, a version (``name/3`` or ``name:3``), a run's id, a cohort's
            name (the one built last) or the beginning of its digest, or a decision's id.

        Raises
        ------
        UsageError
            It is none of these, or the beginning of several.
        """
        steps: tuple[Callable[[str], Node | None], ...] = (
            self._of_version,
            self._of_result,
            self._of_decision,
            self._of_run,
            self._of_cohort,
        )
        for step in steps:
            if (node := step(reference)) is not None:
                return node
        raise UsageError(
            f"{reference!r} is no result, version (NAME/3), run, cohort or decision that is known here; see "
            "`raysight status`, `raysight models list`, `raysight runs list`, `raysight cohort show NAME`"
        )

    def _of_version(self, reference: str) -> Node | None:
        if not (match := re.fullmatch(r"([a-z][a-z0-9_]*)[/:]([1-9][0-9]*)", reference)):
            return None
        return self._version(match[1], match[2], forward=True)

    def _of_result(self, reference: str) -> Node | None:
        found = self.results.find(reference)
        if found is None:
            return None
        node = result_node(found)
        return Node(node.kind, node.name, node.facts, back=tuple(self._that_read(one) for one in found.models))

    def _of_decision(self, reference: str) -> Node | None:
        found = self.book.find(reference)
        if found is None:
            return None
        about = self._version(found.model, found.version, forward=True)
        return Node("decision", found.decision, decision_facts(found), back=(about,))

    def _of_run(self, reference: str) -> Node | None:
        documents = {d["run"]: d for _, _, d in self._lineages("run") if isinstance(d.get("run"), str)}
        documents |= {f.path.name: f.record.model_dump(mode="json") for f in all_runs(self.places.runs)}
        if reference not in documents:
            return None
        versions = [(m, v) for m, v, document in self._lineages("run") if document.get("run") == reference]
        made = tuple(self._version(model, version, forward=True, back=False) for model, version in versions)
        node = self._run(documents[reference], {})
        return Node(node.kind, node.name, node.facts, node.back, made)

    def _of_cohort(self, reference: str) -> Node | None:
        documents = {d["digest"]: d for _, _, d in self._lineages("cohort") if isinstance(d.get("digest"), str)}
        documents |= {c.digest: in_lineage(c) for c in self._manifests()}
        whole = re.fullmatch(rf"[0-9a-f]{{{DIGEST_LEAST},64}}", reference)
        digests = [digest for digest in documents if whole and digest.startswith(reference)]
        if not digests:
            digests = [digest for digest, d in documents.items() if d.get("name") == reference]
            if (latest := self._latest(reference)) is not None:
                digests = [latest.digest]
        if len(digests) > 1:
            raise UsageError(f"{reference} is {len(digests)} cohorts: {', '.join(sorted(d[:12] for d in digests))}")
        if not digests:
            return None
        node = cohort_node(documents[digests[0]])
        return Node(node.kind, node.name, node.facts, node.back, self._made_of(digests[0]))

    def _made_of(self, digest: str) -> tuple[Node, ...]:
        """The runs that saw a cohort, with their versions."""
        runs = {d["run"]: d for _, _, d in self._lineages("run") if d.get("cohort", {}).get("digest") == digest}
        for folder in all_runs(self.places.runs):
            if folder.record.cohort.digest == digest:
                runs[folder.path.name] = folder.record.model_dump(mode="json")
        versions = self._lineages("run")
        return tuple(
            Node(
                "run",
                run,
                run_facts(document),
                forward=tuple(
                    self._version(m, v, forward=True, back=False) for m, v, d in versions if d.get("run") == run
                ),
            )
            for run, document in sorted(runs.items())
        )

    def _that_read(self, model: ModelIdentity) -> Node:
        if model.precision == NO_WEIGHTS:
            return Node("code", f"{model.name}/{model.version}", {"sha256": model.sha256})
        node = self._version(model.name, model.version)
        digest = node.facts.get("sha256", "")
        if model.sha256 and digest and digest != model.sha256:
            warning = f"the reading's model was {model.sha256}: this file is another one"
            return Node(node.kind, node.name, {**node.facts, "WARNING": warning}, node.back)
        return node

    def _version(self, model: str, version: str, *, forward: bool = False, back: bool = True) -> Node:
        name = f"{model}/{version}"
        made = tuple(result_node(r) for r in self.results.of_version(model, version)) if forward else ()
        try:
            released = self._released(model, version)
        except EngineError as error:
            return Node("version", name, {"problem": str(error)}, self._decisions(model, version), made)
        if released is None:
            if not made and not self._decisions(model, version):
                raise UsageError(f"there is no version {name}; `raysight models list` lists them")
            gone = {"problem": "its files are not here"}
            return Node("version", name, gone, self._decisions(model, version), made)
        return Node("version", name, self._version_facts(released), self._back(released) if back else (), made)

    def _back(self, released: ReleasedModel) -> tuple[Node, ...]:
        lineage = released.provenance.lineage
        nodes = []
        if isinstance(run := lineage.get("run"), Mapping):
            cohort = lineage.get("cohort")
            nodes.append(self._run(run, cohort if isinstance(cohort, Mapping) else {}))
        if isinstance(evaluation := lineage.get("evaluation"), Mapping):
            nodes.append(evaluation_node(evaluation))
        return (*nodes, *self._decisions(released.name, released.version))

    def _decisions(self, model: str, version: str) -> tuple[Node, ...]:
        taken = (d for d in self.book.of(model) if version in (d.version, d.before if d.kind == "rollback" else None))
        return tuple(Node("decision", d.decision, decision_facts(d)) for d in taken)

    def _run(self, document: Mapping[str, Any], cohort: Mapping[str, Any]) -> Node:
        named = document.get("cohort")
        digest = named.get("digest", "") if isinstance(named, Mapping) else ""
        found = cohort if cohort.get("digest") == digest else self._cohort_document(document, digest)
        back = (cohort_node(found),) if found else (Node("cohort", digest, {"problem": "its manifest is not here"}),)
        return Node("run", str(document.get("run")), run_facts(document), back)

    def _cohort_document(self, run: Mapping[str, Any], digest: str) -> Mapping[str, Any]:
        try:
            return in_lineage(RunFolder(self.places.runs / str(run.get("run"))).cohort)
        except RaysightError:
            return next((in_lineage(c) for c in self._manifests() if c.digest == digest), {})

    def _version_facts(self, released: ReleasedModel) -> dict[str, str]:
        aliases = self.places.store.aliases(released.name).model_dump(exclude_none=True)
        stands_for = ", ".join(alias for alias, version in aliases.items() if version == released.version)
        candidate = released.version not in self.places.store.versions(released.name)
        return {
            "sha256": released.sha256,
            "is": stands_for or ("a candidate" if candidate else "released"),
            "origin": released.provenance.origin,
            "created": released.provenance.created.isoformat(timespec="seconds"),
            "override": released.provenance.override_reason,
        }

    def _released(self, model: str, version: str) -> ReleasedModel | None:
        """As serving finds it, else among the candidates; EngineError when it was altered."""
        store = self.places.all_versions
        return store.version(model, version) if version in store.versions(model) else None

    def _lineages(self, key: str) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Model, version and that part of its provenance, of every sound version."""
        found = []
        for model in self.places.all_versions.names():
            for version in self.places.all_versions.versions(model):
                try:
                    released = self._released(model, version)
                except EngineError:
                    continue
                part = released.provenance.lineage.get(key) if released else None
                if isinstance(part, Mapping):
                    found.append((model, version, part))
        return found

    def _manifests(self) -> list[Cohort]:
        """Those on the shelf, and those of the runs; one that can't be read hides no other."""
        shelf = sorted(self.places.cohorts.glob("*/*.json"))
        found = []
        for path in (*shelf, *(folder.path / MANIFEST for folder in all_runs(self.places.runs))):
            with suppress(CohortError):
                found.append(load_cohort(path))
        return found

    def _latest(self, name: str) -> Cohort | None:
        return CohortShelf(self.places.cohorts).latest(name) if re.fullmatch(r"[a-z][a-z0-9_-]*", name) else None
