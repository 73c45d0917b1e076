"""The Docker runtime on a real engine, beyond what all runtimes promise."""

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

from enova.adapters.containers.labels import as_listed
from enova.core.fingerprint import instance_name
from enova.core.launch import ArgValue, Kind, Mount, Role
from enova.errors import ApplyError
from tests.adapters.registry import registry
from tests.contract.benches import DOCKER_NETWORK, Bench, docker_bench, eventually, http_answers

pytestmark = pytest.mark.docker
GATEWAY_IMAGE = "enova/gateway:0.1.17"
VLLM_IMAGE = "enova/vllm-cpu:test"


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


def test_creating_at_the_same_time_makes_one_container_and_one_network(bench: Bench) -> None:
    barrier = threading.Barrier(6)

    def create(_: int) -> str:
        runtime = bench.open()
        barrier.wait()
        return runtime.create(bench.gateway(), {}, lambda line: None)

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(create, range(6)))) == 1


def test_a_missing_host_folder_is_named_and_not_made(bench: Bench, tmp_path: Path) -> None:
    missing = tmp_path / "models"
    launch = replace(bench.gateway(), mounts=(Mount(str(missing), "/models"),))
    with pytest.raises(ApplyError, match=str(missing)) as raised:
        bench.open().create(launch, {}, lambda line: None)
    assert "create the folder" in str(raised.value.hint)
    assert not missing.exists()


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


def test_an_image_nobody_has_is_an_error_naming_it(bench: Bench) -> None:
    launch = replace(bench.gateway(), image="127.0.0.1:1/no/such:image")
    with pytest.raises(ApplyError, match="no/such"):
        bench.open().create(launch, {}, lambda line: None)


def test_asking_for_a_gpu_without_the_gpu_runtime_says_what_to_install(
    bench: Bench, engine: docker.DockerClient
) -> None:
    runtime = bench.open()
    instance_id = runtime.create(bench.gateway().place(devices=("GPU-none",)), {}, lambda line: None)
    with pytest.raises(ApplyError) as raised:
        runtime.start(instance_id)
    assert "NVIDIA Container Toolkit" in str(raised.value.hint)


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


def test_an_inspected_container_reads_like_a_listed_one(bench: Bench, engine: docker.DockerClient) -> None:
    runtime = bench.open()
    instance_id = runtime.create(bench.gateway(), {}, lambda line: None)
    (item,) = engine.api.containers(all=True, filters={"id": instance_id})
    inspected = as_listed(engine.api.inspect_container(instance_id))
    assert {key: inspected[key] for key in ("Id", "Names", "Labels", "Created", "State", "Image")} == {
        key: item[key] for key in ("Id", "Names", "Labels", "Created", "State", "Image")
    }


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


def test_a_container_is_on_the_network_named(bench: Bench, engine: docker.DockerClient) -> None:
    instance_id = bench.open().create(bench.gateway(), {}, lambda line: None)
    networks = engine.api.inspect_container(instance_id)["NetworkSettings"]["Networks"]
    assert list(networks) == [DOCKER_NETWORK]
