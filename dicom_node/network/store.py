"""Sending stored files (C-STORE), their dataset bytes unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pynetdicom import _config, build_context
from pynetdicom.association import Association
from pynetdicom.dsutils import split_dataset
from pynetdicom.presentation import PresentationContext

from dicom_node.network.association import associate, lost
from dicom_node.network.peers import RemoteAE

MAX_CONTEXTS = 128


@dataclass(frozen=True)
class StoreOutcome:
    """What the archive said to one file.

    Parameters
    ----------
    sop_instance_uid
        From the file meta; empty when it isn't a DICOM file.
    status
        C-STORE status; None when the file wasn't sent, and ``comment`` says why.
    comment
        Error Comment (0000,0902), or why it wasn't sent.
    dataset_digest
        sha256 of the dataset bytes in the file, 64 hex digits; empty when it isn't a DICOM file.
    """

    path: Path
    sop_instance_uid: str
    status: int | None
    comment: str
    dataset_digest: str

    @property
    def stored(self) -> bool:
        """Whether the archive has it: success or a warning (PS3.4 table B.2-1)."""
        return self.status is not None and (self.status == 0x0000 or self.status >> 12 == 0xB)


@dataclass(frozen=True)
class _File:
    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    digest: str

    @property
    def context(self) -> tuple[str, str]:
        return self.sop_class_uid, self.transfer_syntax_uid


def send_files(
    remote: RemoteAE,
    calling_ae: str,
    paths: Sequence[Path],
    *,
    on_progress: Callable[[int, int], None] | None = None,
    on_outcome: Callable[[StoreOutcome], None] | None = None,
) -> list[StoreOutcome]:
    """Send files over one association (more only when they need over 128 presentation contexts), in their order.

    Parameters
    ----------
    on_progress
        Called after each file with the number done and the number of all.
    on_outcome
        Called with each outcome as soon as it is known, so that nothing is lost when the association is.

    Returns
    -------
    list of StoreOutcome
        One per path. A file that can't be read or whose context isn't accepted has an outcome without status.

    Raises
    ------
    PeerError
        When the peer can't be reached, or the association was lost; `on_outcome` has had what was known before.
    PeerRefusal
        When it rejects the association, or accepts no context of it at all.
    """
    # pynetdicom's switch for sending from the file without decoding; it concerns only `send_c_store` with a path,
    # which nothing else calls.
    _config.STORE_SEND_CHUNKED_DATASET = True
    outcomes: list[StoreOutcome] = []

    def settle(outcome: StoreOutcome) -> None:
        outcomes.append(outcome)
        if on_outcome:
            on_outcome(outcome)
        if on_progress:
            on_progress(len(outcomes), len(paths))

    files = []
    for path in paths:
        file = _examine(path)
        if isinstance(file, StoreOutcome):
            settle(file)
        else:
            files.append(file)
    for group in _groups(files):
        contexts = [build_context(*context) for context in dict.fromkeys(file.context for file in group)]
        with associate(remote, calling_ae, contexts) as assoc:
            for number, file in enumerate(group, start=1):
                settle(_send(remote, assoc, file, number))
    return outcomes


def _examine(path: Path) -> _File | StoreOutcome:
    try:
        meta, offset = split_dataset(path)
        with path.open("rb") as stream:
            stream.seek(offset)
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except InvalidDicomError:
        return StoreOutcome(path, "", None, "not a DICOM file", "")
    except OSError as error:
        return StoreOutcome(path, "", None, f"can't be read: {error.strerror}", "")
    sop_class, sop_instance, syntax = (
        str(meta.get(keyword, ""))
        for keyword in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
    )
    if not (sop_class and sop_instance and syntax):
        return StoreOutcome(path, sop_instance, None, "its file meta lacks a UID", digest)
    return _File(path, sop_class, sop_instance, syntax, digest)


def _groups(files: Sequence[_File]) -> Iterator[list[_File]]:
    """Cut into runs that need at most `MAX_CONTEXTS` presentation contexts each."""
    group: list[_File] = []
    contexts: set[tuple[str, str]] = set()
    for file in files:
        if file.context not in contexts and len(contexts) == MAX_CONTEXTS:
            yield group
            group, contexts = [], set()
        group.append(file)
        contexts.add(file.context)
    if group:
        yield group


def _send(remote: RemoteAE, assoc: Association, file: _File, number: int) -> StoreOutcome:
    if not any(_fits(context, file) for context in assoc.accepted_contexts):
        comment = "the peer accepts no context with its SOP class and transfer syntax"
        return StoreOutcome(file.path, file.sop_instance_uid, None, comment, file.digest)
    answer = assoc.send_c_store(file.path, msg_id=(number - 1) % 0xFFFF + 1)
    if "Status" not in answer:
        raise lost(remote, "storing")
    comment = str(answer.get("ErrorComment", "") or "")
    return StoreOutcome(file.path, file.sop_instance_uid, int(answer.Status), comment, file.digest)


def _fits(context: PresentationContext, file: _File) -> bool:
    return (
        context.abstract_syntax == file.sop_class_uid
        and context.transfer_syntax[0] == file.transfer_syntax_uid
        and bool(context.as_scu)
    )
