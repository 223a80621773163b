"""A folder of DICOM files, without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dicom_node.reader.headers import InstanceHeader, read_header
from imaging.errors import HeaderError, UsageError


def read_folder(
    folder: Path, on_progress: Callable[[int, int], None] | None = None
) -> tuple[list[InstanceHeader], list[tuple[Path, str]]]:
    """The headers of every DICOM file below a folder, whatever its extension; a DICOMDIR is passed over.

    Parameters
    ----------
    on_progress
        Called with files done and files in all.

    Returns
    -------
    headers, unreadable
        Headers with the file's path as blob, in order of path; and the files that are no acceptable DICOM
        instance, each with why.

    Raises
    ------
    UsageError
        There is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; give the folder that holds the DICOM files")
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name.upper() != "DICOMDIR")
    headers: list[InstanceHeader] = []
    unreadable: list[tuple[Path, str]] = []
    for done, path in enumerate(files, 1):
        try:
            headers.append(read_header(path, str(path)))
        except HeaderError as error:
            unreadable.append((path, str(error)))
        except OSError as error:
            unreadable.append((path, f"can't be read: {error.strerror or error}"))
        if on_progress is not None:
            on_progress(done, len(files))
    return headers, unreadable
