"""Putting a version into a store, and pointing an alias at it. Whoever reads meanwhile sees all of it or none.

Both write into the store's first folder.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from pathlib import Path

import yaml

from imaging.errors import StorageError, UsageError
from imaging.files import make_folder, replace, sync, write
from models.provenance import Alias, Aliases, Provenance
from models.store import ModelStore, ReleasedModel

_DAY_SECONDS = 86400


def publish(store: ModelStore, model: bytes, provenance: Provenance) -> ReleasedModel:
    """Write ``<model>/<version>/`` with both files, synced to disk.

    Parameters
    ----------
    model
        The ONNX file's bytes.

    Raises
    ------
    UsageError
        The version exists (a version is never changed), or the digest isn't that of ``model``.
    StorageError
        It can't be written.
    """
    name, version = provenance.model, provenance.version
    if hashlib.sha256(model).hexdigest() != provenance.sha256:
        raise UsageError(f"provenance names another digest than {name} {version}'s file has")
    if version in store.versions(name):
        raise UsageError(f"{name} {version} exists; a version is never changed, so publish the next one")
    home = store.folders[0] / name
    target = home / version
    try:
        make_folder(home)
        _sweep(home)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))
        try:
            draft.chmod(0o755)
            write(draft / "model.onnx", model)
            write(draft / "provenance.json", provenance.model_dump_json(indent=2).encode() + b"\n")
            sync(draft)
            draft.rename(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync(home)
    except OSError as error:
        raise StorageError(f"{target} can't be written: {error.strerror}") from error
    return store.version(name, version)


def point(store: ModelStore, name: str, alias: Alias, version: str | None) -> Aliases:
    """Let ``alias`` of ``name`` mean ``version`` (None: nothing); returns all its aliases.

    Raises
    ------
    EngineError
        The version isn't there or isn't sound.
    ConfigurationError
        `aliases.yaml` is wrong as it stands.
    StorageError
        It can't be written.
    """
    if version is not None:
        store.version(name, version)
    before = store.aliases(name)
    path = store.folders[0] / name / "aliases.yaml"
    after = Aliases.model_validate(before.model_dump() | {alias: version})
    text = "# Which version stands for what; written by promotion and rollback.\n" + yaml.safe_dump(
        after.model_dump(exclude_none=True), sort_keys=False
    )
    replace(path, text.encode())
    return after


def _sweep(home: Path) -> None:
    """Remove what a publisher that was killed has left; a draft of today may be somebody's work."""
    for draft in home.glob(".draft-*"):
        if time.time() - draft.stat().st_mtime > _DAY_SECONDS:
            shutil.rmtree(draft, ignore_errors=True)
