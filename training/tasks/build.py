"""From a model's description and a training file to the task."""

from __future__ import annotations

from models.spec import ModelSpec
from training.runs.configuration import TrainingConfiguration, configuration_of
from training.runs.folder import RunFolder
from training.tasks.detection import DetectionTask
from training.tasks.nodule_segmentation import NoduleSegmentationTask
from training.tasks.patches import PatchTask
from training.tasks.rating import RatingTask
from training.tasks.segmentation import SegmentationTask
from training.tasks.settings import (
    DetectionSettings,
    NoduleSegmentationSettings,
    PatchSettings,
    RatingSettings,
    SegmentationSettings,
)
from training.tasks.task import Task


def build_task(spec: ModelSpec, configuration: TrainingConfiguration) -> Task:
    """The task that ``configuration`` names, for this model; ConfigurationError when the two don't fit."""
    match configuration.task:
        case DetectionSettings() as settings:
            return DetectionTask(spec, settings)
        case NoduleSegmentationSettings() as settings:
            return NoduleSegmentationTask(spec, settings)
        case PatchSettings() as settings:
            return PatchTask(spec, settings)
        case RatingSettings() as settings:
            return RatingTask(spec, settings)
        case SegmentationSettings() as settings:
            return SegmentationTask(spec, settings)


def task_of(run: RunFolder) -> Task:
    """The task of a run that has begun."""
    record = run.record
    return build_task(record.spec, configuration_of(record))
