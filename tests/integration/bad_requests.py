"""Requests to the API and commands that ask for what isn't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from tests.integration.bad_inputs import Case, House


def asking(path: str, method: str = "GET", **how: Any) -> Callable[[House], str]:
    """A request to the API."""

    def observe(house: House) -> str:
        with httpx.Client(base_url=f"http://127.0.0.1:{house.raysight.api_port}", trust_env=False) as client:
            answer = client.request(method, path, **how)
        return f"{answer.status_code}: {answer.json()['detail']}"

    return observe


def command(*arguments: str) -> Callable[[House], str]:
    """A `raysight` command."""

    def observe(house: House) -> str:
        done = house.raysight.run(*arguments, check=False)
        return f"exit code {done.returncode}: {' '.join((done.stdout + done.stderr).split())}"

    return observe


def cases() -> tuple[Case, ...]:
    """Requests, then commands."""
    elsewhere = {"origin": "http://elsewhere.example"}
    return (
        Case("GET an unknown study", "404: there is no study 1.2.3 here", asking("/v1/studies/1.2.3")),
        Case("GET a study under what is no UID", "422: ", asking("/v1/studies/not-a-uid")),
        Case("GET a study under 65 digits", "422: ", asking(f"/v1/studies/{'1' * 65}")),
        Case("GET a study under a path", "404: there is nothing at", asking("/v1/studies/..%2F..%2Fetc%2Fpasswd")),
        Case("GET a study under a UID with NUL", "422: ", asking("/v1/studies/1.2.3%00")),
        Case("a billion rows a page", "422: query.limit", asking("/v1/studies?limit=1000000000")),
        Case("no rows a page", "422: query.limit", asking("/v1/studies?limit=0")),
        Case("a page mark of someone else's", "422: query.after", asking("/v1/studies?after=AAAA")),
        Case("a state that does not exist", "422: query.state", asking("/v1/studies?state=happy")),
        Case("an unknown reading", "404: there is no reading", asking(f"/v1/readings/{'0' * 64}")),
        Case("ask for an unknown study", "404: there is no study", asking("/v1/studies/1.2.3/ask", "POST")),
        Case(
            "ask from a web page of another origin",
            "403: ",
            asking("/v1/studies/1.2.3/ask", "POST", headers=elsewhere),
        ),
        Case("DELETE a study", "405: ", asking("/v1/studies/1.2.3", "DELETE")),
        Case("`raysight status 1.2.3` (unknown)", "exit code 2: ", command("status", "1.2.3")),
        Case(
            "`raysight read` with an unknown pipeline",
            "exit code 2: ",
            command("read", ".", "--out", "x", "--pipeline", "x"),
        ),
        Case("`raysight echo` to what is no peer", "exit code 2: ", command("echo", "PACS@localhost")),
        Case("`raysight echo` to a port where nobody listens", "exit code ", command("echo", "PACS@127.0.0.1:1")),
    )
