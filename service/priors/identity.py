"""Is an earlier examination the same patient's? Attributes are named, their values never."""

from __future__ import annotations

import re

from dicom_node.reader.identity import PatientIdentity

_SEXES = {"M", "F", "O"}
_SEPARATORS = re.compile(r"[\^\s,.]+")


def differing(one: PatientIdentity, other: PatientIdentity) -> tuple[str, ...]:
    """The attributes in which two headers can't be of one patient; empty when they are of one.

    Patient ID and issuer must be equal, and an ID must be there. Birth date, sex and name, which are often left out
    or written in another way, contradict only where both sides have one.
    """
    found = []
    if not one.patient_id or one.patient_id != other.patient_id:
        found.append("Patient ID")
    if one.issuer != other.issuer:
        found.append("Issuer of Patient ID")
    return (*found, *contradicting(one, other))


def contradicting(one: PatientIdentity, other: PatientIdentity) -> tuple[str, ...]:
    """Those of birth date, sex and name that contradict each other."""
    found = []
    if one.birth_date and other.birth_date and one.birth_date != other.birth_date:
        found.append("Patient's Birth Date")
    if {one.sex, other.sex} <= _SEXES and one.sex != other.sex:
        found.append("Patient's Sex")
    if _names_contradict(one.name, other.name):
        found.append("Patient's Name")
    return tuple(found)


def _names_contradict(one: str, other: str) -> bool:
    """No part in common, in a script that both are written in. A changed surname leaves the given name, and a name in
    one script says nothing about one in another."""
    mine, others = _parts(one), _parts(other)
    latin = [{part for part in parts if part.isascii()} for parts in (mine, others)]
    comparable = all(latin) or all(parts - ascii_ for parts, ascii_ in zip((mine, others), latin, strict=True))
    return comparable and not mine & others


def _parts(name: str) -> set[str]:
    """The words of each component group (PS3.5 section 6.2.1.2), and each group without its separators."""
    parts = set()
    for group in name.casefold().split("="):
        words = [word for word in _SEPARATORS.split(group) if word]
        parts.update(words)
        if words:
            parts.add("".join(words))
    return parts
