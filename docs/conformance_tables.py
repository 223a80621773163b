"""The tables of conformance.md that the code decides: `python docs/conformance_tables.py` writes them anew.

Each stands between ``<!-- NAME begin -->`` and ``<!-- NAME end -->``; a test holds them equal to the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydicom.uid import UID
from pynetdicom.sop_class import Verification

from dicom_node.network.contexts import TRANSFER_SYNTAXES, storage_contexts
from imaging import codes
from imaging.codes import Code
from imaging.reasons import Reason, ReasonKind

PAGE = Path(__file__).with_name("conformance.md")


def tables() -> Mapping[str, str]:
    """Every generated table by its name."""
    classes = [str(context.abstract_syntax) for context in storage_contexts()]
    classes = [uid for uid in classes if uid != Verification]
    terms = [term for term in vars(codes).values() if isinstance(term, Code)]
    reasons = [(kind, _words(Reason(kind, "").code)) for kind in ReasonKind]
    return {
        "transfer-syntaxes": table(("Transfer syntax", "UID"), ((UID(uid).name, uid) for uid in TRANSFER_SYNTAXES)),
        "storage-classes": table(("SOP class", "UID"), ((UID(uid).name, uid) for uid in classes)),
        "coded-terms": table(("Code", "Scheme", "Meaning"), ((t.value, t.scheme, t.meaning) for t in terms)),
        "reasons": table(("Reason", "Code in the SR"), ((f"`{kind}`", code) for kind, code in reasons)),
    }


def _words(code: Code) -> str:
    return f"({code.value}, {code.scheme}, {code.meaning})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def rendered(page: str) -> str:
    """The page with every generated table as the code has it; ValueError when one has no place in it."""
    for name, content in tables().items():
        place = re.compile(f"(<!-- {name} begin -->\n).*?(<!-- {name} end -->)", re.DOTALL)
        page, times = place.subn(lambda match, text=content: f"{match[1]}\n{text}\n\n{match[2]}", page)
        if times != 1:
            raise ValueError(f"the table {name} has {times} places in {PAGE.name}")
    return page


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
