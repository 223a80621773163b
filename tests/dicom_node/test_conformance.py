"""docs/conformance.md says what the code does, where that can be held by a test."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dicom_node.objects.order import Role
from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.spool import incoming


@pytest.fixture(scope="module")
def page(repo_root: Path) -> str:
    return (repo_root / "docs" / "conformance.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generator(repo_root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformance_tables", repo_root / "docs" / "conformance_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_tables_are_the_codes(page: str, generator: ModuleType) -> None:
    assert generator.rendered(page) == page, "run: python docs/conformance_tables.py"


def test_a_table_without_a_place_is_noticed(page: str, generator: ModuleType) -> None:
    with pytest.raises(ValueError, match="coded-terms"):
        generator.rendered(page.replace("<!-- coded-terms begin -->", ""))


def test_what_identifies_the_implementation_is_named(page: str) -> None:
    assert f"| Implementation Class UID | {IMPLEMENTATION_CLASS_UID} |" in page
    assert f"| Implementation Version Name | {IMPLEMENTATION_VERSION_NAME} |" in page


@pytest.mark.parametrize("status", [incoming.OUT_OF_RESOURCES, incoming.CLASS_MISMATCH, incoming.CANNOT_UNDERSTAND])
def test_every_status_of_the_storage_scp_is_listed(page: str, status: int) -> None:
    assert f"\n| {status:04X} |" in page


@pytest.mark.parametrize("role", list(Role))
def test_every_series_of_results_is_listed(page: str, role: Role) -> None:
    assert f"{role.upper() if role is not Role.PICTURE else role} {role.series_number}" in page
