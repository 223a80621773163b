"""Where manifests lie: `<root>/<name>/<digest>.json`, never changed, and `history.jsonl` beside them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from imaging.errors import CohortError, StorageError, UsageError
from imaging.files import replace
from training.cohort.manifest import load_cohort
from training.cohort.members import Cohort

_SHORTEST_DIGEST = 6


@dataclass(frozen=True)
class Built:
    """A line of the history: which cohort was built, when, by whom."""

    digest: str
    built_at: str
    built_by: str


class CohortShelf:
    """The manifests below a folder.

    Parameters
    ----------
    root
        The folder; made at the first `put`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, cohort: Cohort, by: str) -> Path:
        """Keep a cohort, and note who built it; the same one again is only noted.

        Raises
        ------
        StorageError
            The folder can't be written.
        """
        path = self._root / cohort.name / f"{cohort.digest}.json"
        line = json.dumps(asdict(Built(cohort.digest, datetime.now(UTC).isoformat(timespec="seconds"), by)))
        try:
            if not path.exists():
                replace(path, cohort.to_bytes())
            with (path.parent / "history.jsonl").open("a", encoding="utf-8") as history:
                history.write(line + "\n")
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from None
        return path

    def history(self, name: str) -> tuple[Built, ...]:
        """What was built under a name, oldest first.

        Raises
        ------
        CohortError
            The history can't be read.
        """
        path = self._root / name / "history.jsonl"
        try:
            return tuple(Built(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines())
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError) as error:
            raise CohortError(f"{path}: can't be read: {error}") from None

    def latest(self, name: str) -> Cohort | None:
        """The cohort that was built last under a name; None when none was."""
        history = self.history(name)
        return load_cohort(self._root / name / f"{history[-1].digest}.json") if history else None

    def load(self, reference: str) -> Cohort:
        """A cohort by its name (the one built last), the beginning of its digest, or its file.

        Raises
        ------
        UsageError
            There is none, or there are several.
        CohortError
            The manifest can't be used.
        """
        if reference.endswith((".json", ".json.gz")):
            return load_cohort(Path(reference))
        if re.fullmatch(r"[a-z][a-z0-9_-]*", reference) and (found := self.latest(reference)):
            return found
        if re.fullmatch(rf"[0-9a-f]{{{_SHORTEST_DIGEST},64}}", reference):
            paths = sorted(self._root.glob(f"*/{reference}*.json"))
            if len(paths) == 1:
                return load_cohort(paths[0])
            if paths:
                raise UsageError(f"{reference} begins {len(paths)} digests: {', '.join(p.stem[:16] for p in paths)}")
        known = ", ".join(sorted(p.parent.name for p in self._root.glob("*/history.jsonl"))) or "none"
        raise UsageError(
            f"there is no cohort {reference!r} in {self._root}; known: {known}. Give a name, a digest's first "
            f"{_SHORTEST_DIGEST} characters or more, or a file, or build it with `raysight cohort build NAME`"
        )
