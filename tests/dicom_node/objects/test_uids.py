from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from dicom_node.objects.profile import CharacterSet, Language, ObjectProfile, SRClass
from dicom_node.objects.uids import derive_uid, tracking_uid


@given(key=st.text(), role=st.text())
def test_a_uid_is_valid_and_always_the_same(key: str, role: str) -> None:
    uid = derive_uid(key, role)
    assert UID(uid).is_valid
    assert uid.startswith("2.25.")
    assert derive_uid(key, role) == uid


def test_known_value() -> None:
    """Results already in archives keep their names: this number must never change."""
    assert derive_uid("key", "sr") == "2.25.264449608882878904144898908084970630655"


def test_profiles_have_names_of_their_own() -> None:
    profiles = [ObjectProfile(c, s, lang) for c in SRClass for s in CharacterSet for lang in Language]
    assert len({profile.name for profile in profiles}) == len(profiles)
    assert ObjectProfile().name == "comprehensive-utf8-en"


def test_findings_are_tracked_apart() -> None:
    assert len({tracking_uid("key", n) for n in range(1, 50)}) == 49
