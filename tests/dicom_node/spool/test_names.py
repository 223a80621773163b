"""Names in the spool."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.blobs import check_name
from dicom_node.spool.names import blob_name, check_uid
from imaging.errors import HeaderError

uids = st.lists(st.integers(0, 10**9).map(str), min_size=1, max_size=6).map(".".join)
digests = st.binary(max_size=8).map(lambda data: hashlib.sha256(data).hexdigest())


@given(uids, uids, digests)
def test_a_name_is_a_blob_name_and_tells_its_parts(study: str, instance: str, digest: str) -> None:
    name = check_name(blob_name(study, instance, digest))
    folder, _, file = name.partition("/")
    assert (folder, *file.removesuffix(".dcm").split("-")) == (study, instance, digest[:16])


@given(st.text(max_size=70))
def test_only_uids_become_names(text: str) -> None:
    try:
        check_uid(text, "it")
    except HeaderError as error:
        assert str(error) in ("it is not a UID", "it is absent")
    else:
        assert text.isascii()
        assert all(part.isdigit() for part in text.split("."))


@pytest.mark.parametrize("uid", ["1.2.", ".1", "1..2", "..", "1/2", "1.2\n", " 1.2", "1.2a", "١.٢", "1" * 65])
def test_what_is_no_uid(uid: str) -> None:
    with pytest.raises(HeaderError, match="it is not a UID"):
        check_uid(uid, "it")


def test_a_digest_is_a_whole_sha256() -> None:
    with pytest.raises(ValueError, match="not a sha256"):
        blob_name("1.2", "1.3", "0123456789abcdef")
