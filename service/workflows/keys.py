"""Identity is a digest: what makes two readings the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from imaging.pipeline import Refusal, Selection
from imaging.reading import ModelIdentity
from imaging.study import InstanceInfo, StudyInfo
from pipelines.released import AnyPipeline


def reading_key(images: str, pipeline: AnyPipeline, model: ModelIdentity, prior: str = "") -> str:
    """The key of a reading: sha256, hex.

    Parameters
    ----------
    images
        `images_digest` of what is read.
    pipeline
        Its name, version and resolved configuration are part of the key; backend, destinations and logging are not.
    model
        Which version reads, or which versions together; digest and precision of each are part of the key.
    prior
        `images_digest` of the earlier examination that is read with them, or that there is known to be none; empty
        where nobody knows.
    """
    first, *parts = ([one.name, one.version, one.sha256, one.precision] for one in model.each)
    identity: dict[str, Any] = {
        "images": images,
        "pipeline": pipeline.name,
        "version": pipeline.version,
        "model": first,
        "configuration": dict(pipeline.configuration),
    }
    identity |= ({"parts": parts} if parts else {}) | ({"prior": prior} if prior else {})
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def images_digest(instances: Iterable[InstanceInfo], refused: str = "") -> str:
    """sha256, hex, of a set of instances by their own digests, whatever their order.

    Parameters
    ----------
    refused
        The reason's kind, where they were refused: of two contents under one UID a study shows only one, so a refusal
        for that can cover the very instances that were read before the other content came.
    """
    digests = sorted({i.digest for i in instances})
    return hashlib.sha256("\n".join([*digests, refused] if refused else digests).encode()).hexdigest()


def image_instances(study: StudyInfo) -> list[InstanceInfo]:
    """The study's images that aren't ours."""
    return [i for s in study.series for i in s.instances if i.is_image and not i.ours]


def read_instances(study: StudyInfo, answer: Selection | Refusal) -> Sequence[InstanceInfo]:
    """What a reading's key covers: the selected series' instances; of a refusal, all images of the study."""
    if isinstance(answer, Selection):
        return [i for s in answer.series for i in s.instances]
    return image_instances(study)
