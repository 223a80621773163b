"""Log lines: JSON, levels, and never patient data."""

from __future__ import annotations

import errno
import io
import json
import logging
import warnings
from typing import Any

import pytest
import structlog

from imaging.errors import ConfigurationError
from service.logs import configure_logs

pytestmark = pytest.mark.usefixtures("logging_restored")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_are_json_with_time_level_and_role() -> None:
    stream = io.StringIO()
    configure_logs(stream, role="node")
    structlog.get_logger("x").info("study complete", study="1.2.3", 名="肺")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["study"], line["role"]) == ("study complete", "info", "1.2.3", "node")
    assert line["timestamp"].endswith("Z") and line["名"] == "肺"


def test_the_level_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSIGHT_LOG_LEVEL", "ERROR")
    stream = io.StringIO()
    configure_logs(stream)
    structlog.get_logger().warning("left out")
    structlog.get_logger().error("kept")
    assert [line["event"] for line in lines(stream)] == ["kept"]
    monkeypatch.setenv("RAYSIGHT_LOG_LEVEL", "loud")
    with pytest.raises(ConfigurationError, match="'loud' is no level; known: debug, info, warning, error"):
        configure_logs(stream)


def test_other_libraries_speak_from_warning_up() -> None:
    stream = io.StringIO()
    configure_logs(stream, role="api")
    for name in ("uvicorn.error", "pynetdicom.acse", "dbos", "alembic"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("something of %s", name)
    found = lines(stream)
    assert [line["logger"] for line in found] == ["uvicorn.error", "pynetdicom.acse", "dbos", "alembic"]
    assert all(line["event"].startswith("something of") and line["role"] == "api" for line in found)


@pytest.mark.parametrize("key", ["patient_name", "PatientID", "birth_date", "accession-number", "dataset"])
def test_patient_data_is_taken_out(key: str) -> None:
    stream = io.StringIO()
    configure_logs(stream)
    structlog.get_logger().info("received", **{key: "Zhang^San"}, header={"sop": "1.2", key: {"deep": "Zhang^San"}})
    (line,) = lines(stream)
    assert "Zhang" not in stream.getvalue()
    assert line["removed"] == [key, key] and line["header"]["sop"] == "1.2"


def test_libraries_that_quote_headers_are_cut_short() -> None:
    stream = io.StringIO()
    configure_logs(stream)
    logging.getLogger("pydicom").warning("Invalid value 'Zhang^San' for (0010,0010)")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("Invalid value for VR PN: 'Zhang^San'", stacklevel=1)
    ours, theirs = lines(stream)
    assert "Zhang" not in stream.getvalue()
    assert "test_logs" in ours["place"] and "test_logs.py" in theirs["place"]


def test_a_traceback_shows_no_variables() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream in (io.StringIO(), Terminal()):
        configure_logs(stream)
        secret = "Zhang" + "^San"
        try:
            len(secret) / 0
        except ZeroDivisionError:
            structlog.get_logger().exception("it broke")
        assert "division by zero" in stream.getvalue() and "test_logs.py" in stream.getvalue()
        assert "Zhang^San" not in stream.getvalue()


class FullDisk(io.StringIO):
    """A stream on a file system without a free byte."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    configure_logs(FullDisk())
    structlog.get_logger().error("role ended")
    logging.getLogger("uvicorn").error("something else")
