"""How a destination wants its objects: SR class, character set, language."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SRClass(StrEnum):
    """Which SR storage class carries the report; the content tree is the same in all three."""

    ENHANCED = "enhanced"
    COMPREHENSIVE = "comprehensive"
    COMPREHENSIVE_3D = "comprehensive-3d"


class CharacterSet(StrEnum):
    """Specific Character Set (0008,0005) of what is written.

    ``SOURCE`` keeps the source's own set where that is one value that validators accept and it can hold all
    the text, and is UTF-8 otherwise.
    """

    UTF8 = "utf8"
    GB18030 = "gb18030"
    SOURCE = "source"


class Language(StrEnum):
    """Language of the sentences that the writer makes; coded meanings stay English."""

    EN = "en"
    ZH = "zh"


@dataclass(frozen=True)
class ObjectProfile:
    """What a destination is configured for. Objects of two profiles never share a UID."""

    sr_class: SRClass = SRClass.COMPREHENSIVE
    character_set: CharacterSet = CharacterSet.UTF8
    language: Language = Language.EN

    @property
    def name(self) -> str:
        """Short and stable (``comprehensive-utf8-en``): part of UIDs and file names."""
        return f"{self.sr_class}-{self.character_set}-{self.language}"
