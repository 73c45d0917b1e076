"""What is Docker's own about the Docker runtime; what all runtimes promise is in tests/contract."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from enova.adapters.containers import DockerRuntime
from enova.adapters.containers.body import body
from enova.adapters.containers.failures import hint_for
from enova.adapters.containers.images import _split
from enova.adapters.containers.labels import as_listed, instance_of, labels, look_at
from enova.adapters.containers.lines import lines
from enova.core.fingerprint import instance_name
from enova.core.launch import ArgValue, Kind, Launch, Mount, Role
from enova.core.observed import Health, State
from enova.errors import ApplyError, ObserveError
from tests.adapters.registry import registry
from tests.contract.benches import DOCKER_NETWORK, Bench, docker_bench, eventually, http_answers

GATEWAY_IMAGE = "enova/gateway:0.1.17"
VLLM_IMAGE = "enova/vllm-cpu:test"


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


# On a real engine


@pytest.fixture
def bench() -> Iterator[Bench]:
    with docker_bench() as bench:
        yield bench


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    yield client
    client.close()


@contextmanager
def stranger(engine: docker.DockerClient, name: str, **options: Any) -> Iterator[str]:
    made = engine.api.create_container(GATEWAY_IMAGE, name=name, **options)["Id"]
    try:
        yield made
    finally:
        engine.api.remove_container(made, force=True)


@pytest.mark.docker
def test_a_stranger_with_the_wanted_name_is_named_and_left_alone(
    bench: Bench, engine: docker.DockerClient
) -> None:
    runtime, name = bench.open(), instance_name(bench.gateway())
    with stranger(engine, name, labels={"dev.enova.owner": "somebody"}) as stranger_id:
        with pytest.raises(ApplyError, match=name):
            runtime.create(bench.gateway(), {}, lambda line: None)
        runtime.stop(stranger_id, 1)
        runtime.remove(stranger_id)
        assert runtime.get(stranger_id) is None
        assert name in runtime.look().foreign_names
        assert engine.api.inspect_container(stranger_id)["State"]["Status"] == "created"


@pytest.mark.docker
def test_creating_at_the_same_time_makes_one_container_and_one_network(bench: Bench) -> None:
    barrier = threading.Barrier(6)

    def create(_: int) -> str:
        runtime = bench.open()
        barrier.wait()
        return runtime.create(bench.gateway(), {}, lambda line: None)

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(create, range(6)))) == 1


@pytest.mark.docker
def test_a_missing_host_folder_is_named_and_not_made(bench: Bench, tmp_path: Path) -> None:
    missing = tmp_path / "models"
    launch = replace(bench.gateway(), mounts=(Mount(str(missing), "/models"),))
    with pytest.raises(ApplyError, match=str(missing)) as raised:
        bench.open().create(launch, {}, lambda line: None)
    assert "create the folder" in str(raised.value.hint)
    assert not missing.exists()


@pytest.mark.docker
def test_a_port_in_use_is_said_when_starting(bench: Bench) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        runtime = bench.open()
        instance_id = runtime.create(bench.gateway(taken.getsockname()[1]), {}, lambda line: None)
        with pytest.raises(ApplyError, match="in use") as raised:
            runtime.start(instance_id)
    assert "choose another port" in str(raised.value.hint)
    runtime.start(instance_id)
    eventually(lambda: http_answers(runtime.get(instance_id).url or ""))  # type: ignore[union-attr]


@pytest.mark.docker
def test_an_image_nobody_has_is_an_error_naming_it(bench: Bench) -> None:
    launch = replace(bench.gateway(), image="127.0.0.1:1/no/such:image")
    with pytest.raises(ApplyError, match="no/such"):
        bench.open().create(launch, {}, lambda line: None)


@pytest.mark.docker
def test_asking_for_a_gpu_without_the_gpu_runtime_says_what_to_install(
    bench: Bench, engine: docker.DockerClient
) -> None:
    runtime = bench.open()
    instance_id = runtime.create(bench.gateway().place(devices=("GPU-none",)), {}, lambda line: None)
    with pytest.raises(ApplyError) as raised:
        runtime.start(instance_id)
    assert "NVIDIA Container Toolkit" in str(raised.value.hint)


@pytest.mark.docker
def test_a_gateway_that_docker_restarts_gets_its_living_workers_back(
    bench: Bench, engine: docker.DockerClient
) -> None:
    runtime = bench.open()
    ids = [runtime.create(launch, {}, lambda line: None) for launch in (bench.gateway(), bench.replica())]
    for instance_id in ids:
        runtime.start(instance_id)
    eventually(lambda: all(http_answers(i.url or "") for i in bench.own(runtime)))
    worker_url = f"http://{instance_name(bench.replica())}:8000"
    runtime.remember_routes(ids[0], frozenset({worker_url, "http://gone:8000"}))

    engine.api.restart(ids[0], timeout=5)

    def routes() -> object:
        (router,) = [i for i in bench.own(runtime) if i.role is Role.GATEWAY]
        try:
            return httpx.get(f"{router.url}/list_workers", timeout=2).json()["urls"]
        except httpx.HTTPError:
            return []

    eventually(lambda: routes() == [worker_url])


@pytest.mark.docker
def test_a_router_killed_from_inside_is_started_again_and_counted(
    bench: Bench, engine: docker.DockerClient
) -> None:
    runtime = bench.open()
    router = runtime.create(bench.gateway(), {}, lambda line: None)
    runtime.start(router)
    eventually(lambda: http_answers(runtime.get(router).url or ""))  # type: ignore[union-attr]
    execution = engine.api.exec_create(router, ["sh", "-c", "kill -9 -1"])["Id"]
    engine.api.exec_start(execution)
    eventually(lambda: runtime.get(router).restarts == 1)  # type: ignore[union-attr]
    eventually(lambda: http_answers(runtime.get(router).url or ""))  # type: ignore[union-attr]


@pytest.mark.docker
@pytest.mark.vllm
def test_real_vllm_runs_without_capabilities_and_is_restarted_when_its_engine_dies(
    bench: Bench, engine: docker.DockerClient
) -> None:
    runtime = bench.open()
    args: dict[str, ArgValue] = {"dtype": "bfloat16", "enforce_eager": True, "kv_cache_memory_bytes": 1 << 26}
    args |= {"max_model_len": 2048, "max_num_seqs": 8, "distributed_executor_backend": "uni"}
    launch = replace(bench.replica(), kind=Kind.VLLM, image=VLLM_IMAGE, model="/models/tiny", args=args)
    vllm = runtime.create(launch, {}, lambda line: None)
    runtime.start(vllm)
    eventually(lambda: http_answers(runtime.get(vllm).url or ""), within_s=180)  # type: ignore[union-attr]

    host = engine.api.inspect_container(vllm)["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], [])
    assert (host["Privileged"], host["IpcMode"]) == (False, "private")
    kill = "kill -9 $(grep -lz '[E]ngineCore' /proc/[0-9]*/cmdline | cut -d/ -f3)"
    engine.api.exec_start(engine.api.exec_create(vllm, ["sh", "-c", kill])["Id"])
    eventually(lambda: runtime.get(vllm).restarts == 1)  # type: ignore[union-attr]


@pytest.mark.docker
def test_an_image_that_is_not_here_is_pulled_with_progress(bench: Bench, engine: docker.DockerClient) -> None:
    lines_reported: list[str] = []
    with registry("tiny", "1", size_bytes=3_000_000) as address:
        image = f"{address}/tiny:1"
        try:
            bench.open().create(replace(bench.gateway(), image=image), {}, lines_reported.append)
            assert lines_reported[0] == f"pulling {image}"
            assert lines_reported[-1] == f"pulled {image}"
            assert any(line.endswith(" %") for line in lines_reported)
            assert engine.images.get(image).tags == [image]
        finally:
            for instance in bench.own(bench.open()):
                bench.open().remove(instance.id)
            engine.api.remove_image(image)


@pytest.mark.docker
def test_looking_is_one_call_of_the_engine(bench: Bench, engine: docker.DockerClient) -> None:
    runtime = bench.open()
    runtime.look()
    calls: list[str] = []
    observer = runtime._observer  # type: ignore[attr-defined]
    observer.hooks["response"].append(lambda response, **_: calls.append(response.request.path_url))
    for _ in range(3):
        runtime.look()
    assert len(calls) == 3
    assert all("/containers/json" in call for call in calls)


@pytest.mark.docker
def test_an_inspected_container_reads_like_a_listed_one(bench: Bench, engine: docker.DockerClient) -> None:
    runtime = bench.open()
    instance_id = runtime.create(bench.gateway(), {}, lambda line: None)
    (item,) = engine.api.containers(all=True, filters={"id": instance_id})
    inspected = as_listed(engine.api.inspect_container(instance_id))
    assert {key: inspected[key] for key in ("Id", "Names", "Labels", "Created", "State", "Image")} == {
        key: item[key] for key in ("Id", "Names", "Labels", "Created", "State", "Image")
    }


@pytest.mark.docker
def test_named_volumes_are_made_on_demand_and_outlive_the_container(
    bench: Bench, engine: docker.DockerClient
) -> None:
    volume = f"enova-test-{uuid.uuid4().hex[:10]}"
    launch = replace(bench.gateway(), mounts=(Mount(volume, "/cache", read_only=False),))
    runtime = bench.open()
    try:
        runtime.remove(runtime.create(launch, {}, lambda line: None))
        assert engine.api.inspect_volume(volume)["Name"] == volume
    finally:
        engine.api.remove_volume(volume)


@pytest.mark.docker
def test_a_container_is_on_the_network_named(bench: Bench, engine: docker.DockerClient) -> None:
    instance_id = bench.open().create(bench.gateway(), {}, lambda line: None)
    networks = engine.api.inspect_container(instance_id)["NetworkSettings"]["Networks"]
    assert list(networks) == [DOCKER_NETWORK]
