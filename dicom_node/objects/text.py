"""Text between bytes and str, without losing a character on either way."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

from pydicom import DataElement, Dataset
from pydicom.charset import decode_bytes, python_encoding

TEXT_VRS = frozenset({"SH", "LO", "ST", "LT", "UC", "UT", "PN"})
MULTI_VALUED = frozenset({"SH", "LO", "UC", "PN"})

UTF8 = "ISO_IR 192"
GB18030 = "GB18030"

_CODECS = {**python_encoding, "ISO_IR 203": "iso8859_15", "ISO 2022 IR 203": "iso8859_15", "GB2312": "gb18030"}
# GB 18030 contains GB 2312 and GBK: what was written under either decodes the same, and mislabelled GBK does too
_CODECS.update({"GBK": "gb18030", "ISO 2022 IR 58": "gb18030", "ISO 2022 GBK": "gb18030", "ISO 2022 58": "gb18030"})

# Single-valued sets that dciodvfy and DicomSRValidator accept without an error (GBK and ISO 2022 IR 58 they don't).
ACCEPTED = frozenset({"", UTF8, GB18030} | {f"ISO_IR {n}" for n in (100, 101, 109, 110, 126, 127, 138, 144, 148)})

_ESCAPE = re.compile(r"\x1b[$(),\-./]{1,2}[0-9A-Za-z]")
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")


def declared_sets(value: object) -> tuple[str, ...]:
    """Specific Character Set as it stands in a header, bytes or converted -> its terms, misspellings put right."""
    if isinstance(value, bytes):
        value = value.decode("latin_1").strip(" \0").split("\\")
    values = [value] if value is None or isinstance(value, str) else list(value)  # type: ignore[call-overload]
    return tuple(_term(str(v or "")) for v in values) or ("",)


def _term(value: str) -> str:
    value = value.strip().upper()
    if match := re.fullmatch(r"ISO[ _-]?2022[ _-]?IR[ _-]?(\d+)", value):
        return f"ISO 2022 IR {match[1]}"
    if match := re.fullmatch(r"ISO[ _-]?IR[ _-]?(\d+)", value):
        return "" if match[1] == "6" else f"ISO_IR {match[1]}"
    return UTF8 if value in {"UTF8", "UTF-8"} else value


def decode_text(value: bytes, declared: tuple[str, ...]) -> tuple[str, str]:
    """Bytes of one text element -> its text.

    Parameters
    ----------
    value
        As stored, backslashes and padding included.
    declared
        Terms of Specific Character Set, from `declared_sets`.

    Returns
    -------
    tuple[str, str]
        The text without padding or escape sequences, and the name of the set that had to be *assumed* because the
        declared one can't be right (empty when the declared one held). Nothing is ever replaced: the last
        assumption, Latin-1, maps every byte to a character of its own.
    """
    if value.isascii() and b"\x1b" not in value:
        return _strip(value.decode("ascii")), ""
    text = _as_declared(value, declared)
    if text is not None:
        return text, ""
    try:
        return _strip(value.decode("utf-8")), "UTF-8"
    except UnicodeDecodeError:
        pass
    # Chinese text in its double-byte sets stands in runs of even length; Western accents mostly don't
    if all(len(run) % 2 == 0 for run in _HIGH_RUN.findall(value)):
        try:
            return _strip(value.decode("gb18030")), "GB18030"
        except UnicodeDecodeError:
            pass
    return _strip(value.decode("latin_1")), "Latin-1"


def _as_declared(value: bytes, declared: tuple[str, ...]) -> str | None:
    if any(term not in _CODECS for term in declared):
        return None
    used = {term for term in declared if term not in {"", "ISO 2022 IR 6"}}
    if not used:
        return None if not value.isascii() else _strip(value.decode("ascii"))
    # One set, or GB 2312 as the only extension of ASCII: the codec alone decides, because many writers forget
    # to repeat the escape sequence after a delimiter
    if len(declared) == 1 or used == {"ISO 2022 IR 58"}:
        try:
            return _strip(value.decode(_CODECS[used.pop()]))
        except UnicodeDecodeError:
            return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns and puts U+FFFD; that is looked for below
        names = [python_encoding.get(term, "iso8859") for term in declared]
        text = decode_bytes(value, names, {0x5C, 0x5E, 0x3D, 0x0A, 0x0C, 0x0D, 0x09})
    # pydicom leaves the designation of a G1 set (ESC $ ) A) inside the string
    return None if "�" in text else _strip(text)


def _strip(text: str) -> str:
    return _ESCAPE.sub("", text).rstrip(" \0")


def unencodable(dataset: Dataset, term: str) -> list[str]:
    """Which text of ``dataset``, sequences included, the character set ``term`` can't hold: 'Keyword: characters'."""
    codec = _CODECS[term] if term else "ascii"
    found = []
    for element in _texts(dataset):
        values = element.value if element.VM > 1 else [element.value]
        for value in values:
            try:
                str(value).encode(codec)
            except UnicodeEncodeError as error:
                found.append(f"{element.keyword}: {error.object[error.start : error.end]!r}")
    return found


def _texts(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in TEXT_VRS and not element.is_empty:
            yield element
