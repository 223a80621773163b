"""Report of a study that was not read, with the coded reason. Whether there is to be one, the caller decides.

"No finding" and "not read" are never the same output. The coded outcome stands twice: in the Qualitative Evaluations
container, which is the template's place for it and passes every validator, and in a measurement group (TID 1501),
because dcmqi and OHIF show groups and nothing else. Valueless numbers are avoided: both tools reject them.
"""

from __future__ import annotations

from pydicom import Dataset

from dicom_node.objects.content import Evaluation, Statement, outcome_group
from dicom_node.objects.document import build_document, common_statements
from dicom_node.objects.order import ResultOrder
from dicom_node.objects.wording import wording
from imaging import codes
from imaging.reading import ReadingStatus


def build_not_read(order: ResultOrder) -> Dataset:
    """The SR of a reading with status NOT_READ or FAILED."""
    reading = order.reading
    assert reading.reason is not None, "a Reading holds it"
    tried = codes.FAILED if reading.status is ReadingStatus.FAILED else codes.NOT_ATTEMPTED
    outcome: list[Evaluation] = [
        (codes.CAD_SUMMARY, codes.NONE_SUCCEEDED_NO_FINDINGS),
        (codes.SUMMARY_OF_ANALYSES, tried),
        (codes.REASON, reading.reason.code),
    ]
    words = wording(order.profile.language)
    more = "" if reading.reason.message in reading.conclusion else reading.conclusion
    statements: list[Statement] = [
        (codes.CONCLUSION, words.not_analysed.format(message=reading.reason.message)),
        (codes.COMMENT, words.research),
        *([(codes.COMMENT, more)] if more else []),
        *common_statements(order),
    ]
    headers = list(order.sources.headers)
    library = [frame for frame in order.sources.frames if frame.placed][:1]
    return build_document(
        order,
        groups=[outcome_group(order, outcome)],
        outcome=outcome,
        statements=statements,
        library=library,
        evidence=headers,
    )
