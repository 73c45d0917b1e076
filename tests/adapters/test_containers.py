"""What the Docker runtime asks of an engine and reads from it; on a real one, see test_containers_engine."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enova.adapters.containers import DockerRuntime
from enova.adapters.containers.body import body
from enova.adapters.containers.failures import hint_for
from enova.adapters.containers.images import _split
from enova.adapters.containers.labels import instance_of, labels, look_at
from enova.adapters.containers.lines import lines
from enova.core.fingerprint import instance_name
from enova.core.launch import Kind, Launch, Mount, Role
from enova.core.observed import Health, State
from enova.errors import ApplyError, ObserveError

GATEWAY_IMAGE = "enova/gateway:0.1.17"


def replica(**changes: Any) -> Launch:
    plain = Launch(
        service="chat",
        role=Role.REPLICA,
        runtime="docker",
        kind=Kind.VLLM,
        image="vllm/vllm-openai:v0.32.0",
        model="Qwen/Qwen3-8B",
        args={"max_num_seqs": 8, "enable_prefix_caching": True, "port": 9},
    )
    return replace(plain, **changes)


def gateway(**changes: Any) -> Launch:
    plain = Launch(
        service="chat",
        role=Role.GATEWAY,
        runtime="docker",
        kind=Kind.ROUTER,
        host="0.0.0.0",
        port=9199,
        args={"policy": "round_robin"},
    )
    return replace(plain, **changes)


def asked(launch: Launch, secrets: dict[str, str] | None = None) -> dict[str, Any]:
    return body(launch, launch.image or GATEWAY_IMAGE, secrets or {}, "enova")


def listed(launch: Launch, **changes: Any) -> dict[str, Any]:
    item = {
        "Id": "abc",
        "Names": [f"/{instance_name(launch)}"],
        "Image": "image",
        "Created": 1_700_000_000,
        "Labels": labels(launch, port=8000, metrics_port=None),
        "State": "running",
        "Status": "Up 3 minutes (healthy)",
        "Ports": [{"IP": "127.0.0.1", "PrivatePort": 8000, "PublicPort": 32768, "Type": "tcp"}],
    }
    return item | changes


# What is asked of the engine


def test_the_command_follows_the_entrypoint_of_the_image() -> None:
    assert asked(replica())["Cmd"] == [
        "Qwen/Qwen3-8B", "--host", "0.0.0.0", "--port", "8000", "--enable-prefix-caching", "--max-num-seqs", "8",
    ]  # fmt: skip


def test_a_replica_is_published_on_loopback_only() -> None:
    assert asked(replica())["HostConfig"]["PortBindings"] == {
        "8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]
    }


def test_a_gateway_is_published_where_the_spec_says_and_its_metrics_on_loopback() -> None:
    assert asked(gateway(metrics_port=9200))["HostConfig"]["PortBindings"] == {
        "9199/tcp": [{"HostIp": "0.0.0.0", "HostPort": "9199"}],
        "29000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9200"}],
    }


def test_a_name_is_refused_where_docker_would_publish_to_everyone() -> None:
    with pytest.raises(ApplyError, match="my-host"):
        asked(gateway(host="my-host"))
    with pytest.raises(ApplyError, match=r"256\.1\.1\.1"):
        asked(gateway(host="256.1.1.1"))
    bindings = asked(gateway(host="localhost"))["HostConfig"]["PortBindings"]
    assert bindings["9199/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "9199"}]


def test_a_container_gets_no_privilege_and_no_capability() -> None:
    host = asked(replica())["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"], host["SecurityOpt"]) == (["ALL"], [], ["no-new-privileges"])
    assert not {"Privileged", "IpcMode", "PidMode", "UsernsMode"} & set(host)


def test_only_a_writable_host_folder_adds_a_capability() -> None:
    def added(*mounts: Mount) -> list[str]:
        capabilities: list[str] = asked(replica(mounts=mounts))["HostConfig"]["CapAdd"]
        return capabilities

    assert added(Mount("/models", "/models"), Mount("cache", "/cache", read_only=False)) == []
    assert added(Mount("/home/me/.cache", "/cache", read_only=False)) == ["DAC_OVERRIDE"]


def test_gpus_are_asked_for_by_id() -> None:
    assert asked(replica(devices=("GPU-a", "GPU-b"), gpus=2))["HostConfig"]["DeviceRequests"] == [
        {"DeviceIDs": ["GPU-a", "GPU-b"], "Capabilities": [["gpu"]]}
    ]
    assert asked(replica())["HostConfig"]["DeviceRequests"] == []


def test_a_secret_is_in_the_environment_and_nowhere_else() -> None:
    wanted = asked(replica(env={"A": "1"}), {"TOKEN": "hunter2"})
    assert wanted.pop("Env") == ["A=1", "TOKEN=hunter2"]
    assert "hunter2" not in repr(wanted)


def test_docker_waits_longer_than_the_engine_drains() -> None:
    assert asked(replica())["StopTimeout"] == 10
    assert asked(replica(args={"shutdown_timeout": 30}))["StopTimeout"] == 40


# What is read from its list


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        ("created", "Created", (State.CREATED, Health.UNKNOWN, None)),
        ("running", "Up 2 seconds (health: starting)", (State.RUNNING, Health.STARTING, None)),
        ("running", "Up 3 hours (healthy)", (State.RUNNING, Health.HEALTHY, None)),
        ("running", "Up 3 hours (unhealthy)", (State.RUNNING, Health.UNHEALTHY, None)),
        ("running", "Up 3 hours", (State.RUNNING, Health.UNKNOWN, None)),
        ("paused", "Up 3 hours (Paused)", (State.RUNNING, Health.UNHEALTHY, None)),
        ("restarting", "Restarting (1) 5 seconds ago", (State.RUNNING, Health.UNHEALTHY, 1)),
        ("exited", "Exited (137) 3 minutes ago", (State.EXITED, Health.UNKNOWN, 137)),
        ("dead", "Dead", (State.EXITED, Health.UNKNOWN, None)),
        ("removing", "Removal In Progress", (State.EXITED, Health.UNKNOWN, None)),
    ],
)
def test_docker_words_become_state_health_and_exit_code(
    state: str, status: str, expected: tuple[State, Health, int | None]
) -> None:
    instance = instance_of(listed(replica(), State=state, Status=status))
    assert instance is not None
    assert (instance.state, instance.health, instance.exit_code) == expected
    assert instance.detail == status


def test_the_url_is_the_published_port_as_it_is_now() -> None:
    def url(*ports: tuple[str, int]) -> str | None:
        published = [{"IP": ip, "PrivatePort": 8000, "PublicPort": port, "Type": "tcp"} for ip, port in ports]
        instance = instance_of(listed(replica(), Ports=published))
        return instance.url if instance else None

    assert url() is None
    assert url(("127.0.0.1", 32768)) == "http://127.0.0.1:32768"
    assert url(("0.0.0.0", 9199), ("::", 9199)) == "http://127.0.0.1:9199"
    assert url(("::1", 9199)) == "http://[::1]:9199"
    assert url(("192.0.2.7", 9199)) == "http://192.0.2.7:9199"


def test_the_gateway_reaches_a_replica_by_its_name() -> None:
    instance = instance_of(listed(replica()))
    assert instance is not None
    assert instance.worker_url == f"http://{instance_name(replica())}:8000"


@pytest.mark.parametrize("broken", [{"slot": "x"}, {"role": "king"}, {"settings": "{"}, {"owner": "else"}])
def test_a_container_whose_labels_do_not_read_is_a_strangers(broken: dict[str, str]) -> None:
    item = listed(replica())
    item["Labels"] |= {f"dev.enova.{key}": value for key, value in broken.items()}
    assert look_at([item]).instances == ()
    assert look_at([item]).foreign_names == {instance_name(replica())}


def test_names_of_strangers_leave_out_links() -> None:
    stranger = {"Id": "x", "Names": ["/web/db", "/db"], "Labels": None, "State": "running", "Status": "Up"}
    assert look_at([stranger]).foreign_names == {"db"}


def test_a_log_is_cut_into_lines_wherever_its_frames_end() -> None:
    frames = [b"a\nb", "é".encode()[:1], "é".encode()[1:] + b"\r\n\nlast"]
    assert list(lines(frames)) == ["a", "bé", "", "last"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("vllm/vllm-openai:v0.32.0", ("vllm/vllm-openai", "v0.32.0")),
        ("registry:5000/team/vllm", ("registry:5000/team/vllm", "latest")),
        ("registry:5000/team/vllm:1", ("registry:5000/team/vllm", "1")),
        ("vllm@sha256:abc", ("vllm@sha256:abc", None)),
    ],
)
def test_a_tag_is_told_from_a_port_and_a_digest(image: str, expected: tuple[str, str | None]) -> None:
    assert _split(image) == expected


def test_known_reasons_come_with_a_hint() -> None:
    assert "NVIDIA Container Toolkit" in (hint_for('could not select device driver "" with capabilities') or "")
    assert "docker system df" in (hint_for("write /var/lib: no space left on device") or "")
    assert hint_for("something new") is None


# Without an engine


def test_making_the_runtime_connects_to_nothing() -> None:
    DockerRuntime("unix:///nowhere/docker.sock").close()


def test_no_daemon_is_could_not_look_and_says_where(tmp_path: Path) -> None:
    where = f"unix://{tmp_path}/docker.sock"
    with pytest.raises(ObserveError) as raised:
        DockerRuntime(where).look()
    assert raised.value.message == f"the Docker daemon could not be reached at {where}: No such file or directory"
    assert "DOCKER_HOST" in str(raised.value.hint)


def test_a_refused_connection_is_could_not_look() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        where = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ObserveError, match="Connection refused"):
        DockerRuntime(where).look()


def test_docker_host_names_the_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/mine.sock")
    with pytest.raises(ObserveError, match=r"mine\.sock"):
        DockerRuntime().look()


def test_a_daemon_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("enova.adapters.containers.runtime.LOOK_TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "docker.sock"))
        deaf.listen()
        with pytest.raises(ObserveError, match="timed out"):
            DockerRuntime(f"unix://{tmp_path}/docker.sock").look()
