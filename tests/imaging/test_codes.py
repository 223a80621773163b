"""Every code against pydicom's dictionaries; one that they lack names its source."""

from __future__ import annotations

import pytest
from pydicom.sr._concepts_dict import concepts

from imaging import codes
from imaging.codes import SOURCES, Code

ALL = {name: value for name, value in vars(codes).items() if isinstance(value, Code)}


def known_meanings(code: Code) -> set[str]:
    """All wordings under which the dictionary lists a code, in small letters."""
    entries = concepts.get(code.scheme, {}).values()
    return {entry[code.value][0].casefold() for entry in entries if code.value in entry}


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_code_is_in_the_dictionary_or_names_its_source(name):
    code = ALL[name]
    if code in SOURCES:
        assert code.meaning.casefold() not in known_meanings(code), "SOURCES is for what the dictionary lacks"
        assert len(SOURCES[code]) > 10
    else:
        assert code.meaning.casefold() in known_meanings(code)
    assert 0 < len(code.meaning) <= 64
    assert 0 < len(code.value) <= 16
    assert 0 < len(code.scheme) <= 16


def test_no_code_stands_twice():
    assert len({(c.value, c.scheme) for c in ALL.values()}) == len(ALL)


def test_every_source_is_of_a_code_in_use():
    assert set(SOURCES) <= set(ALL.values())
