"""Single header values that clinics write wrongly, put into the form the standard asks for."""

from __future__ import annotations

import re
from datetime import date

_SEXES = {"M": "M", "F": "F", "O": "O", "MALE": "M", "FEMALE": "F", "OTHER": "O"}


def mend_date(value: str) -> str:
    """DA (PS3.5 6.2): YYYYMMDD of a real date from that form, YYYY.MM.DD, YYYY-MM-DD or YYYY/MM/DD; else empty."""
    match = re.fullmatch(r"(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})", value.strip())
    if match is None:
        return ""
    try:
        date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return ""
    return "".join(match.groups())


def mend_time(value: str) -> str:
    """TM: HH[MM[SS[.F]]] from that form or H:MM[:SS[.F]]; a leap second becomes 59; else empty."""
    value = value.strip()
    match = re.fullmatch(r"(\d{2})(?:(\d{2})(?:(\d{2})(\.\d{1,6})?)?)?", value) or re.fullmatch(
        r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?", value
    )
    if match is None:
        return ""
    hour, minute, second, fraction = match[1].zfill(2), match[2] or "", match[3] or "", match[4] or ""
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        return ""
    return f"{hour}{minute}{'59' if second == '60' else second}{fraction}"


def mend_datetime(value: str) -> str:
    """DT: kept when it has the standard's form, else empty."""
    value = value.strip()
    match = re.fullmatch(r"(\d{4}(?:\d{2}){0,5})(\.\d{1,6})?([+-]\d{4})?", value)
    if match is None or (len(match[1]) >= 8 and not mend_date(match[1][:8])):
        return ""
    return value


def mend_age(value: str) -> str:
    """AS: nnnD, nnnW, nnnM, nnnY, with zeros put in front; else empty."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", value.strip().upper())
    return f"{match[1].zfill(3)}{match[2]}" if match else ""


def mend_sex(value: str) -> str:
    """Patient's Sex: M, F, O, or empty for anything that is none of them."""
    return _SEXES.get(value.strip().upper(), "")


def mend_zone(value: str) -> str:
    """Timezone Offset From UTC (PS3.3 C.12.1): +HHMM or -HHMM between -1200 and +1400; else empty."""
    match = re.fullmatch(r"([+-])(\d{2})(\d{2})", value.strip())
    if match is None or int(match[3]) > 59:
        return ""
    minutes = (int(match[2]) * 60 + int(match[3])) * (-1 if match[1] == "-" else 1)
    return value.strip() if -12 * 60 <= minutes <= 14 * 60 and value.strip() != "-0000" else ""


MENDS = {"DA": mend_date, "TM": mend_time, "DT": mend_datetime, "AS": mend_age}
