"""The one fold table: frozen, by patient, and what the set of candidates says of itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from imaging.errors import CohortError, ConfigurationError
from training.lidc.annotations import FILE, Readers
from training.lidc.folds import SHIPPED, fold_of, fold_of_series, load_table, lung_folds
from training.lidc.tables import read_index


def test_known_patients_stand_where_they_always_did() -> None:
    lidc = {"0314": 0, "0001": 1, "0003": 1, "0050": 1, "0002": 4, "0332": 0}
    qin = {"0014": 2, "0028": 3, "0049": 4}
    assert {n: fold_of(f"LIDC-IDRI-{n}") for n in lidc} == lidc
    assert {n: fold_of(f"QIN-LSC-{n}") for n in qin} == qin
    assert Counter(lung_folds().patients.values()) == {0: 202, 1: 204, 2: 202, 3: 203, 4: 200}


def test_the_table_is_frozen() -> None:
    assert lung_folds().sha256 == "415d7138b6cb1cd4e4b78659dad2a652cb9ad445894467dbc18c50566e29ac5d"


def test_a_stranger_has_no_fold() -> None:
    with pytest.raises(CohortError, match=r"LIDC-IDRI-9999 stands in no fold; add the patient to lung.yaml"):
        fold_of("LIDC-IDRI-9999")


def test_a_series_goes_by_the_order_of_uids() -> None:
    table = lung_folds()
    for fold, cut in enumerate(table.cuts, 1):
        assert table.fold_of_series(cut) == fold
        assert table.fold_of_series(cut[:-1]) == fold - 1  # a prefix stands before
    assert all(fold_of_series(series) is None for series in table.left_out)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("0314 ", "0314 0001 "), "LIDC-IDRI-0001 stands in two folds"),
        (("  - 1.3.6.1.4.1.14519.5.2.1.6279.6001.1618", "  - 9.3.6.1.4.1.14519.5.2.1.6279.6001.1618"), "must ascend"),
        (('[null, null, "0014"', '[null, "0014"'), "QIN-LSC-: 4 folds, the cuts make 5"),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert change[0] in text
    (tmp_path / "lung.yaml").write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(CohortError, match=says):
        load_table(tmp_path / "lung.yaml")


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lung.yaml").write_text("cuts: []\nleftout: []\ncollections: []\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="left_out"):
        load_table(tmp_path / "lung.yaml")


@pytest.mark.data
def test_patients_follow_their_first_series(data_dir: Path) -> None:
    first: dict[str, int] = {}
    further = []
    table = lung_folds()
    for scan in Readers(data_dir / "lidc" / FILE).scans:  # by series
        fold = sum(scan.series >= cut for cut in table.cuts)
        if first.setdefault(scan.patient, fold) != fold:
            further.append(scan.series)
    assert len(first) == 1008
    assert {p: fold_of(p) for p in first} == first
    assert table.left_out == set(further)


@pytest.mark.data
def test_the_candidates_stand_in_the_same_folds(data_dir: Path) -> None:
    rows = read_index(data_dir / "lidc" / "luna16_patches" / "index.csv", ("seriesuid", "fold", "border"))
    known = [row for row in rows if row.values["seriesuid"] and row.values["border"] == "0"]
    table = lung_folds()
    other = [r for r in known if r.count("fold") != table.fold_of_series(r.text("seriesuid"))]
    # the two whose index names the patient's other scan, and one of a scan that is left out
    assert (len(known), {r.values["patient"] for r in other}, len(other)) == (1938, {"LIDC-IDRI-0332"}, 3)
