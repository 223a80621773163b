"""The released versions on disk, in Triton's layout, and which of them is the champion.

    <folder>/<name>/{spec.yaml, card.md, aliases.yaml, <version>/{model.onnx, provenance.json}}

A store is an ordered list of such folders: the installation's own stands before the shipped one. A name's aliases are
those of the first folder that has them; a version is looked for in all. So what was promoted here may have its
predecessor among the shipped ones. The same version may lie in several folders, but not as different files.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from imaging.configuration import explain, validated
from imaging.errors import ConfigurationError, EngineError
from imaging.reading import ModelIdentity
from models.provenance import Alias, Aliases, Provenance
from models.spec import ModelSpec

SHIPPED = Path(__file__).resolve().parent
T = TypeVar("T")


@dataclass(frozen=True)
class ReleasedModel:
    """One version, its file found unaltered.

    Parameters
    ----------
    path
        Of `model.onnx`.
    sha256
        Of that file; the same as its provenance says.
    spec
        The description as released.
    """

    name: str
    version: str
    path: Path
    sha256: str
    spec: ModelSpec
    provenance: Provenance

    @property
    def identity(self) -> ModelIdentity:
        """What a `Reading` names."""
        return ModelIdentity(self.name, self.version, self.sha256, self.provenance.precision)

    def content(self) -> bytes:
        """The file's bytes, checked once more as they are read; EngineError when they were altered."""
        data = _bytes(self.path)
        _same(self, hashlib.sha256(data).hexdigest())
        return data


@dataclass
class _Cache:
    """What was made of a file, until its inode, size or times change."""

    _kept: dict[Path, tuple[tuple[int, ...], Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, path: Path, make: Callable[[Path], T]) -> T:
        try:
            found = path.stat()
        except OSError as error:
            raise EngineError(f"{path}: {error.strerror}") from None
        state = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        with self._lock:
            kept = self._kept.get(path)
        if kept is None or kept[0] != state:
            kept = (state, make(path))
            with self._lock:
                self._kept[path] = kept
        made: T = kept[1]
        return made


class ModelStore:
    """The versions in ``folders``. Asking again costs a few `stat` calls; safe from any thread.

    Parameters
    ----------
    folders
        In the order in which they are looked through; one that doesn't exist is empty.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self._cache = _Cache()

    @classmethod
    def of_home(cls, home: Path) -> ModelStore:
        """The store of an installation: its own models, then the shipped ones."""
        return cls((home / "models", SHIPPED))

    def names(self) -> tuple[str, ...]:
        """Every model that has a description or a version, in order of name."""
        found = {
            p.name
            for folder in self.folders
            if folder.is_dir()
            for p in folder.iterdir()
            if (p / "spec.yaml").is_file() or _versions_in(p)
        }
        return tuple(sorted(found))

    def versions(self, name: str) -> tuple[str, ...]:
        """Every version of ``name``, oldest first, whether or not it is sound."""
        found = {version for folder in self.folders for version in _versions_in(folder / name)}
        return tuple(sorted(found, key=int))

    def aliases(self, name: str) -> Aliases:
        """Which version stands for what; ConfigurationError when the file is wrong."""
        for path in self._existing(name, "aliases.yaml"):
            return self._cache.get(path, lambda p: validated(p, Aliases))
        return Aliases()

    def spec(self, name: str) -> ModelSpec:
        """The description for the next version; ConfigurationError when it is wrong, EngineError when absent."""
        for path in self._existing(name, "spec.yaml"):
            return self._cache.get(path, lambda p: validated(p, ModelSpec))
        raise EngineError(f"model {name!r} has no description; known: {', '.join(self.names()) or 'none'}")

    def card(self, name: str) -> Path | None:
        """The model's card, if there is one."""
        return next(iter(self._existing(name, "card.md")), None)

    def champion(self, name: str) -> ReleasedModel:
        """The version that reads patients.

        Raises
        ------
        EngineError
            There is none, its file was altered, or two folders hold different files as this version: the message
            says which and what to do.
        """
        return self.aliased(name, "champion")

    def aliased(self, name: str, alias: Alias) -> ReleasedModel:
        """The version that ``alias`` names; EngineError as `champion`."""
        if name not in self.names():
            raise EngineError(f"there is no model {name!r}; known: {', '.join(self.names()) or 'none'}")
        version: str | None = getattr(self.aliases(name), alias)
        if version is None:
            raise EngineError(f"model {name} has no {alias}: none was promoted")
        return self.version(name, version)

    def version(self, name: str, version: str) -> ReleasedModel:
        """One version by its number; EngineError as `champion`."""
        if version not in self.versions(name):
            known = ", ".join(self.versions(name)) or "none"
            raise EngineError(f"model {name} has no version {version}; there are: {known}")
        paths = self._existing(name, f"{version}/model.onnx")
        if not paths:
            raise EngineError(f"model {name} {version} vanished while it was read")
        path, *copies = paths
        provenance = self._provenance(path.parent / "provenance.json", name, version)
        for copy in copies:
            if self._provenance(copy.parent / "provenance.json", name, version).sha256 != provenance.sha256:
                raise EngineError(
                    f"{path.parent} and {copy.parent} are different files under one number, so nobody can tell which "
                    f"one version {version} of {name} is: move one of the two folders away"
                )
        digest = self._cache.get(path, lambda p: hashlib.sha256(_bytes(p)).hexdigest())
        released = ReleasedModel(name, version, path, provenance.sha256, provenance.spec, provenance)
        _same(released, digest)
        return released

    def _provenance(self, path: Path, name: str, version: str) -> Provenance:
        if not path.is_file():
            raise EngineError(f"{path}: no such file; without it version {version} of {name} isn't used")
        try:
            found = self._cache.get(path, _read_provenance)
        except ConfigurationError as error:
            raise EngineError(str(error)) from None
        if (found.model, found.version, found.spec.name) != (name, version, name):
            raise EngineError(f"{path} is of {found.model} {found.version}, not of {name} {version}")
        return found

    def _existing(self, name: str, file: str) -> list[Path]:
        return [path for folder in self.folders if (path := folder / name / file).is_file()]


def _read_provenance(path: Path) -> Provenance:
    try:
        return Provenance.model_validate_json(_bytes(path))
    except ValidationError as error:
        raise ConfigurationError(explain(error, path, Provenance)) from None


def _same(released: ReleasedModel, digest: str) -> None:
    if digest != released.sha256:
        raise EngineError(
            f"{released.path} was altered: its sha256 is {digest[:12]}…, provenance.json says "
            f"{released.sha256[:12]}…. Version {released.version} of {released.name} is refused; "
            "put the original file back"
        )


def _versions_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [
        p.name for p in folder.iterdir() if p.name.isascii() and p.name.isdigit() and (p / "model.onnx").is_file()
    ]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path}: {error.strerror}") from None
