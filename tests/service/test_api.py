"""REST as a client sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

from dicom_node.blobs import LocalBlobStore
from imaging import codes
from imaging.reading import Finding, Measurement, ModelIdentity, PipelineResult, Reading, ReadingStatus
from service.api import examples, health, studies
from service.api.app import create_app
from service.api.readings import ReadingAnswer, ReadingPage
from service.database import tables
from service.roles import hold_role
from service.status.records import StudyStatus
from service.workflows.results import ResultStore

UID = "1.2.3"
ABSENT = "0" * 64


class Client:
    """A client in the same process, at an address of our choice."""

    def __init__(self, app: FastAPI, address: str = "127.0.0.1") -> None:
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 50000))

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **arguments)

        return anyio.run(ask)

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("POST", path, **arguments)


@pytest.fixture
def client(configured: Any, hands: Any) -> Client:
    return Client(create_app(configured, hands.engine))


def reading_of(uid: str) -> Reading:
    finding = Finding(
        number=1,
        category=codes.ABNORMAL_STRUCTURE,
        kind=codes.NODULE,
        site=codes.LUNG,
        laterality=codes.RIGHT,
        place="right lung, upper third, slice 84",
        centre=(-61.2, 10.4, -112.0),
        key_slice=83,
        measurements=(Measurement(codes.LONG_AXIS, 9.1, codes.MM),),
    )
    return Reading(
        study_instance_uid=uid,
        pipeline="lung_nodule",
        pipeline_version="1.0.0",
        model=ModelIdentity("lung-nodule-baseline", "1.0.0", "0" * 64),
        status=ReadingStatus.READ,
        procedure=codes.CT_STUDY,
        conclusion="1 mark above threshold",
        findings=(finding,),
    )


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "instance"} <= body.keys()
    assert body["status"] == status and body["detail"]
    return body


def test_studies_are_listed_in_pages(client: Client, hands: Any) -> None:
    for n in range(5):
        hands.study(f"1.2.{n}", minutes=n)
    first = client.get("/v1/studies", params={"limit": 3}).json()
    assert [s["study_instance_uid"] for s in first["items"]] == ["1.2.4", "1.2.3", "1.2.2"]
    second = client.get("/v1/studies", params={"limit": 3, "after": first["next"]}).json()
    assert [s["study_instance_uid"] for s in second["items"]] == ["1.2.1", "1.2.0"]
    assert second["next"] is None


def test_studies_are_filtered_by_state_and_time(client: Client, hands: Any) -> None:
    hands.study("1.1")
    hands.study("1.2", minutes=5)
    hands.reading(study="1.2", state="not read", reason_kind="gantry-tilt", reason="tilted by 12 degrees")
    listed = client.get("/v1/studies", params={"state": "not read"}).json()["items"]
    assert [(s["study_instance_uid"], s["state"]) for s in listed] == [("1.2", "not read")]
    listed = client.get("/v1/studies", params={"since": "2026-11-24T12:03:00Z"}).json()["items"]
    assert [s["study_instance_uid"] for s in listed] == ["1.2"]


def test_a_study_says_why_it_was_not_read(client: Client, hands: Any) -> None:
    hands.study()
    hands.reading(state="not read", findings=None, reason_kind="gantry-tilt", reason="tilted by 12 degrees")
    (reading,) = client.get(f"/v1/studies/{UID}").json()["readings"]
    assert (reading["state"], reading["findings"]) == ("not read", None)
    assert (reading["reason_kind"], reading["reason"]) == ("gantry-tilt", "tilted by 12 degrees")


def test_a_reading_comes_with_its_findings_and_picture(client: Client, hands: Any, configured: Any) -> None:
    hands.study()
    key = hands.reading()
    blobs = LocalBlobStore(configured.home.results)
    assert client.get(f"/v1/readings/{key}").json()["reading"] is None  # not ended yet
    is_problem(client.get(f"/v1/readings/{key}/picture"), 404)
    ResultStore(blobs).put_result(key, PipelineResult(reading_of(UID), {}))
    blobs.put(f"{key}/comprehensive-utf8-en/picture.png", b"\x89PNG\r\n\x1a\n")
    answer = client.get(f"/v1/readings/{key}").json()
    assert answer["status"]["findings"] == 2
    assert TypeAdapter(Reading).validate_python(answer["reading"]) == reading_of(UID)
    picture = client.get(f"/v1/readings/{key}/picture")
    assert picture.headers["content-type"] == "image/png" and picture.content.startswith(b"\x89PNG")


def test_readings_are_filtered_and_paged(client: Client, hands: Any) -> None:
    for n in range(3):
        hands.reading(f"r{n}", minutes=n)
    hands.reading("other", pipeline="fracture", state="failed")
    listed = client.get("/v1/readings", params={"pipeline": "lung_nodule", "limit": 2}).json()
    rest = client.get("/v1/readings", params={"pipeline": "lung_nodule", "after": listed["next"]}).json()
    assert [len(listed["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]
    assert [r["pipeline"] for r in client.get("/v1/readings?state=failed").json()["items"]] == ["fracture"]


def test_asking_marks_the_study_and_stands_in_the_audit(client: Client, hands: Any) -> None:
    hands.study()
    answer = client.post(f"/v1/studies/{UID}/ask")
    assert answer.status_code == 202 and answer.json()["study_instance_uid"] == UID
    (study,) = hands.rows(tables.studies)
    assert study["asked_at"] is not None and study["check_at"] == study["asked_at"]
    (row,) = hands.rows(tables.audit)
    assert (row["who"], row["action"], row["subject"]) == ("api 127.0.0.1", "ask", UID)


def test_asking_for_images_that_were_released_is_refused(client: Client, hands: Any) -> None:
    uid = hands.study()
    hands.instance(uid, released_at=hands.noon)
    problem = is_problem(client.post(f"/v1/studies/{uid}/ask"), 409)
    assert "send the study again" in problem["detail"]
    assert hands.rows(tables.studies)[0]["asked_at"] is None


@pytest.mark.parametrize(
    ("address", "headers"),
    [("10.1.2.3", {}), ("not-an-address", {}), ("127.0.0.1", {"origin": "https://elsewhere.example"})],
)
def test_only_the_machine_itself_may_ask(address: str, headers: dict[str, str], configured: Any, hands: Any) -> None:
    hands.study()
    client = Client(create_app(configured, hands.engine), address)
    is_problem(client.post(f"/v1/studies/{UID}/ask", headers=headers), 403)
    assert hands.rows(tables.studies)[0]["asked_at"] is None and hands.rows(tables.audit) == []


MISTAKES = [
    ("GET", "/v1/studies/1.2.99", 404, "there is no study 1.2.99 here"),
    ("POST", "/v1/studies/1.2.99/ask", 404, "there is no study 1.2.99 here"),
    ("GET", f"/v1/readings/{ABSENT}", 404, "there is no reading"),
    ("GET", "/nothing", 404, "/docs lists what there is"),
    ("GET", "/v1/studies/..%2f..%2fetc", 404, "nothing at"),
    ("GET", "/v1/studies/abc", 422, "path.study_instance_uid"),
    ("GET", f"/v1/studies/{'1.' * 40}1", 422, "path.study_instance_uid"),
    ("GET", "/v1/readings/ABC", 422, "path.key"),
    ("GET", "/v1/readings/ABC/picture", 422, "path.key"),
    ("GET", "/v1/studies?limit=0", 422, "query.limit"),
    ("GET", "/v1/studies?limit=100000", 422, "query.limit"),
    ("GET", "/v1/studies?state=lost", 422, "query.state"),
    ("GET", "/v1/studies?since=yesterday", 422, "query.since"),
    ("GET", "/v1/studies?since=2026-11-24T12:00:00", 422, "query.since"),
    ("GET", "/v1/studies?after=AAAA", 422, "query.after"),
    ("GET", "/v1/studies?after=x", 422, "query.after"),
    ("GET", "/v1/readings?pipeline=../x", 422, "query.pipeline"),
    ("DELETE", "/v1/studies/1.2.3", 405, "DELETE is not possible"),
    ("POST", "/v1/studies", 405, "POST is not possible"),
]


@pytest.mark.parametrize(("method", "path", "status", "words"), MISTAKES)
def test_every_mistake_is_a_problem(method: str, path: str, status: int, words: str, client: Client) -> None:
    body = is_problem(client.request(method, path), status)
    assert words in body["detail"]
    assert bool(body["errors"]) == (status == 422)


def test_a_broken_database_is_a_problem(client: Client, hands: Any) -> None:
    with hands.engine.begin() as connection:
        tables.studies.drop(connection)
    assert "database" in is_problem(client.get("/v1/studies"), 503)["detail"]
    assert "database: does not answer" in is_problem(client.get("/readyz"), 503)["detail"]
    assert client.get("/healthz").json() == {"alive": True}


def test_readiness_names_what_is_missing(client: Client, configured: Any, hands: Any) -> None:
    home = configured.home.root
    body = is_problem(client.get("/readyz"), 503)
    assert [c["name"] for c in body["checks"] if not c["ok"]] == ["node", "receiver", "worker-0"]
    with ExitStack() as alive:
        alive.enter_context(hold_role(home, "node", "1"))
        assert "worker-0: does not run" in is_problem(client.get("/readyz"), 503)["detail"]
        alive.enter_context(hold_role(home, "worker-0", "1"))
        assert "receiver: does not run" in is_problem(client.get("/readyz"), 503)["detail"]
        alive.enter_context(hold_role(home, "receiver", "1"))
        answer = client.get("/readyz")
        assert answer.status_code == 200 and answer.json()["ready"] is True
        limits = configured.settings.node.limits.model_copy(update={"free_mb": 1 << 40})
        node = configured.settings.node.model_copy(update={"limits": limits})
        full = replace(configured, settings=configured.settings.model_copy(update={"node": node}))
        assert "disk: " in is_problem(Client(create_app(full, hands.engine)).get("/readyz"), 503)["detail"]


def test_metrics_of_all_processes_and_of_the_tables(client: Client, configured: Any, hands: Any) -> None:
    hands.study()
    hands.reading()
    hands.delivery()
    hands.instance()
    counting = (
        "import sys; from pathlib import Path; from service.configuration import Home; import service.metrics as m\n"
        "m.keep_counters(Home(Path(sys.argv[1])))\n"
        "m.on_event('received', calling_ae='CT1', bytes=500)\n"
        "m.on_event('refused', calling_ae='1.2.3', status='0xA700')\n"
        "m.on_event('confirmed', destination='pacs', means='query')\n"
        "m.on_event('something_else', patient='x')\n"
    )
    command = [sys.executable, "-c", counting, str(configured.home.root)]
    processes = [subprocess.Popen(command) for _ in range(2)]  # two processes, one sum
    assert [p.wait(60) for p in processes] == [0, 0]
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        "raysight_instances_received_total 2.0",
        "raysight_received_bytes_total 1000.0",
        'raysight_instances_refused_total{status="0xA700"} 2.0',
        'raysight_deliveries_confirmed_total{destination="pacs",means="query"} 2.0',
        'raysight_events_total{event="something_else"} 2.0',
        'raysight_studies{state="pending"} 1.0',
        'raysight_readings{pipeline="lung_nodule",state="read"} 1.0',
        'raysight_deliveries{destination="pacs",state="pending"} 1.0',
        "raysight_spool_instances 1.0",
        'raysight_role_alive{role="node"} 0.0',
    ):
        assert line in lines
    assert any(line.startswith('raysight_oldest_undelivered_seconds{destination="pacs"}') for line in lines)
    assert any(line.startswith("raysight_free_disk_bytes") for line in lines)
    assert "1.2.3" not in answer.text and "CT1" not in answer.text


EXAMPLES: list[tuple[Any, Any]] = [
    (studies.StudyPage, examples.STUDY_PAGE),
    (StudyStatus, examples.STUDY),
    (studies.Asked, examples.ASKED),
    (ReadingPage, examples.READING_PAGE),
    (ReadingAnswer, examples.READING),
    (health.Readiness, examples.READY),
]


def stands_in(example: Any, answer: Any) -> bool:
    """Whether all of the example is in the answer, which may have more."""
    if isinstance(example, dict):
        return all(key in answer and stands_in(value, answer[key]) for key, value in example.items())
    if isinstance(example, list):
        return len(example) == len(answer) and all(map(stands_in, example, answer))
    return bool(example == answer)


@pytest.mark.parametrize(("model", "example"), EXAMPLES)
def test_the_examples_are_answers(model: Any, example: dict[str, Any]) -> None:
    adapter = TypeAdapter(model)
    assert stands_in(example, json.loads(adapter.dump_json(adapter.validate_json(json.dumps(example)))))


def test_the_document_describes_every_route(client: Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/studies",
        "/v1/studies/{study_instance_uid}",
        "/v1/studies/{study_instance_uid}/ask",
        "/v1/readings",
        "/v1/readings/{key}",
        "/v1/readings/{key}/picture",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], path
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert client.get("/docs").status_code == 200


def test_a_defect_is_a_problem_without_its_details(configured: Any, hands: Any) -> None:
    app = create_app(configured, hands.engine)

    @app.get("/broken")
    def _broken() -> None:
        raise RuntimeError("Zhang^San")

    body = is_problem(Client(app).get("/broken"), 500)
    assert "Zhang" not in json.dumps(body)


def test_no_patient_attribute_in_any_schema(client: Client) -> None:
    text = client.get("/openapi.json").text.lower()
    for word in ("patient_name", "patient_id", "birth", "accession"):
        assert word not in text
