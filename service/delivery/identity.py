"""Before a study's first send: is the archive's study the same patient's?

A wrong patient's result in a right patient's study is the worst that delivery could do. The answers name attributes,
never their values.
"""

from __future__ import annotations

from dataclasses import dataclass

from dicom_node.network.find import StudyIdentity


@dataclass(frozen=True)
class IdentityAnswer:
    """What the comparison says.

    Parameters
    ----------
    differing
        Attributes that contradict each other; any of them parks the delivery.
    note
        Why nothing could be compared; empty when it was.
    """

    differing: tuple[str, ...] = ()
    note: str = ""


def compare(source: StudyIdentity | None, archive: StudyIdentity | None) -> IdentityAnswer:
    """Compare the source's header with the archive's answer.

    Patient ID must be equal. Issuer and accession number, which many systems leave out, contradict only when both
    sides have one. A study that the archive doesn't know, or whose images are released here, can't be compared and is
    let through with a note.
    """
    if archive is None:
        return IdentityAnswer(note="the archive does not know the study, so its identity was not compared")
    if source is None:
        return IdentityAnswer(note="no source header is at hand, so the study's identity was not compared")
    differing = []
    if source.patient_id.strip() != archive.patient_id.strip():
        differing.append("Patient ID")
    if _contradict(source.issuer, archive.issuer):
        differing.append("Issuer of Patient ID")
    if _contradict(source.accession_number, archive.accession_number):
        differing.append("Accession Number")
    return IdentityAnswer(tuple(differing))


def _contradict(one: str, other: str) -> bool:
    # leading and trailing spaces of LO and SH are not significant (PS3.5 6.2)
    return bool(one.strip() and other.strip() and one.strip() != other.strip())
