"""A manifest's bytes are its identity; a spoiled one is never used."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from imaging.errors import CohortError, UsageError
from training.cohort import Cohort, CohortShelf, load_cohort, to_gzip

pytestmark = pytest.mark.usefixtures("cases")


@pytest.fixture
def cohort(build: Callable[..., Cohort]) -> Cohort:
    return build()


def test_it_comes_back_as_it_was(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / f"{cohort.digest}.json"
    path.write_bytes(cohort.to_bytes())
    assert load_cohort(path) == cohort
    assert hashlib.sha256(path.read_bytes()).hexdigest() == cohort.digest == load_cohort(path).digest


def test_compressed_it_is_the_same(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "cohort.json.gz").write_bytes(to_gzip(cohort))
    assert load_cohort(tmp_path / "cohort.json.gz") == cohort
    assert to_gzip(cohort) == to_gzip(cohort) and len(to_gzip(cohort)) < 0.7 * len(cohort.to_bytes())


def test_another_content_under_the_name_is_noticed(cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / f"{cohort.digest}.json"
    path.write_bytes(cohort.to_bytes().replace(b'"test"', b'"train"'))
    with pytest.raises(CohortError, match="not what it was when it got its name"):
        load_cohort(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b[:-10], "is no cohort's manifest: whole file"),
        (lambda b: b.replace(b'"gate"', b'"gait"'), "is no cohort's manifest: "),
        (lambda b: b.replace(b'"format":1', b'"format":2'), "a manifest of format 2; this version reads format 1"),
        (lambda b: json.dumps(json.loads(b), indent=1).encode(), "was edited by hand"),
    ],
    ids=["cut off", "no such split", "a later format", "other white space"],
)
def test_what_is_no_manifest(cohort: Cohort, tmp_path: Path, change: Callable[[bytes], bytes], words: str) -> None:
    path = tmp_path / "cohort.json"
    path.write_bytes(change(cohort.to_bytes()))
    with pytest.raises(CohortError, match=words):
        load_cohort(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="No such file"):
        load_cohort(tmp_path / "absent.json")
    whole = gzip.compress(b"a manifest " * 100)
    for spoiled in (b"no gzip", whole[:-9], whole[:10] + b"\xff" * 20):
        (tmp_path / "a.json.gz").write_bytes(spoiled)
        with pytest.raises(CohortError, match=r"a\.json\.gz: "):
            load_cohort(tmp_path / "a.json.gz")


@pytest.mark.parametrize(
    ("known", "altered", "words"),
    [
        ("toy/images/case_001.nii.gz", "../images/case_001.nii.gz", "members.0.files.0.path: .*no path below"),
        ("toy/images/case_001.nii.gz", "/etc/passwd", "members.0.files.0.path: .*no path below"),
        ('"case":"case_001"', '"case":"../case_001"', "members.0.case: .*no path below"),
        ('"case":"case_001"', '"case":"a/case_001"', "members.0.case: .*no case's name"),
        ('"folder":"toy"', '"folder":"../toy"', "sources.0.folder: .*no path below"),
    ],
)
def test_a_manifest_that_leads_elsewhere_is_refused(
    cohort: Cohort, tmp_path: Path, known: str, altered: str, words: str
) -> None:
    content = cohort.to_bytes()
    assert known.encode() in content
    (tmp_path / "a.json").write_bytes(content.replace(known.encode(), altered.encode()))
    with pytest.raises(CohortError, match=words):
        load_cohort(tmp_path / "a.json")


def test_the_shelf_finds_by_name_digest_and_file(
    cohort: Cohort, build: Callable[..., Cohort], tmp_path: Path
) -> None:
    shelf = CohortShelf(tmp_path / "cohorts")
    assert shelf.latest("toy") is None and shelf.history("toy") == ()
    path = shelf.put(cohort, "li")
    other = build(title="Toys again")
    shelf.put(other, "wang")
    assert path == tmp_path / "cohorts" / "toy" / f"{cohort.digest}.json"
    assert [b.built_by for b in shelf.history("toy")] == ["li", "wang"]
    assert shelf.load("toy") == other != cohort
    assert shelf.load(cohort.digest) == shelf.load(cohort.digest[:6]) == shelf.load(str(path)) == cohort
    shelf.put(cohort, "li")
    assert shelf.load("toy") == cohort and len(list(path.parent.glob("*.json"))) == 2


@pytest.mark.parametrize("reference", ["nothing", "0123456", "../toy", "abc", ""])
def test_what_is_not_there(tmp_path: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="known: none"):
        CohortShelf(tmp_path / "cohorts").load(reference)


def test_a_spoiled_history_is_named(cohort: Cohort, tmp_path: Path) -> None:
    shelf = CohortShelf(tmp_path)
    shelf.put(cohort, "li")
    (tmp_path / "toy" / "history.jsonl").write_text("{}\n")
    with pytest.raises(CohortError, match=r"history\.jsonl: can't be read"):
        shelf.latest("toy")
