from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, Sequence

from dicom_node.objects.text import declared_sets, decode_text, unencodable

NAME = "Wang^XiaoDong=王^小东"


def iso2022(text: str, escape_after_delimiter: bool = True) -> bytes:
    """GB 2312 under ISO 2022 IR 58, designated anew after each delimiter or only once, as many writers do."""
    alphabetic, ideographic = text.split("=")
    parts = ideographic.split("^")
    escape = b"\x1b$)A"
    between = b"^" + escape if escape_after_delimiter else b"^"
    return alphabetic.encode() + b"=" + escape + between.join(part.encode("gb2312") for part in parts)


@pytest.mark.parametrize(
    ("value", "declared"),
    [
        (NAME.encode("gb18030"), "GB18030"),
        (NAME.encode("gbk"), "GBK"),
        (NAME.encode(), "ISO_IR 192"),
        (NAME.encode(), "UTF-8"),
        (iso2022(NAME), ["", "ISO 2022 IR 58"]),
        (iso2022(NAME, escape_after_delimiter=False), ["", "ISO 2022 IR 58"]),
        (iso2022(NAME), "ISO 2022 IR 58"),
        (NAME.encode("gb2312"), "ISO 2022 IR 58"),
        (NAME.encode("gb2312"), ["ISO 2022 IR 6", "ISO 2022 IR 58"]),
    ],
)
def test_chinese_names(value: bytes, declared: object) -> None:
    assert decode_text(value, declared_sets(declared)) == (NAME, "")


def test_japanese_and_korean_code_extensions() -> None:
    japanese = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"
    assert decode_text(japanese, ("", "ISO 2022 IR 87")) == ("Yamada^Tarou=山田^太郎", "")
    korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"
    assert decode_text(korean, ("", "ISO 2022 IR 149")) == ("Hong^Gildong=洪^吉洞", "")


@pytest.mark.parametrize(
    ("value", "declared", "assumed"),
    [
        (NAME.encode(), ("",), "UTF-8"),
        (NAME.encode("gb2312"), ("",), "GB18030"),
        (NAME.encode("gb2312"), ("ISO_IR 192",), "GB18030"),
        (NAME.encode("gb2312"), ("NONSENSE",), "GB18030"),
    ],
)
def test_a_wrong_declaration_is_seen(value: bytes, declared: tuple[str, ...], assumed: str) -> None:
    assert decode_text(value, declared) == (NAME, assumed)


def test_an_undeclared_accent_is_not_taken_for_chinese() -> None:
    assert decode_text("Müller".encode("latin_1"), ("",)) == ("Müller", "Latin-1")


@given(st.binary().filter(lambda b: b"\x1b" not in b))
def test_nothing_is_ever_replaced(value: bytes) -> None:
    text, assumed = decode_text(value, ("ISO_IR 192",))
    assert "�" not in text or "�".encode() in value
    if assumed == "Latin-1":
        assert text.encode("latin_1") == value.rstrip(b" \0")


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_utf8_and_gb18030_round_trip(text: str) -> None:
    kept = text.rstrip(" ")
    assert decode_text(text.encode(), ("ISO_IR 192",)) == (kept, "")
    assert decode_text(text.encode("gb18030"), ("GB18030",)) == (kept, "")


def test_what_a_set_cannot_hold_is_named() -> None:
    item = Dataset()
    item.add(DataElement("CodeMeaning", "LO", "结节"))
    ds = Dataset()
    ds.PatientName = "Doe^Jané"
    ds.add(DataElement("ProcedureCodeSequence", "SQ", Sequence([item])))
    assert unencodable(ds, "ISO_IR 192") == []
    assert unencodable(ds, "ISO_IR 100") == ["CodeMeaning: '结节'"]
    assert len(unencodable(ds, "")) == 2
