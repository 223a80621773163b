"""The gate's file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from imaging.errors import ConfigurationError
from tests.training.gate.house import RULES
from training.gate.rules import load_rules


def test_the_shipped_gates_are_valid(repo_root: Path) -> None:
    paths = sorted((repo_root / "configs" / "gates").glob("*.yaml"))
    assert [p.stem for p in paths if (repo_root / "models" / p.stem / "spec.yaml").is_file()] == [
        p.stem for p in paths
    ]
    for path in paths:
        rules = load_rules(path)
        assert (repo_root / "configs" / "cohorts" / f"{rules.cohort}.yaml").is_file()
        assert rules.alpha <= 0.025


MISTAKES = {
    "floor without a limit": ({"floors": {"dice": {"by": "mean"}}}, "floors.dice: give one of least and most"),
    "no margin": ({"primary": {"name": "dice", "improve": "better", "margin": 0}}, "primary.margin: "),
    "a slip of the pen": ({"latency_ratio_mx": 2}, "did you mean 'latency_ratio_max'?"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told(mistake: str, tmp_path: Path) -> None:
    changes, words = MISTAKES[mistake]
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(RULES | changes))
    with pytest.raises(ConfigurationError) as caught:
        load_rules(path)
    assert words in str(caught.value)
