"""Training files. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from imaging.errors import ConfigurationError
from training.runs.configuration import Optimiser, configuration_of, load_configuration
from training.runs.record import RunRecord

SHIPPED = "configs/training/hippocampus_segmenter.yaml"


def test_the_shipped_file_is_valid_and_the_command_line_changes_it(repo_root: Path) -> None:
    found = load_configuration(repo_root / SHIPPED, {})
    assert found.cohort == "hippocampus"
    assert load_configuration(repo_root / SHIPPED, {"seed": 7}) == found.model_copy(update={"seed": 7})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epoch": 3}, "epoch: unknown key; did you mean 'epochs'?"),
        ({"epochs": 0}, "epochs: Input should be greater than or equal to 1"),
        ({"optimiser": {"learning_rate": 0}}, "optimiser.learning_rate"),
        ({"optimiser": {"learning_rate": 1, "schedule": "cosine"}}, "optimiser.schedule: unknown key"),
        ({"task": {"kind": "segmentation", "augmentation": {"mirror": ["LR"]}}}, "task.augmentation.mirror.0"),
        ({"task": {"kind": "segmentation", "augmentation": {"spatial_share": 2}}}, "augmentation.spatial_share"),
        ({"task": {"kind": "detection"}}, "task: Input tag"),
    ],
)
def test_a_mistake_is_told_by_file_and_key(
    repo_root: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    values = yaml.safe_load((repo_root / SHIPPED).read_text(encoding="utf-8"))
    path = tmp_path / "hippocampus_segmenter.yaml"
    path.write_text(yaml.safe_dump(values | change))
    with pytest.raises(ConfigurationError) as error:
        load_configuration(path, {})
    assert str(error.value).startswith(f"{path}: ") and words in str(error.value)
    assert "\n" not in str(error.value)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    optimiser = Optimiser(learning_rate=0.1, warm_up=0.1)
    rates = [optimiser.rate(n / 100) for n in range(101)]
    assert rates[0] == 0 and rates[100] == pytest.approx(0) and max(rates) == rates[10] == pytest.approx(0.1)
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert Optimiser(learning_rate=0.1).rate(0) == pytest.approx(0.1)


def test_a_run_of_another_revision_says_so(repo_root: Path) -> None:
    values = load_configuration(repo_root / SHIPPED, {}).model_dump(mode="json")
    old = RunRecord.model_construct(run="toy-1", revision="0" * 40, configuration={**values, "colour": "blue"})
    with pytest.raises(ConfigurationError, match=r"was begun by revision .* doesn't take its colour: go on with"):
        configuration_of(old)
