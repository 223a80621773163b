"""Bad inputs for a running Raysight: what is given, and what it answers. `docs/bad-inputs.md` is this as a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydicom import dcmread

from dicom_node.blobs import LocalBlobStore
from tests.integration.bad_studies import STUDIES, BadStudy, phantom_slices
from tests.integration.raw_peer import Ended, RawPeer
from tests.integration.raysight import Raysight

_T = TypeVar("_T")

LOOPBACK = ["127.0.0.0/8"]
SETTINGS: Mapping[str, Any] = {
    "node": {
        "peers": [
            {"ae_title": "MODALITY", "addresses": LOOPBACK},
            {"ae_title": "TESTS", "addresses": LOOPBACK},
            {"ae_title": "ELSEWHERE", "addresses": ["192.0.2.0/24"]},
        ],
        "limits": {"associations": 12, "idle_seconds": 2, "instance_mb": 4},
    }
}
HEADING = """# Bad inputs

What Raysight answers to what should not come. Every row is observed on a running `raysight serve` (associations of at
most 12, 2 s idle, 4 MB an instance, 100 MB of free disk; MODALITY admitted from this machine) or by `raysight read`;
`tests/integration/test_bad_inputs.py` holds this page equal to what is observed, and checks that afterwards the same
processes still run, no traceback stands in a log, no scratch file is left, and the next good study is read.

Made by `python -m tests.integration.bad_inputs_table > docs/bad-inputs.md`.
"""


@dataclass(eq=False)
class House:
    """A running Raysight, a phantom to spoil, and what was answered so far."""

    folder: Path
    answers: dict[Case, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._done: dict[Callable[..., Any], Any] = {}
        self.raysight = Raysight(self.folder / "raysight", settings=SETTINGS)
        self.slices = phantom_slices(self.folder / "phantom")

    @property
    def scratch(self) -> list[Path]:
        """Files of instances that are being received."""
        return list(LocalBlobStore(self.raysight.home / "spool").scratch.iterdir())

    def answer(self, case: Case) -> str:
        """What is answered to a case, which is given once."""
        if case not in self.answers:
            self.answers[case] = case.observe(self)
        return self.answers[case]

    def peer(self) -> RawPeer:
        """A connection to the node."""
        return RawPeer(self.raysight.port)

    def once(self, do: Callable[[House], _T]) -> _T:
        """What comes of doing something on the first call, and of having done it on every further one."""
        if do not in self._done:
            self._done[do] = do(self)
        result: _T = self._done[do]
        return result

    def read(self, folder: Path) -> Any:
        """What `raysight read --json` says about a folder."""
        out = str(self.folder / "results")
        return json.loads(self.raysight.run("read", str(folder), "--out", out, "--json", check=False).stdout)


@dataclass(frozen=True)
class Case:
    """One bad input.

    Parameters
    ----------
    given
        What comes in, in words.
    expected
        How the answer begins: a status, an association's end, a typed reason.
    observe
        Gives it to the house and returns the whole answer.
    """

    given: str
    expected: str
    observe: Callable[[House], str]


def ended(observe: Callable[[House], str]) -> Callable[[House], str]:
    """As ``observe``; when the association ends instead, the answer is how."""

    def whole(house: House) -> str:
        try:
            return observe(house)
        except Ended as end:
            return str(end)

    return whole


@contextmanager
def started(folder: Path) -> Iterator[House]:
    """A house whose Raysight serves."""
    house = House(folder)
    with house.raysight:
        yield house


@cache
def all_cases() -> Mapping[str, tuple[Case, ...]]:
    """Every case, by the heading it stands under."""
    from tests.integration import bad_associations, bad_files, bad_instances, bad_requests

    return {
        "Associations": bad_associations.CASES,
        "Instances (C-STORE)": bad_instances.cases(),
        "Studies (`raysight read`; the node reads the same way)": tuple(_by_folder(study) for study in STUDIES),
        "Studies (sent to the node)": bad_instances.STUDIES,
        "Files and folders (`raysight read`)": bad_files.cases(),
        "Storage commitment reports": bad_associations.REPORTS,
        "REST and commands": bad_requests.cases(),
        "After all of these": bad_instances.AFTERWARDS,
    }


def table(house: House) -> str:
    """The page, with what this house answers."""
    parts = [HEADING]
    for heading, cases in all_cases().items():
        rows = (f"| {_cell(case.given)} | {_cell(house.answer(case))} |" for case in cases)
        parts.append("\n".join([f"\n## {heading}\n", "| given | answer |", "|---|---|", *rows, ""]))
    return "".join(parts)


def outcome(state: str, reason: Mapping[str, Any] | None) -> str:
    """A reading's end in words."""
    return f"{state} ({reason['kind']}): {reason['message']}" if reason else state


def _by_folder(study: BadStudy) -> Case:
    def observe(house: House) -> str:
        result = house.once(_read_all)[study.uid]
        answer = outcome(result["status"], result["reading"]["reason"])
        reports = [path for path in result["objects"] if path.endswith("-sr.dcm")]
        if study.says:
            answer += f"; {_mended(Path(reports[0]), study.says)}"
        elif not reports:
            answer += " (a state, no report)"
        return answer

    return Case(study.given, f"not read ({study.reason})" if study.reason else "read", observe)


def _read_all(house: House) -> Mapping[str, Any]:
    """`raysight read` on a folder with all bad studies: results by Study Instance UID."""
    folder = house.folder / "bad studies"
    for number, study in enumerate(STUDIES):
        study.write(house.slices, folder / f"{number:02d}")
    return {result["study_instance_uid"]: result for result in house.read(folder)["results"]}


def _mended(report: Path, word: str) -> str:
    """The comment of a report in which a word stands."""
    items = [item for box in dcmread(report).ContentSequence for item in box.get("ContentSequence", ())]
    return next(str(item.TextValue) for item in items if word in item.get("TextValue", ""))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
