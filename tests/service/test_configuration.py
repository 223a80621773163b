"""A mistake in the configuration is one line that says where, what, and what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imaging.errors import ConfigurationError
from service import configuration
from service.configuration import load

PACS = "destinations:\n  - {name: pacs, ae_title: PACS, host: h, port: 104"

MISTAKES: dict[str, tuple[str, list[str]]] = {
    "unknown key": ("nodes: {}", ["nodes: unknown key; did you mean 'node'?"]),
    "unknown nested key": ("node: {prot: 104}", ["node.prot: unknown key; did you mean 'port'?"]),
    "unknown key in a list": (
        "sources:\n  - {ae_title: CT, quiet_secs: 5}",
        ["sources.0.quiet_secs: unknown key; did you mean 'quiet_seconds'?"],
    ),
    "unknown key of a switch": (
        PACS + ", pipelines: {lung_nodule: {mod: hold}}}",
        ["destinations.0.pipelines.lung_nodule.mod: unknown key; did you mean 'mode'?"],
    ),
    "unknown key like none": (
        "api: {certificate: x}",
        ["api.certificate: unknown key; known: host, port"],
    ),
    "wrong type": (
        "node: {port: many}",
        ["node.port: Input should be a valid integer, unable to parse string as an integer"],
    ),
    "port out of range": ("node: {port: 70000}", ["node.port: Input should be less than or equal to 65535"]),
    "a list where a mapping is meant": (
        "node: [1]",
        ["node: Input should be a valid dictionary or instance of NodeSettings"],
    ),
    "missing key": (
        "destinations:\n  - {name: pacs, ae_title: PACS, host: h}",
        ["destinations.0.port: Field required"],
    ),
    "duplicate destination": (
        PACS + "}\n  - {name: pacs, ae_title: B, host: h, port: 104}",
        ["(whole file): two destinations have the same name"],
    ),
    "duplicate source": (
        "sources: [{ae_title: CT}, {ae_title: CT}]",
        ["(whole file): two sources have the same AE title"],
    ),
    "deliver without responsible": (
        PACS + ", pipelines: {lung_nodule: {mode: deliver}}}",
        ["destinations.0.pipelines.lung_nodule: mode deliver needs 'responsible' (who decided) and 'since' (a date)"],
    ),
    "destination of an unknown pipeline": (
        PACS + ", pipelines: {lung: {mode: hold}}}",
        ["(whole file): destination pacs names pipeline 'lung'; known: lung_nodule"],
    ),
    "bad AE title": (
        "node: {ae_title: A_TITLE_OF_MORE_THAN_16}",
        ["node.ae_title: an AE title has 1 to 16 printable ASCII characters and no backslash (PS3.5 6.2)"],
    ),
    "AE title with a backslash": (
        "sources: [{ae_title: 'A\\B'}]",
        ["sources.0.ae_title: an AE title has 1 to 16 printable ASCII characters and no backslash (PS3.5 6.2)"],
    ),
    "bad network": (
        "node: {peers: [{ae_title: CT, addresses: [10.1.2.0/33]}]}",
        ["node.peers.0.addresses: '10.1.2.0/33' is no IP address or network such as 10.1.2.0/24"],
    ),
    "network with host bits": (
        "node: {peers: [{ae_title: CT, addresses: [10.1.2.3/24]}]}",
        ["node.peers.0.addresses: '10.1.2.3/24' is no IP address or network such as 10.1.2.0/24"],
    ),
    "half a source": ("sources: [{ae_title: CT, host: h}]", ["sources.0: host and port go together"]),
    "bad time zone": ("time_zone: Mars", ["time_zone: 'Mars' is no IANA time zone such as Asia/Shanghai"]),
    "a module that pipelines share": (
        "pipelines: [selection]",
        ["pipelines: there is no pipeline 'selection'; known: hippocampus, lung_nodule"],
    ),
    "a slot that is no worker's": (
        "worker: {slot: node}",
        ["worker.slot: String should match pattern '^worker-[a-z0-9_-]{1,33}$'"],
    ),
    "unknown pipeline": (
        "pipelines: [lungs]",
        ["pipelines: there is no pipeline 'lungs'; known: hippocampus, lung_nodule"],
    ),
    "two mistakes": (
        "node: {port: 70000}\ntime_zone: Mars",
        [
            "node.port: Input should be less than or equal to 65535",
            "time_zone: 'Mars' is no IANA time zone such as Asia/Shanghai",
        ],
    ),
    "a pipeline that is a path": (
        "pipelines: [../lungs]",
        ["pipelines.0: String should match pattern '^[a-z][a-z0-9_-]{0,39}$'"],
    ),
    "no mapping": ("- a", ["a mapping of settings was expected, not list"]),
    "bad YAML": ("node: {port: 1", ["line 1: is no YAML: "]),
    "a tab": ("node:\n\tport: 1", ["line 2: is no YAML: "]),
    "a key twice": ("node: {port: 1}\nnode: {port: 2}", ["line 2: is no YAML: the key 'node' stands twice"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake: str, tmp_path: Path) -> None:
    text, wanted = MISTAKES[mistake]
    (tmp_path / "raysight.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path)
    lines = str(error.value).splitlines()
    assert len(lines) == len(wanted)
    for line, words in zip(lines, wanted, strict=True):
        named = line.removeprefix(f"{tmp_path / 'raysight.yaml'}: ")
        assert named == words or (words.endswith(": ") and named.startswith(words) and len(named) > len(words))
    if not wanted[0].startswith("pipelines: "):  # that one names the key only: any file may be meant
        assert all(line.startswith(str(tmp_path / "raysight.yaml")) for line in lines)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match="no such configuration folder; give --config or set RAYSIGHT_CONFIG"
    ):
        load(tmp_path / "none")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"raysight\.yaml: no such file"):
        load(tmp_path)


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "raysight.yaml").write_bytes("time_zone: 上海".encode("gb18030"))
    with pytest.raises(ConfigurationError, match="is no YAML"):
        load(tmp_path)


def test_a_pipeline_file_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "raysight.yaml").write_text("{}")
    (tmp_path / "pipelines").mkdir()
    path = tmp_path / "pipelines" / "lung_nodule.yaml"
    shipped = (configuration.SHIPPED / "pipelines" / "lung_nodule.yaml").read_text(encoding="utf-8")
    path.write_text(f"{shipped}\nnonsense: 1\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path)
    assert str(error.value).splitlines() == [f"{path}: nonsense: unknown key"]


def test_the_shipped_configuration_admits_this_machine_only_and_delivers_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAYSIGHT_CONFIG", raising=False)
    monkeypatch.setenv("RAYSIGHT_HOME", str(tmp_path))
    found = load()
    assert found.folder == configuration.SHIPPED and found.home.root == tmp_path
    assert {a for peer in found.settings.node.peers for a in peer.addresses} == {"127.0.0.0/8", "::1"}
    assert found.settings.node.host == found.settings.api.host == "127.0.0.1"
    assert found.settings.destinations == () and list(found.pipelines) == ["lung_nodule"]


def test_the_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "raysight.yaml").write_text("node: {ae_title: ELSEWHERE}")
    monkeypatch.setenv("RAYSIGHT_CONFIG", str(tmp_path))
    settings: Any = load().settings
    assert settings.node.ae_title == "ELSEWHERE"
