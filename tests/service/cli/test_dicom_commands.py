"""`send`, `echo` and `read` against real peers and files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dicom_node.network.archive import FakeArchive
from imaging import codes
from imaging.reading import Finding, Measurement, ModelIdentity, Reading, ReadingStatus
from imaging.reasons import Reason, ReasonKind
from service.cli.reading import page
from service.offline import OfflineResult

Run = Callable[..., Any]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[FakeArchive]:
    """An archive that has no room for the second slice."""
    archive = FakeArchive("PACS", tmp_path / "archive", refuse=lambda _c, sop: 0xA700 if sop.endswith(".2") else None)
    archive.start()
    yield archive
    archive.stop()


def remote(archive: FakeArchive) -> str:
    return f"PACS@127.0.0.1:{archive.address[1]}"


def test_echo(raysight: Run, archive: FakeArchive) -> None:
    assert " answers RAYSIGHT-SCU in " in raysight("echo", remote(archive)).stdout
    wrong = raysight("echo", f"OTHER@127.0.0.1:{archive.address[1]}")
    assert (wrong.exit_code, "Called AE title not recognised" in wrong.stderr) == (1, True)


def test_send_shows_what_was_refused(raysight: Run, archive: FakeArchive, slices: Path) -> None:
    (slices / "README.txt").write_text("no DICOM")
    result = raysight("send", str(slices), remote(archive))
    assert result.exit_code == 1
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["2", "stored", "0000"] in rows
    assert any(row[:3] == ["1", "refused", "A700"] and row[-1] == "2.dcm" for row in rows)
    assert "1 file passed over: no DICOM." in result.stdout
    assert "Zhang" not in result.output


def test_send_of_one_file(raysight: Run, archive: FakeArchive, slices: Path) -> None:
    result = raysight("send", str(slices / "1.dcm"), remote(archive), "--json")
    assert result.exit_code == 0
    (outcome,) = json.loads(result.stdout)
    assert (outcome["status"], outcome["stored"]) == (0, True)


def test_send_of_no_dicom(raysight: Run, archive: FakeArchive, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert "there is no file below" in raysight("send", str(tmp_path / "other"), remote(archive)).stderr
    (tmp_path / "other" / "a.txt").write_text("x")
    result = raysight("send", str(tmp_path / "other"), remote(archive))
    assert (result.exit_code, "there is no DICOM file below" in result.stderr) == (2, True)


def test_read_says_why_a_study_was_not_read(raysight: Run, slices: Path, tmp_path: Path) -> None:
    (slices / "README.txt").write_text("no DICOM")
    result = raysight("read", str(slices), "--out", str(tmp_path / "out"))
    assert result.exit_code == 0
    assert "NOT READ: " in result.stdout and "above threshold" not in result.stdout
    assert "README.txt: " in result.stdout
    report = json.loads(raysight("read", str(slices), "--out", str(tmp_path / "out"), "--json").stdout)
    (found,) = report["results"]
    assert (found["status"], found["study_instance_uid"]) == ("not read", "1.2.3")
    assert found["reason"] in " ".join(result.stdout.split())
    assert found["objects"] and all(Path(path).is_file() for path in found["objects"])


def test_read_of_no_dicom_is_exit_code_1(raysight: Run, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    result = raysight("read", str(tmp_path / "other"), "--out", str(tmp_path / "out"))
    assert (result.exit_code, "No study was found below" in result.stdout) == (1, True)


def shown(result: OfflineResult) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(page(result))
    return console.export_text()


def result_of(problem: str = "", **values: Any) -> OfflineResult:
    status = values.pop("status", ReadingStatus.READ)
    reason = values.get("reason")
    reading = Reading(
        study_instance_uid="1.2.3",
        pipeline="lung_nodule",
        pipeline_version="1",
        model=ModelIdentity("baseline", "1", "0" * 64),
        status=status,
        procedure=codes.CT_STUDY,
        conclusion="does not exclude other nodules",
        **values,
    )
    return OfflineResult(
        study_instance_uid="1.2.3",
        pipeline="lung_nodule",
        status=status,
        reason=reason.message if reason else "",
        reading=reading,
        objects=(Path("out/1.2.3/lung_nodule-sr.dcm"),),
        picture=None,
        problem=problem,
        timings={"decode": 2.34, "read": 10.0},
    )


def test_a_finding_stands_in_the_table() -> None:
    finding = Finding(
        number=1,
        category=codes.ABNORMAL_STRUCTURE,
        kind=codes.NODULE,
        site=codes.LUNG,
        laterality=codes.RIGHT,
        place="right lung, upper third",
        centre=(0.0, 0.0, 0.0),
        key_slice=83,
        measurements=(
            Measurement(codes.LONG_AXIS, 9.14, codes.MM),
            Measurement(codes.SHORT_AXIS, 7.0, codes.MM),
            Measurement(codes.VOLUME, 312.0, codes.MM3),
        ),
    )
    text = shown(result_of(findings=(finding,), analysed="both lungs"))
    row = next(line.split() for line in text.splitlines() if "upper third" in line)
    assert row == ["1", "right", "lung,", "upper", "third", "9.1", "×", "7.0", "0.31", "84"]
    for words in ("READ: 1 mark above threshold", "both lungs", "lung_nodule-sr.dcm", "decode 2.3 s · read 10.0 s"):
        assert words in text


def test_no_mark_not_read_and_failed_are_three_things() -> None:
    nothing = shown(result_of())
    assert "READ: no mark above threshold" in nothing and "does not exclude" in nothing
    tilted = Reason(ReasonKind.GANTRY_TILT, "tilted by 12 degrees")
    not_read = shown(result_of(status=ReadingStatus.NOT_READ, reason=tilted, excluded=(tilted,)))
    assert "NOT READ: tilted by 12 degrees" in not_read and "above threshold" not in not_read
    assert not_read.count("tilted") == 1 and "does not exclude" not in not_read
    failed = shown(result_of(status=ReadingStatus.FAILED, reason=Reason(ReasonKind.SOFTWARE_FAILURE, "it broke")))
    assert "FAILED: it broke" in failed
    assert "can't be written: no header" in shown(result_of(problem="no header"))
