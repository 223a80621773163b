"""What hospital IT configures: the models of `configs/raysight.yaml`.

Loading, with its one-line errors, stands in `service.configuration`.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from dicom_node.network.peers import ANY_AE_TITLE, check_ae_title
from dicom_node.objects.profile import CharacterSet, Language, SRClass


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _ae_title(value: Any) -> str:
    return check_ae_title(str(value).strip())


AETitle = Annotated[str, BeforeValidator(_ae_title)]
Port = Annotated[int, Field(ge=1, le=65535)]
ListenPort = Annotated[int, Field(ge=0, le=65535, description="0 takes any free port")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class PeerSettings(_Model):
    """A peer that may open associations to us."""

    ae_title: AETitle
    addresses: tuple[str, ...] = Field(min_length=1, description="IP addresses or networks (CIDR)")

    @field_validator("addresses")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            _network(text)
        return value


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address or network such as 10.1.2.0/24") from None


class NodeLimits(_Model):
    """Bounds on what peers may use."""

    associations: int = Field(20, ge=1, le=200, description="open at once")
    pdu_bytes: int = Field(131072, ge=4096, le=1 << 20, description="largest PDU we accept")
    instance_mb: int = Field(2048, ge=1, description="largest instance")
    idle_seconds: float = Field(60, gt=0, description="silence after which an association is aborted")
    free_mb: int = Field(2048, ge=0, description="below this free space C-STORE is answered A700")


class NodeSettings(_Model):
    """Our own application entity."""

    ae_title: AETitle = "RAYSIGHT"
    host: str = Field("127.0.0.1", description="address to listen on")
    port: ListenPort = 11112
    peers: tuple[PeerSettings, ...] = (PeerSettings(ae_title=ANY_AE_TITLE, addresses=("127.0.0.0/8", "::1")),)
    limits: NodeLimits = NodeLimits()


class SourceSettings(_Model):
    """A peer that sends us studies, and how to ask it what it has."""

    ae_title: AETitle
    host: str | None = Field(None, description="where it answers C-FIND; none: it can't be asked")
    port: Port | None = None
    quiet_seconds: float | None = Field(None, gt=0, description="instead of completeness.quiet_seconds")

    @model_validator(mode="after")
    def _both(self) -> SourceSettings:
        if (self.host is None) != (self.port is None):
            raise ValueError("host and port go together")
        return self


class CompletenessSettings(_Model):
    """When a study counts as complete (docs/operations.md)."""

    quiet_seconds: float = Field(60, gt=0, description="quiet: nothing came for so long")
    count_interval_seconds: float = Field(5, gt=0, description="between the two equal counts")
    give_up_hours: float = Field(6, gt=0, description="how long a source that has more than came is waited for")


class Mode(StrEnum):
    """Whether a pipeline's results go to a destination."""

    HOLD = "hold"
    DELIVER = "deliver"


class SwitchSettings(_Model):
    """A pipeline's switch at one destination: who is responsible for it, and since when."""

    mode: Mode = Mode.HOLD
    responsible: str = Field("", max_length=200)
    since: date | None = None

    @model_validator(mode="after")
    def _someone(self) -> SwitchSettings:
        if self.mode is Mode.DELIVER and not (self.responsible.strip() and self.since):
            raise ValueError("mode deliver needs 'responsible' (who decided) and 'since' (a date)")
        if self.since is not None and self.since > date.today() + timedelta(days=1):
            raise ValueError("'since' lies in the future; nothing waits for it: use mode hold until then")
        return self


class DestinationSettings(_Model):
    """An archive that results go to."""

    name: Name
    ae_title: AETitle
    host: str
    port: Port
    sr_class: SRClass = SRClass.COMPREHENSIVE
    character_set: CharacterSet = CharacterSet.UTF8
    language: Language = Language.EN
    commitment: bool = Field(True, description="ask for storage commitment before falling back to C-FIND")
    commitment_wait_seconds: float = Field(300, gt=0, description="then C-FIND is asked instead")
    query: bool = Field(True, description="it answers C-FIND: identity check and confirmation")
    timeout_seconds: float = Field(30, gt=0)
    pipelines: dict[str, SwitchSettings] = Field(default_factory=dict)


class PriorSettings(_Model):
    """Where earlier examinations are fetched that a pipeline wants and that aren't here."""

    ae_title: AETitle | None = Field(None, description="the archive that is asked; none: only what was received")
    host: str | None = None
    port: Port | None = None
    retrieve: Literal["get", "move"] = Field("get", description="move: it must know where our AE title listens")
    timeout_seconds: float = Field(120, gt=0, le=3600, description="then the study is read without")
    studies: int = Field(3, ge=1, le=20, description="at most so many are fetched for one reading")
    images: int = Field(2000, ge=1, description="at most so many of one study")
    megabytes: int = Field(2048, ge=1, description="at most so many of one study")

    @model_validator(mode="after")
    def _all(self) -> PriorSettings:
        if len({value is None for value in (self.ae_title, self.host, self.port)}) > 1:
            raise ValueError("ae_title, host and port go together")
        return self


class RetentionSettings(_Model):
    """When images are released from the spool. Digests, results and the log stay."""

    days: float = Field(14, ge=0, description="after the last delivery was confirmed")
    watermark_mb: int = Field(20_480, ge=0, description="below this free space the oldest final ones go earlier")


class ApiSettings(_Model):
    """REST, health and metrics."""

    host: str = "127.0.0.1"
    port: ListenPort = 8077


class WorkerSettings(_Model):
    """Who reads."""

    slot: str = Field(
        "worker-0",
        pattern=r"^worker-[a-z0-9_-]{1,33}$",
        description="fixed name: whoever takes the slot resumes its work",
    )
    max_starts: int = Field(3, ge=1, description="a study that kills its worker so often has failed")
    poll_seconds: float = Field(0.2, gt=0, le=60)


class EngineSettings(_Model):
    """How models are run (`inference.session.EngineOptions`); no part of a reading's key."""

    provider: Literal["cpu", "cuda", "openvino"] = Field(
        "cpu", description="cuda needs the extra gpu and a GPU; openvino, on the CPU, the extra of that name"
    )
    threads: int = Field(0, ge=0, le=256, description="within one operator; 0: one per physical core")
    spinning: bool = Field(False, description="threads wait busily, at the cost of whoever shares the cores")
    device: int = Field(0, ge=0, description="number of the GPU")
    sessions_kept: int = Field(4, ge=1, le=64, description="loaded versions that stay in memory")


class DeviceSettings(_Model):
    """How our device is named in results."""

    station_name: str = Field("RAYSIGHT", max_length=16)
    serial_number: str = Field("1", max_length=64)
    location: str = Field("", max_length=64)


class Settings(_Model):
    """The whole of `configs/raysight.yaml`."""

    node: NodeSettings = NodeSettings()
    sources: tuple[SourceSettings, ...] = ()
    completeness: CompletenessSettings = CompletenessSettings()
    destinations: tuple[DestinationSettings, ...] = ()
    priors: PriorSettings = PriorSettings()
    pipelines: tuple[Name, ...] = Field(("lung_nodule",), description="each has configs/pipelines/<name>.yaml")
    retention: RetentionSettings = RetentionSettings()
    worker: WorkerSettings = WorkerSettings()
    engine: EngineSettings = EngineSettings()
    api: ApiSettings = ApiSettings()
    device: DeviceSettings = DeviceSettings()
    time_zone: str = Field("UTC", description="the hospital's zone (IANA name)")

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"{value!r} is no IANA time zone such as Asia/Shanghai") from None
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        names = [d.name for d in self.destinations]
        if len(set(names)) != len(names):
            raise ValueError("two destinations have the same name")
        sources = [s.ae_title for s in self.sources]
        if len(set(sources)) != len(sources):
            raise ValueError("two sources have the same AE title")
        for destination in self.destinations:
            for pipeline in destination.pipelines:
                if pipeline not in self.pipelines:
                    known = ", ".join(self.pipelines)
                    raise ValueError(f"destination {destination.name} names pipeline {pipeline!r}; known: {known}")
        return self

    def source(self, ae_title: str) -> SourceSettings | None:
        """The source with this AE title."""
        return next((s for s in self.sources if s.ae_title == ae_title), None)

    def destination(self, name: str) -> DestinationSettings | None:
        """The destination of this name."""
        return next((d for d in self.destinations if d.name == name), None)
