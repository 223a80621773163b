"""The two public validators and dcmqi's readers as functions, for any object that Raysight writes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import dcmread

from imaging.geometry import Geometry

KNOWN_WARNINGS = Path(__file__).with_name("known_warnings.txt")
# DicomSRValidator's compiled templates exceed the limits of today's Java
_JAVA = " ".join(f"-Djdk.xml.xpath{limit}=0" for limit in ("TotalOpLimit", "ExprOpLimit", "ExprGrpLimit"))
_JAVA += " -XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # half the time of a short run
_PACKAGES = {
    "dciodvfy": "Debian package dicom3tools",
    "DicomSRValidator": "Debian package pixelmed-apps",
    "tid1500reader": "PyPI package dcmqi",
    "segimage2itkimage": "PyPI package dcmqi",
}


@dataclass(frozen=True)
class Report:
    """What the validators say about one file, one line each; the tool's name stands first."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def unknown_warnings(self) -> tuple[str, ...]:
        """The warnings whose cause isn't written in ``known_warnings.txt``."""
        known = known_warnings()
        return tuple(w for w in self.warnings if not any(re.search(pattern, w) for pattern in known))


def known_warnings() -> dict[str, str]:
    """Pattern -> cause, from ``known_warnings.txt``: comment lines give the cause of the pattern after them."""
    known, cause = {}, list[str]()
    for line in KNOWN_WARNINGS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            cause.append(line.lstrip("# "))
        elif line.strip():
            known[line.strip()] = " ".join(cause)
            cause = []
    return known


def require(program: str) -> str:
    """Path of a validator; the test is skipped, by name, where it isn't installed."""
    own = Path(sys.executable).with_name(program)
    found = str(own) if own.is_file() else shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program} ({_PACKAGES[program]})")
    return found


def assert_clean(report: Report) -> None:
    """No error, and no warning without a written cause."""
    assert report.errors == ()
    assert report.unknown_warnings == ()


def validate_file(path: Path) -> Report:
    """Run dciodvfy, and on a structured report DicomSRValidator too."""
    lines = _dciodvfy(path)
    if dcmread(path, stop_before_pixels=True).Modality == "SR":
        lines += _sr_validator(path)
    return Report(
        tuple(line for line in lines if re.match(r"\w+: Error", line)),
        tuple(line for line in lines if re.match(r"\w+: Warning", line)),
    )


def _dciodvfy(path: Path) -> list[str]:
    result = _run([require("dciodvfy"), str(path)])
    return [f"dciodvfy: {line}" for line in result.splitlines() if line.startswith(("Error", "Warning"))]


def _sr_validator(path: Path) -> list[str]:
    result = _run([require("DicomSRValidator"), str(path)], {"JAVA_TOOL_OPTIONS": _JAVA})
    lines = [f"DicomSRValidator: {line}" for line in result.splitlines() if line.startswith(("Error", "Warning"))]
    if "Found Root Template TID_1500" not in result or "IOD validation complete" not in result:
        lines.append(f"DicomSRValidator: Error: it did not finish: {result[-500:]}")
    return lines


def read_report(path: Path, folder: Path) -> dict[str, Any]:
    """The content of an SR as dcmqi's ``tid1500reader`` understands it."""
    target = folder / "report.json"
    _run([require("tid1500reader"), "--inputDICOM", str(path), "--outputMetadata", str(target)], check=True)
    content: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return content


def evaluated(group: dict[str, Any]) -> set[str]:
    """Code values of a read-back group's qualitative evaluations."""
    rows = group["qualitativeEvaluations"]
    return {row["conceptValue"]["CodeValue"] for row in rows if isinstance(row["conceptValue"], dict)}


def measured(group: dict[str, Any]) -> dict[tuple[str, str | None], float]:
    """A read-back group's numbers by the code values of concept and derivation."""
    return {
        (item["quantity"]["CodeValue"], item.get("derivationModifier", {}).get("CodeValue")): float(item["value"])
        for item in group["measurementItems"]
    }


def read_segments(path: Path) -> tuple[dict[int, SimpleITK.Image], dict[str, Any]]:
    """The segments of a SEG as dcmqi's ``segimage2itkimage`` writes them, by segment number, and its metadata."""
    with tempfile.TemporaryDirectory() as folder:
        command = [require("segimage2itkimage"), "--inputDICOM", str(path), "--outputDirectory", folder, "-t", "nrrd"]
        _run(command, check=True)
        images = {int(file.stem): SimpleITK.ReadImage(str(file)) for file in Path(folder).glob("*.nrrd")}
        return images, json.loads((Path(folder) / "meta.json").read_text(encoding="utf-8"))


def on_grid(image: SimpleITK.Image, geometry: Geometry) -> NDArray[np.bool_]:
    """A read-back segment on the CT's grid, each voxel put where its coordinates say."""
    full = np.zeros(geometry.shape, dtype=bool)
    for z, y, x in np.argwhere(SimpleITK.GetArrayViewFromImage(image)):
        index = geometry.to_index(image.TransformIndexToPhysicalPoint((int(x), int(y), int(z))))
        assert np.allclose(index, np.round(index), atol=0.01)
        full[tuple(np.round(index).astype(int))] = True
    return full


def _run(command: list[str], environment: dict[str, str] | None = None, *, check: bool = False) -> str:
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **(environment or {})},
        timeout=600,
        check=False,
    )
    assert not check or result.returncode == 0, result.stdout
    return result.stdout
