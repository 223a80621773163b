"""Growth is called where the measurement error leaves it standing, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from imaging.errors import UsageError
from imaging.study import SeriesInfo
from pipelines.lung_nodule.followup.change import Course, follow, kernel_class
from pipelines.lung_nodule.guidelines.facts import Change
from pipelines.lung_nodule.guidelines.growth import Measured
from pipelines.rules import SelectionRules

BEFORE = Measured(8.0, 8.0, 8.0, 270.0, 27.0, 1.0, "medium")


def grown(volume: float, mean: float = 8.0, error: float = 0.1) -> Measured:
    return replace(
        BEFORE, volume_mm3=volume, volume_error_mm3=error * volume, mean_any_plane_mm=mean, mean_largest_image_mm=mean
    )


class TestWithinTheError:
    @pytest.mark.parametrize("volume", [240.0, 270.0, 305.0])
    def test_no_change_is_called(self, volume: float) -> None:
        followed = follow(BEFORE, grown(volume), 180)
        assert followed.course is Course.STABLE
        assert followed.doubling is None
        assert followed.comparison.bts is Change.STABLE

    def test_over_25_percent_but_uncertain_is_no_growth_and_has_no_doubling_time(self) -> None:
        followed = follow(replace(BEFORE, volume_error_mm3=81.0), grown(351.0, error=0.3), 180)
        assert followed.change.percent == pytest.approx(30)
        assert followed.course is Course.STABLE
        assert followed.doubling is None
        assert followed.comparison.bts is Change.STABLE
        assert followed.comparison.doubling_time_days is None

    def test_a_guidelines_own_diameter_rule_is_left_to_it(self) -> None:
        followed = follow(replace(BEFORE, volume_error_mm3=81.0), grown(351.0, mean=9.7, error=0.3), 180)
        assert followed.comparison.lung_rads is Change.GROWING


class TestBeyondTheError:
    def test_doubled_in_180_days(self) -> None:
        followed = follow(BEFORE, grown(540.0, mean=10.1), 180)
        assert followed.course is Course.GROWN
        assert followed.doubling.days == pytest.approx(180)
        assert followed.doubling.lower < 180 < followed.doubling.upper
        assert followed.comparison.doubling_time_days == pytest.approx(180)
        assert followed.comparison.bts is Change.GROWING

    def test_a_sure_growth_under_25_percent_has_no_doubling_time(self) -> None:
        followed = follow(replace(BEFORE, volume_error_mm3=8.0), grown(320.0, error=0.03), 180)
        assert followed.course is Course.GROWN
        assert followed.doubling is None
        assert followed.comparison.bts is Change.STABLE

    def test_shrunk(self) -> None:
        followed = follow(BEFORE, grown(135.0, mean=6.4), 180)
        assert followed.course is Course.SHRUNK
        assert followed.doubling is None


class TestNotComparable:
    @pytest.mark.parametrize(
        ("now", "why"),
        [
            (replace(grown(900.0), thickness_mm=2.5), "slices of 1 and 2.5 mm"),
            (
                replace(grown(900.0), kernel_class="lung or sharp"),
                "kernels of the classes medium and lung or sharp",
            ),
            (replace(grown(900.0), kernel_class=None), "the kernel isn't known of both CTs"),
            (replace(grown(900.0), mean_any_plane_mm=2.9), "below the measurement limit of 3 mm"),
            (replace(grown(900.0), volume_error_mm3=None), "a volume or its error is missing"),
        ],
    )
    def test_never_a_doubling_time(self, now: Measured, why: str) -> None:
        followed = follow(BEFORE, now, 180)
        assert followed.course is Course.NOT_COMPARABLE
        assert followed.change is None
        assert followed.doubling is None
        assert followed.comparison.doubling_time_days is None
        assert followed.why == why

    def test_the_same_day(self) -> None:
        with pytest.raises(UsageError, match="check their dates"):
            follow(BEFORE, BEFORE, 0)


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [("STANDARD", "medium"), ("B41f", "medium"), ("B70f", "lung or sharp"), ("D", "lung or sharp"), ("", None)],
)
def test_kernel_class(kernel: str, expected: str | None, repo_root: Path) -> None:
    text = (repo_root / "configs" / "pipelines" / "lung_nodule.yaml").read_text(encoding="utf-8")
    rules = SelectionRules.model_validate(yaml.safe_load(text)["selection"])
    assert kernel_class(SeriesInfo("1.2", "CT", (), kernel=kernel), rules) == expected
