"""The archive that earlier examinations are fetched from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from threading import BoundedSemaphore
from time import monotonic

from dicom_node.network.history import SeriesAnswer, StudyAnswer, series_of_study, studies_of_patient
from dicom_node.network.peers import RemoteAE
from dicom_node.network.retrieve import IMAGE_CLASSES, Wanted
from dicom_node.reader.identity import PatientIdentity
from imaging.errors import PeerError
from imaging.pipeline import Refusal
from imaging.reasons import ReasonKind
from imaging.study import InstanceInfo, SeriesInfo, StudyInfo
from service.node.retrieval import Service
from service.priors.choose import Wish
from service.priors.identity import contradicting
from service.settings import PriorSettings

TOGETHER = 2  # archives dislike many associations of one peer
Retrieve = Callable[[RemoteAE, Service, Wanted], int]
"""`service.node.receiver.Receiver.retrieve`."""

_SHOWN_BY_A_QUERY = {
    ReasonKind.WRONG_MODALITY,
    ReasonKind.LOCALIZER,
    ReasonKind.REFORMAT,
    ReasonKind.PROJECTION,
    ReasonKind.DUAL_ENERGY_MAP,
    ReasonKind.DOSE_PAGE,
    ReasonKind.DERIVED,
}
"""Reasons that a series' description gives; whatever else a pipeline objects to, the images may disprove."""


@dataclass(frozen=True)
class Fetched:
    """Series that were fetched, and how many instances of them all came."""

    series_instance_uids: tuple[str, ...]
    instances: int

    def all_in(self, kept: dict[str, int]) -> bool:
        """Whether they are all among the instances that are kept, by series."""
        return sum(kept.get(uid, 0) for uid in self.series_instance_uids) >= self.instances


@dataclass(frozen=True)
class PriorArchive:
    """What can be asked of it.

    Parameters
    ----------
    calling_ae
        Our AE title.
    """

    remote: RemoteAE
    calling_ae: str
    rules: PriorSettings
    retrieve: Retrieve
    _turns: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(TOGETHER))

    @classmethod
    def configured(cls, rules: PriorSettings, calling_ae: str, retrieve: Retrieve) -> PriorArchive | None:
        """As the settings name it; None when they name none."""
        if rules.ae_title is None or rules.host is None or rules.port is None:
            return None
        return cls(RemoteAE(rules.ae_title, rules.host, rules.port), calling_ae, rules, retrieve)

    def studies(self, patient: PatientIdentity, first: date, last: date, until: float) -> list[StudyAnswer]:
        """The patient's studies between two days, as far as the archive tells; PeerError when it can't be asked.

        Who it says that the patient is may not contradict us; the images themselves are looked at when they are here.
        """
        try:
            with self._turn(until):
                found = studies_of_patient(self._within(until), self.calling_ae, patient.patient_id, first, last)
        except ValueError as error:
            raise PeerError(str(error)) from error
        return [study for study in found if not _another(patient, study)]

    def fetch(
        self, study: StudyAnswer, wish: Wish, kept: Callable[[], dict[str, int]], until: float
    ) -> Fetched | None:
        """Fetch the series of a study that the pipeline may select; None when nothing of it is missing here.

        Parameters
        ----------
        kept
            How many instances of each series are here.

        Raises
        ------
        PeerError
            Why they did not all come.
        """
        with self._turn(until):
            return self._fetch(study, wish, kept(), until)

    def _fetch(self, study: StudyAnswer, wish: Wish, here: dict[str, int], until: float) -> Fetched | None:
        uid = study.study_instance_uid
        series = [
            one
            for one in series_of_study(self._within(until), self.calling_ae, uid)
            if _may_serve(one, study, wish)
            and (one.instances is None or here.get(one.series_instance_uid, 0) < one.instances)
        ]
        if not series:
            return None
        chosen = self._affordable(series)
        wanted = Wanted(
            study_instance_uid=uid,
            series_instance_uids=tuple(one.series_instance_uid for one in chosen),
            modality=wish.modality,
            images=self.rules.images,
            size=self.rules.megabytes * 1024 * 1024,
            seconds=_left(until),
        )
        came = self.retrieve(self.remote, self.rules.retrieve, wanted)
        if not came:
            raise PeerError(f"{self.remote} sent none of its images")
        return Fetched(wanted.series_instance_uids, came)

    @contextmanager
    def _turn(self, until: float) -> Iterator[None]:
        """One of the few associations that are open at once."""
        if not self._turns.acquire(timeout=_left(until)):
            raise PeerError(f"{self.remote} was busy with other earlier examinations")
        try:
            yield
        finally:
            self._turns.release()

    def _within(self, until: float) -> RemoteAE:
        left = _left(until)
        return RemoteAE(self.remote.ae_title, self.remote.host, self.remote.port, min(10.0, left), left)

    def _affordable(self, series: Sequence[SeriesAnswer]) -> list[SeriesAnswer]:
        """As many as may be fetched, those of most images first: the thinnest slices."""
        chosen, images = list[SeriesAnswer](), 0
        for one in sorted(series, key=lambda s: (-(s.instances or 0), s.series_instance_uid)):
            if images + (one.instances or 0) <= self.rules.images:
                chosen.append(one)
                images += one.instances or 0
        if not chosen:
            least = min(one.instances or 0 for one in series)
            raise PeerError(f"its series have {least} images or more, and at most {self.rules.images} are fetched")
        return chosen


def _another(patient: PatientIdentity, study: StudyAnswer) -> bool:
    """Whether the archive's words contradict ours; many archives leave the issuer out."""
    said = PatientIdentity(study.patient_id, study.issuer, study.birth_date, study.sex, study.name)
    issuers = {patient.issuer, study.issuer} - {""}
    return len(issuers) > 1 or bool(contradicting(patient, said))


def _may_serve(series: SeriesAnswer, study: StudyAnswer, wish: Wish) -> bool:
    """Whether the pipeline may select the series, as far as a query can tell."""
    if series.modality != wish.modality or series.modality not in IMAGE_CLASSES:
        return False
    answer = wish.pipeline.select(_as_far_as_known(series, study))
    return not (isinstance(answer, Refusal) and answer.reason.kind in _SHOWN_BY_A_QUERY)


def _as_far_as_known(series: SeriesAnswer, study: StudyAnswer) -> StudyInfo:
    """A study of this one series, its images without places."""
    image = InstanceInfo(
        study_instance_uid=study.study_instance_uid,
        series_instance_uid=series.series_instance_uid,
        sop_instance_uid="",
        sop_class_uid=IMAGE_CLASSES[series.modality][0],
        transfer_syntax_uid="",
        digest="",
        blob="",
        is_image=True,
        ours=False,
        modality=series.modality,
    )
    info = SeriesInfo(
        series_instance_uid=series.series_instance_uid,
        modality=series.modality,
        instances=(image,) * max(1, series.instances or 1),
        series_number=series.number,
        description=series.description,
        protocol=series.protocol,
        body_part=series.body_part,
    )
    return StudyInfo(study.study_instance_uid, (info,), study.description)


def _left(until: float) -> float:
    """Seconds until then; PeerError when it is past."""
    left = until - monotonic()
    if left <= 0:
        raise PeerError("there was no time left")
    return left
