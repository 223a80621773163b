"""Who may talk to us, whom we talk to, and how much of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

ANY_AE_TITLE = "*"
"""As a peer's AE title: whatever it calls itself, if it comes from the peer's addresses."""


@dataclass(frozen=True)
class Peer:
    """An application entity that may open associations to the node.

    Parameters
    ----------
    ae_title
        Its calling AE title, without padding, or `ANY_AE_TITLE`.
    addresses
        IP addresses or networks in CIDR notation, IPv4 or IPv6, that it may come from. ValueError when one isn't.
    """

    ae_title: str
    addresses: tuple[str, ...]

    def __post_init__(self) -> None:
        check_ae_title(self.ae_title)
        for address in self.addresses:
            ipaddress.ip_network(address, strict=False)

    def admits(self, address: str) -> bool:
        """Whether it may come from this IP address."""
        host = _plain(address)
        return any(host in ipaddress.ip_network(network, strict=False) for network in self.addresses)


def admit(peers: Iterable[Peer], ae_title: str, address: str) -> bool:
    """Whether a caller with this AE title may come from this IP address: both must be one peer's."""
    titles = (ANY_AE_TITLE, ae_title.strip())
    return any(peer.ae_title in titles and peer.admits(address) for peer in peers)


@dataclass(frozen=True)
class RemoteAE:
    """An application entity that the node opens associations to.

    Parameters
    ----------
    ae_title
        Its (called) AE title.
    host, port
        Where it listens.
    connect_seconds
        Longest wait for the connection and for its answer to the association request.
    answer_seconds
        Longest wait for one DIMSE response.
    """

    ae_title: str
    host: str
    port: int
    connect_seconds: float = 10.0
    answer_seconds: float = 60.0

    def __post_init__(self) -> None:
        check_ae_title(self.ae_title)
        if not 0 < self.port < 65536:
            raise ValueError(f"a port is 1 to 65535, not {self.port}")

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


@dataclass(frozen=True)
class Limits:
    """Bounds of the storage SCP.

    Parameters
    ----------
    associations
        Most that may be open at once; one more is rejected (2,3,2).
    pdu
        Maximum PDU length announced, bytes.
    instance_bytes
        Largest dataset taken.
    idle_seconds
        A silent association is aborted after this.
    free_bytes
        With less disk than this free, instances are refused with A700.
    """

    associations: int = 16
    pdu: int = 131072
    instance_bytes: int = 2 << 30
    idle_seconds: float = 60.0
    free_bytes: int = 1 << 30


def check_ae_title(title: str) -> str:
    """Return ``title`` if it is an AE title (PS3.5 section 6.2): 1 to 16 printable ASCII characters, no backslash."""
    if (
        not 1 <= len(title) <= 16
        or title != title.strip()
        or not title.isascii()
        or not title.isprintable()
        or "\\" in title
    ):
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash (PS3.5 6.2)")
    return title


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address; an IPv4 one that came in over an IPv6 socket as IPv4."""
    host = ipaddress.ip_address(address.partition("%")[0])
    mapped = host.ipv4_mapped if isinstance(host, ipaddress.IPv6Address) else None
    return mapped or host
