"""What is special to processes; what every runtime promises is in the contract suite."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from enova.adapters.processes import ProcessRuntime, shim
from enova.core.fingerprint import instance_name
from enova.core.launch import Kind, SecretRef
from enova.core.observed import Look, State
from enova.errors import ApplyError, ObserveError
from tests.adapters.processes.staging import (
    HAS_WORKERS,
    IGNORES_SIGTERM,
    alive_below,
    eventually,
    install_vllm,
    replica,
)

NAME = instance_name(replica())


def create(runtime: ProcessRuntime, slot: int = 0, port: int | None = None) -> str:
    return runtime.create(replace(replica(slot), port=port), {}, lambda line: None)


def run(runtime: ProcessRuntime) -> psutil.Process:
    """Start one instance, wait for its first line, and return its process."""
    name = create(runtime)
    runtime.start(name)
    eventually(lambda: list(runtime.logs(name, tail=None, follow=False)) == ["up"])
    return process_of(runtime, name)


def process_of(runtime: ProcessRuntime, name: str) -> psutil.Process:
    instance = runtime.get(name)
    assert instance is not None
    assert instance.state is State.RUNNING
    return psutil.Process(int(instance.detail.removeprefix("pid ")))


def state(runtime: ProcessRuntime, name: str = NAME) -> State | None:
    instance = runtime.get(name)
    return instance.state if instance else None


def test_a_program_is_detached_from_whoever_started_it(runtime: ProcessRuntime) -> None:
    process = run(runtime)

    assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid
    assert process.parent() != psutil.Process()
    assert process.cwd() == "/"


def test_it_runs_what_the_launch_says_on_the_given_devices(runtime: ProcessRuntime, programs: Path) -> None:
    install_vllm(
        programs, "import os, sys; print(*sys.argv[1:], os.environ['CUDA_VISIBLE_DEVICES'], os.environ['A'])"
    )
    launch = replace(
        replica(),
        port=18_000,
        args={"max_num_seqs": 8, "enforce_eager": True},
        env={"A": "1"},
        devices=("G1", "G2"),
    )
    name = runtime.create(launch, {}, lambda line: None)

    runtime.start(name)

    eventually(lambda: state(runtime, name) is State.EXITED)
    assert list(runtime.logs(name, tail=None, follow=False)) == [
        "serve org/model --host 127.0.0.1 --port 18000 --enforce-eager --max-num-seqs 8 G1,G2 1"
    ]


def test_what_died_has_exited_and_starts_again(runtime: ProcessRuntime) -> None:
    process = run(runtime)

    process.kill()
    eventually(lambda: state(runtime) is State.EXITED)
    runtime.start(NAME)

    assert process_of(runtime, NAME) != process


def test_stopping_asks_first_and_ends_workers_wherever_they_hide(runtime: ProcessRuntime, state_dir: Path) -> None:
    install_vllm(state_dir.parent / "bin", HAS_WORKERS)
    run(runtime)
    assert alive_below(state_dir) == {NAME: 3}

    runtime.stop(NAME, timeout_s=10)

    assert not alive_below(state_dir)
    assert state(runtime) is State.EXITED


def test_what_does_not_listen_is_ended_by_force(runtime: ProcessRuntime, programs: Path) -> None:
    install_vllm(programs, IGNORES_SIGTERM)
    process = run(runtime)

    runtime.stop(NAME, timeout_s=0.1)

    assert state(runtime) is State.EXITED
    eventually(lambda: not psutil.pid_exists(process.pid) or process.status() == psutil.STATUS_ZOMBIE)


def test_workers_that_outlive_their_engine_do_not_count_as_alive_and_are_ended_before_the_next_start(
    runtime: ProcessRuntime, programs: Path, state_dir: Path
) -> None:
    install_vllm(programs, HAS_WORKERS)
    run(runtime).kill()
    eventually(lambda: state(runtime) is State.EXITED)
    orphans = alive_below(state_dir)

    install_vllm(programs, "import time; time.sleep(600)")
    runtime.start(NAME)

    assert orphans == {NAME: 2}
    assert alive_below(state_dir) == {NAME: 1}


def test_a_number_in_a_file_is_never_taken_for_our_process(runtime: ProcessRuntime, state_dir: Path) -> None:
    """Process ids are used anew; only the kernel knows who holds a lock."""
    run(runtime).kill()
    eventually(lambda: state(runtime) is State.EXITED)
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        for file in ("lock", "pid"):
            (state_dir / "processes" / NAME / file).write_text(f"{stranger.pid}\n", encoding="utf-8")

        runtime.stop(NAME, timeout_s=1)
        runtime.remove(NAME)

        assert stranger.poll() is None
        stranger.communicate(b"\n")


def test_looking_never_keeps_a_program_from_starting(runtime: ProcessRuntime) -> None:
    create(runtime)
    with ThreadPoolExecutor(2) as pool:
        looks = pool.submit(lambda: [runtime.look() for _ in range(2_000)])
        for _ in range(5):
            runtime.start(NAME)
            assert state(runtime) is State.RUNNING
            runtime.stop(NAME, timeout_s=5)
        looks.result()


def test_many_starts_at_once_make_one_process(state_dir: Path, runtime: ProcessRuntime) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: ProcessRuntime(state_dir).start(create(runtime)), range(8)))

    assert alive_below(state_dir) == {NAME: 1}


def test_secrets_reach_a_program_started_by_another_enova_and_are_kept_from_other_users(
    runtime: ProcessRuntime, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = replace(replica(), secrets={"HF_TOKEN": SecretRef(env="MINE")})
    name = runtime.create(launch, {"HF_TOKEN": "s3cret"}, lambda line: None)

    ProcessRuntime(state_dir).start(name)

    process = process_of(runtime, name)
    assert process.environ()["HF_TOKEN"] == "s3cret"
    assert "s3cret" not in " ".join(process.cmdline())
    folder = state_dir / "processes" / name
    holding = {path.name for path in folder.iterdir() if "s3cret" in path.read_text(encoding="utf-8")}
    assert holding == {"secrets.json"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_program_does_not_get_what_was_meant_for_enova_or_for_another_service(
    runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "of another service")

    environment = run(runtime).environ()

    assert "VLLM_API_KEY" not in environment
    assert environment["HOME"] == os.environ["HOME"]


def test_a_port_that_was_taken_meanwhile_is_replaced_by_another(runtime: ProcessRuntime) -> None:
    before = runtime.get(create(runtime))
    assert before is not None
    assert before.url is not None
    with socket.create_server(("127.0.0.1", int(before.url.rpartition(":")[2]))):
        runtime.start(NAME)

        after = runtime.get(NAME)
        assert after is not None
        assert after.url != before.url
        assert after.url == after.worker_url


def test_a_port_the_user_chose_is_never_replaced(runtime: ProcessRuntime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        create(runtime, port=port)

        with pytest.raises(ApplyError, match=f"port {port} on 127.0.0.1 is taken"):
            runtime.start(NAME)

    assert state(runtime) is State.CREATED


def test_instances_created_before_any_of_them_listens_get_ports_of_their_own(runtime: ProcessRuntime) -> None:
    for slot in range(20):
        create(runtime, slot)

    assert len({instance.url for instance in runtime.look().instances}) == 20


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"role": "king"}', "\x00" * 100])
def test_a_damaged_folder_of_nothing_that_runs_is_not_seen_and_is_made_anew(
    runtime: ProcessRuntime, state_dir: Path, content: str | None
) -> None:
    launch_file = state_dir / "processes" / create(runtime) / "launch.json"
    if content is None:
        launch_file.unlink()
    else:
        launch_file.write_text(content, encoding="utf-8")

    assert runtime.look() == Look()
    assert create(runtime) == NAME
    assert state(runtime) is State.CREATED


def test_a_damaged_folder_of_a_running_process_keeps_its_name_taken(
    runtime: ProcessRuntime, state_dir: Path
) -> None:
    process = run(runtime)
    launch_file = state_dir / "processes" / NAME / "launch.json"
    whole = launch_file.read_text(encoding="utf-8")
    launch_file.write_text(whole[:50], encoding="utf-8")

    assert runtime.look() == Look((), frozenset({NAME}))
    with pytest.raises(ApplyError, match="is damaged") as refusal:
        create(runtime)
    assert f"end process {process.pid}" in (refusal.value.hint or "")
    launch_file.write_text(whole, encoding="utf-8")


@pytest.mark.parametrize("name", [".new-abc", NAME])
def test_what_a_killed_enova_left_half_made_or_half_removed_is_cleared_away(
    runtime: ProcessRuntime, state_dir: Path, name: str
) -> None:
    debris = state_dir / "processes" / name
    debris.mkdir(parents=True)
    (debris / "secrets.json").write_text("{}", encoding="utf-8")

    assert runtime.look() == Look()
    create(runtime, slot=1)

    assert not debris.exists()


def test_what_a_newer_enova_wrote_can_still_be_read(runtime: ProcessRuntime, state_dir: Path) -> None:
    launch_file = state_dir / "processes" / create(runtime) / "launch.json"
    launch_file.write_text(json.dumps(json.loads(launch_file.read_text()) | {"news": 1}), encoding="utf-8")

    assert state(runtime) is State.CREATED


def test_a_program_that_is_not_installed_is_said_before_anything_is_made(
    runtime: ProcessRuntime, programs: Path, state_dir: Path
) -> None:
    (programs / "vllm").unlink()

    with pytest.raises(ApplyError, match="vllm is neither beside") as refusal:
        create(runtime)

    assert "enova[vllm]" in (refusal.value.hint or "")
    assert not state_dir.exists()


def test_a_program_that_cannot_be_run_is_an_error_with_the_reason(runtime: ProcessRuntime, programs: Path) -> None:
    create(runtime)
    (programs / "vllm").write_text("#!/no/such/interpreter\n", encoding="utf-8")

    with pytest.raises(ApplyError, match="start chat#0: No such file or directory"):
        runtime.start(NAME)

    assert state(runtime) is State.EXITED


def test_a_folder_that_cannot_be_read_is_unknown_and_not_absent(tmp_path: Path) -> None:
    (tmp_path / "processes").write_text("not a folder", encoding="utf-8")

    with pytest.raises(ObserveError, match="cannot look at processes"):
        ProcessRuntime(tmp_path).look()
    with pytest.raises(ApplyError, match="cannot write there"):
        ProcessRuntime(tmp_path).create(replace(replica(), kind=Kind.EMULATED), {}, lambda line: None)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_an_order_cut_off_by_the_death_of_its_sender_starts_nothing(tmp_path: Path, kept: float) -> None:
    lock, log, made = (str(tmp_path / name) for name in ("lock", "log", "made"))
    argv = [sys.executable, "-S", "-c", f"open({made!r}, 'w')"]
    order = json.dumps({"inherited": [], "argv": argv, "env": {}, "lock": lock, "log": log}).encode()

    def ordered(text: bytes) -> int:
        shim_words = [sys.executable, "-I", "-S", shim.__file__]
        return subprocess.run(shim_words, input=text, capture_output=True, check=False).returncode

    assert ordered(order[: int(len(order) * kept)]) != 0
    assert list(tmp_path.iterdir()) == []
    assert ordered(order) == 0
    eventually(Path(made).exists)


def test_following_a_log_shows_what_comes_and_ends_with_the_program(
    runtime: ProcessRuntime, programs: Path
) -> None:
    install_vllm(
        programs,
        "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(print('down')))\nprint('up', flush=True)\n"
        "signal.pause()",
    )
    process = run(runtime)
    lines = runtime.logs(NAME, tail=1, follow=True)

    assert next(lines) == "up"
    process.send_signal(signal.SIGTERM)
    assert list(lines) == ["down"]
