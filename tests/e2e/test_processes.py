"""The whole path on local processes and the emulated engine: what `make demo` shows, and what follows from it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import httpx
import openai
import psutil
import pytest

from enova.adapters.processes.alive import MARK
from enova.core.workload.report import InjectionReport
from tests.e2e.command import Enova, eventually, free_port
from tests.e2e.service import Service

pytestmark = pytest.mark.slow


@pytest.fixture
def chat(enova: Enova) -> Service:
    return Service(enova)


def test_a_spec_becomes_replicas_that_answer_behind_one_endpoint(enova: Enova, chat: Service) -> None:
    spec = chat.spec()
    assert enova("plan", spec).returncode == 2

    enova.ok("apply", spec, "--yes")

    client = openai.OpenAI(base_url=chat.url(), api_key="none")
    said = client.completions.create(model="tiny", prompt="Hello", max_tokens=4)
    streamed = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "Hello"}], max_tokens=4, stream=True
    )
    assert said.usage
    assert said.usage.completion_tokens == 4
    assert sum(1 for chunk in streamed if chunk.choices and chunk.choices[0].delta.content) >= 1
    client.close()
    plan = enova("plan", spec)
    assert (plan.returncode, plan.stdout.splitlines()[-1]) == (0, "In sync: nothing to do")


def test_a_second_apply_changes_nothing(enova: Enova, chat: Service) -> None:
    spec = chat.spec()
    enova.ok("apply", spec, "--yes")
    before = chat.pids()

    assert "In sync: nothing to do" in enova.ok("apply", spec, "--yes")
    assert chat.pids() == before


def test_an_engine_argument_replaces_replicas_while_requests_go_on(enova: Enova, chat: Service) -> None:
    enova.ok("apply", chat.spec(), "--yes")
    before = chat.pids()
    spec = chat.spec(max_num_seqs=16)

    plan = enova("plan", spec)
    assert plan.returncode == 2
    assert plan.stdout.count("settings changed; engine.max_num_seqs: 8 -> 16") == 2
    with httpx.Client(base_url=chat.url(), timeout=30) as client:
        stream = client.stream(
            "POST", "/completions", json={"model": "tiny", "prompt": "x", "max_tokens": 300, "stream": True}
        )
        with stream as response:
            lines = response.iter_lines()
            next(lines)
            enova.ok("apply", spec, "--yes")
            rest = [line for line in lines if line]

    assert rest[-1] == "data: [DONE]"
    after = chat.pids()
    assert after["e2e-chat@gateway"] == before["e2e-chat@gateway"]
    assert not set(after.values()) & {before["e2e-chat#0"], before["e2e-chat#1"]}


@pytest.mark.parametrize(
    "more",
    [
        "slo: {ttft: {p95: 500ms}}",
        "budget: {cost: 12 USD/h}",
        "injection: {arrival: {process: poisson, rate: 5/s}, duration: 1m}",
    ],
    ids=["slo", "budget", "injection"],
)
def test_what_is_promised_or_expected_restarts_nothing(enova: Enova, chat: Service, more: str) -> None:
    enova.ok("apply", chat.spec(), "--yes")

    assert enova("plan", chat.spec(more=more)).returncode == 0


def test_the_most_replicas_there_may_be_restarts_nothing(enova: Enova, chat: Service) -> None:
    enova.ok("apply", chat.spec(), "--yes")
    text = Path(chat.spec()).read_text().replace("{min: 2}", "{min: 2, max: 7}")

    assert enova("plan", enova.spec(text)).returncode == 0


def test_a_killed_replica_is_missed_and_restored(enova: Enova, chat: Service) -> None:
    spec = chat.spec()
    enova.ok("apply", spec, "--yes")
    before = chat.pids()
    psutil.Process(before["e2e-chat#1"]).kill()
    eventually(lambda: enova("plan", spec).returncode == 2, within_s=10, what="the plan misses the replica")

    plan = enova("plan", spec).stdout
    assert "+ start e2e-chat#1: exited" in plan
    enova.ok("apply", spec, "--yes")

    assert enova("plan", spec).returncode == 0
    after = chat.pids()
    assert after["e2e-chat#0"] == before["e2e-chat#0"]
    assert after["e2e-chat#1"] != before["e2e-chat#1"]


def test_a_killed_gateway_is_restored_with_its_routes(enova: Enova, chat: Service) -> None:
    spec = chat.spec()
    enova.ok("apply", spec, "--yes")
    psutil.Process(chat.pids()["e2e-chat@gateway"]).kill()
    eventually(lambda: enova("plan", spec).returncode == 2, within_s=10, what="the plan misses the gateway")

    enova.ok("apply", spec, "--yes")

    models = httpx.get(f"{chat.url()}/models", timeout=10).json()
    assert [model["id"] for model in models["data"]] == ["tiny"]
    assert enova("plan", spec).returncode == 0


def test_a_saved_plan_is_refused_once_the_world_moved(enova: Enova, chat: Service) -> None:
    spec, saved = chat.spec(), str(enova.folder / "plan.json")
    enova("plan", spec, "--out", saved)
    enova.ok("apply", chat.spec(replicas=1), "--yes")

    refused = enova("apply", saved, "--yes")

    assert refused.returncode == 1
    assert "the world moved since the plan was saved" in refused.stderr
    assert len(enova.instances(chat.name)) == 2


def test_a_saved_plan_is_applied_while_the_world_stands_still(enova: Enova, chat: Service) -> None:
    spec, saved = chat.spec(), str(enova.folder / "plan.json")
    assert enova("plan", spec, "--out", saved).returncode == 2

    enova.ok("apply", saved, "--yes")

    assert enova("plan", spec).returncode == 0


def test_one_line_starts_a_model_from_nothing(enova: Enova) -> None:
    name, port = "e2e-oneline", free_port()
    enova.started.add(name)
    starter = enova.ok("init", "acme/tiny", "--name", name)
    emulated = starter.replace("9199", str(port)) + "engine: {kind: emulated}\n"

    enova.ok("apply", "-", "--yes", stdin=emulated)

    assert httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=10).json()["data"][0]["id"] == "acme/tiny"


def test_delete_removes_its_service_and_no_other(enova: Enova, chat: Service) -> None:
    other = Service(enova, "e2e-other")
    enova.ok("apply", chat.spec(), other.spec(replicas=1), "--yes")
    kept = other.pids()

    enova.ok("delete", chat.name, "--yes")

    assert enova("plan", chat.spec()).stdout.count("+ create") == 3
    assert other.pids() == kept


def test_an_api_key_is_asked_for_at_the_endpoint_and_shown_nowhere(enova: Enova, chat: Service) -> None:
    key = "sk-e2e-not-to-be-seen"
    enova.environment["CHAT_KEY"] = key
    text = Path(chat.spec()).read_text().replace("gateway: {", "gateway: {api_key: {env: CHAT_KEY}, ")
    spec = enova.spec(text)

    shown = (
        enova("plan", spec).stdout + enova.ok("apply", spec, "--yes") + enova("status", spec, "-o", "json").stdout
    )

    request = {"model": "tiny", "prompt": "x", "max_tokens": 1}
    refused = httpx.post(f"{chat.url()}/completions", json=request, timeout=10)
    answered = httpx.post(
        f"{chat.url()}/completions", json=request, headers={"authorization": f"Bearer {key}"}, timeout=10
    )
    assert (refused.status_code, answered.status_code) == (401, 200)
    assert key not in shown
    assert not any(
        key in word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or []
    )
    logs = enova("logs", chat.name).stdout
    assert logs
    assert key not in logs


def test_a_missing_secret_stops_apply_before_it_changes_anything(enova: Enova, chat: Service) -> None:
    text = Path(chat.spec()).read_text().replace("gateway: {", "gateway: {api_key: {env: CHAT_KEY_UNSET}, ")

    done = enova("apply", enova.spec(text), "--yes")

    assert done.returncode == 1
    assert "environment variable CHAT_KEY_UNSET is not set" in done.stderr
    assert json.loads(enova("status", "-o", "json").stdout)["services"] == []


def test_without_a_docker_daemon_nothing_is_planned_and_nothing_done(enova: Enova) -> None:
    enova.environment["DOCKER_HOST"] = f"unix://{enova.folder}/no-daemon.sock"
    spec = enova.spec("metadata: {name: e2e-nowhere}\nmodel: acme/tiny\nplacement: {accelerator: cpu}\n")

    plan, applied = enova("plan", spec), enova("apply", spec, "--yes")

    assert (plan.returncode, applied.returncode) == (1, 1)
    assert "could not look at docker: the Docker daemon could not be reached" in plan.stdout
    assert plan.stdout.endswith("Plan: nothing will be done\n")
    assert "create" not in plan.stdout + applied.stdout + applied.stderr


def test_apply_killed_at_any_moment_is_completed_by_the_next(enova: Enova, chat: Service) -> None:
    """Twelve kills, spread over the time an apply takes, on the way up, through a replacement, and down again."""
    seed = random.SystemRandom().randrange(2**32)
    moments = random.Random(seed)
    for number in range(12):
        spec = chat.spec(max_num_seqs=8 + number % 3, replicas=1 + number % 2)
        enova.killed("apply", spec, "--yes", after_s=moments.uniform(0.3, 6.0))

        done = enova("apply", spec, "--yes")

        assert done.returncode == 0, f"seed {seed}, kill {number}: {done.stdout}{done.stderr}"
        assert enova("plan", spec).returncode == 0, f"seed {seed}, kill {number}"
        expected = {f"{chat.name}@gateway", *(f"{chat.name}#{slot}" for slot in range(1 + number % 2))}
        found = [instance["target"] for instance in enova.instances(chat.name)]
        assert sorted(found) == sorted(expected), f"seed {seed}, kill {number}"
        assert_no_stray_process(enova, len(expected))


def assert_no_stray_process(enova: Enova, expected: int) -> None:
    """Count the living programs that were started from this test's state folder, whatever the records say."""
    state, found = str(enova.folder / "state"), set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(state):
                found.add(process.pid)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    leaders = [pid for pid in found if psutil.Process(pid).ppid() not in found]
    assert len(leaders) == expected, [psutil.Process(pid).cmdline() for pid in leaders]


EMULATED = """\
metadata: {name: emulated-load}
model: Qwen/Qwen2.5-7B-Instruct
slo: {ttft: {p95: 5s}}
injection:
  arrival: {process: poisson, rate: 15/s}
  prompt_tokens: {distribution: lognormal, mean: 300, std: 200, max: 2000}
  output_tokens: {distribution: normal, mean: 30, std: 10, min: 1}
  duration: 8s
  seed: 3
engine: {kind: emulated, extra_args: {emulate_gpu: h100-sxm}}
placement: {runtime: process}
"""


def test_a_service_gets_the_load_of_its_spec_beside_its_forecast(enova: Enova) -> None:
    enova.started.add("emulated-load")
    spec = enova.spec(f"{EMULATED}gateway: {{port: {free_port()}}}\n")
    enova.ok("apply", spec, "--yes")

    done = enova("inject", spec, "-o", "json", "--html", "report.html")

    report = InjectionReport.model_validate_json(done.stdout)
    assert report.found.errors == {}, done.stderr
    assert report.predicted is not None, report.not_predicted
    assert report.predicted.ttft.p50 is not None
    assert report.found.from_schedule is not None
    assert report.found.from_schedule.ttft.p50 is not None
    # The engine is the simulator's on the wall clock: much more than this is between them only if one is wrong.
    assert 0.3 < report.predicted.ttft.p50 / report.found.from_schedule.ttft.p50 < 1.5
    assert report.asked is not None
    assert report.asked.emulated
    assert (enova.folder / "report.html").exists()
    assert "emulated-load" in enova.ok("inject", "list")
    if report.valid:
        assert "injection 1" in enova.ok("ledger", "emulated-load", "-o", "json")
