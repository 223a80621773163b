"""Where everything stands, and why: pure queries on the tables, answered as frozen records."""

from service.status.overview import overview
from service.status.readings import list_deliveries, list_readings, reading_status
from service.status.records import DeliveryState, Overview, StudyState, StudyStatus
from service.status.studies import find_study, list_studies, study_status

__all__ = [
    "DeliveryState",
    "Overview",
    "StudyState",
    "StudyStatus",
    "find_study",
    "list_deliveries",
    "list_readings",
    "list_studies",
    "overview",
    "reading_status",
    "study_status",
]
