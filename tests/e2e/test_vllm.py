"""Real vLLM in real containers: one service, from its spec to its end, with clients talking to it throughout."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
import httpx
import openai
import pytest

from enova.core.workload.report import InjectionReport
from tests.e2e.command import Enova, free_port

pytestmark = [pytest.mark.docker, pytest.mark.vllm]
SPEC = Path(__file__).parents[2] / "specs" / "tiny-cpu.yaml"
NAME = "e2e-vllm"
EXACTLY = {"ignore_eos": True}
"""All tokens asked for, whatever the model would say."""


@dataclass
class Clients:
    """Requests sent one after the other until told to end, plain and streamed in turn."""

    url: str
    stopping: threading.Event = field(default_factory=threading.Event)
    answered: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self.stopping.is_set():
                self._ask(client, stream=self.answered % 2 == 0)

    def _ask(self, client: httpx.Client, *, stream: bool) -> None:
        request = {"model": "tiny", "prompt": "Once", "max_tokens": 24, "ignore_eos": True, "stream": stream}
        try:
            answer = client.post("/completions", json=request)
        except httpx.HTTPError as error:
            self.failures.append(repr(error))
            return
        ended = not stream or answer.text.rstrip().endswith("data: [DONE]")
        if answer.status_code != httpx.codes.OK or not ended or '"error"' in answer.text:
            self.failures.append(f"{answer.status_code}: {answer.text[-300:]}")
            return
        self.answered += 1


@contextmanager
def talking(url: str, clients: int = 2) -> Iterator[list[Clients]]:
    """Keep clients talking to the endpoint for the duration."""
    talkers = [Clients(url) for _ in range(clients)]
    threads = [threading.Thread(target=talker.run) for talker in talkers]
    for thread in threads:
        thread.start()
    try:
        yield talkers
    finally:
        for talker in talkers:
            talker.stopping.set()
        for thread in threads:
            thread.join()


def spec(enova: Enova, port: int, *, max_num_seqs: int = 8) -> str:
    text = (
        SPEC.read_text()
        .replace("name: tiny-cpu", f"name: {NAME}")
        .replace("../.cache", str(SPEC.parents[1] / ".cache"))
        .replace("port: 9215", f"port: {port}")
        .replace("max_num_seqs: 8", f"max_num_seqs: {max_num_seqs}")
    )
    assert NAME in text
    assert str(port) in text
    return enova.spec(text)


def assert_all_ways_of_asking_are_answered(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none", timeout=60) as client:
        completion = client.completions.create(model="tiny", prompt="Hello", max_tokens=8, extra_body=EXACTLY)
        chat = client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=8,
            extra_body=EXACTLY,
        )
        assert completion.usage
        assert chat.usage
        assert completion.usage.completion_tokens == chat.usage.completion_tokens == 8
        chunks = client.completions.create(
            model="tiny", prompt="Hello", max_tokens=8, stream=True, extra_body=EXACTLY
        )
        assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "length"
        deltas = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "Hello"}], max_tokens=8, stream=True,
            extra_body=EXACTLY,
        )  # fmt: skip
        assert [choice.finish_reason for chunk in deltas for choice in chunk.choices][-1] == "length"


def assert_loads_have_exact_lengths(enova: Enova, path: str) -> None:
    """Send real load: what the server counts is what was asked for, in both APIs, and nothing is lost."""
    for api in ("completions", "chat"):
        done = enova(
            *("inject", path, "--api", api, "--rate", "4", "--duration", "6s", "--warmup", "0s", "--seed", "1"),
            *("--prompt-tokens", "48", "--output-tokens", "12", "-o", "json"),
        )
        report = InjectionReport.model_validate_json(done.stdout)
        assert report.found.errors == {}, done.stderr
        assert report.found.served == report.sent.requests > 10
        assert report.sent.delivery is not None
        assert report.sent.delivery.prompt_tokens == (48 * report.found.served, 48 * report.found.served)
        assert report.sent.delivery.output_tokens == (12 * report.found.served, 12 * report.found.served)
        seen = report.found.from_schedule
        assert seen is not None
        assert seen.ttft.p50 is not None
        assert seen.e2e.p50 is not None
        assert 0 < seen.ttft.p50 < seen.e2e.p50


def test_a_service_of_two_real_replicas_from_its_spec_to_its_end(enova: Enova) -> None:
    """Apply, ask, plan, edit and apply under load without a lost request, kill, restore, delete."""
    enova.started.add(NAME)
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    path = spec(enova, port)
    engine = docker.from_env()

    enova.ok("apply", path, "--yes")

    assert_all_ways_of_asking_are_answered(url)
    assert_loads_have_exact_lengths(enova, path)
    names = {instance["target"]: instance["name"] for instance in enova.instances(NAME)}
    assert sorted(names) == [f"{NAME}#0", f"{NAME}#1", f"{NAME}@gateway"]
    for target in (f"{NAME}#0", f"{NAME}#1"):
        container = engine.containers.get(names[target])
        assert container.attrs["HostConfig"]["Privileged"] is False
        assert container.attrs["Config"]["Image"] == "enova/vllm-cpu:test"
    plan = enova("plan", path)
    assert (plan.returncode, plan.stdout.splitlines()[-1]) == (0, "In sync: nothing to do")

    edited = spec(enova, port, max_num_seqs=4)
    plan = enova("plan", edited)
    assert plan.returncode == 2
    assert plan.stdout.count("settings changed; engine.max_num_seqs: 8 -> 4") == 2
    with talking(url) as clients:
        enova.ok("apply", edited, "--yes")
    assert [failure for client in clients for failure in client.failures] == []
    assert all(client.answered > 0 for client in clients)
    replaced = {instance["target"]: instance["name"] for instance in enova.instances(NAME)}
    assert replaced[f"{NAME}@gateway"] == names[f"{NAME}@gateway"]
    assert not set(replaced.values()) & {names[f"{NAME}#0"], names[f"{NAME}#1"]}

    engine.containers.get(replaced[f"{NAME}#1"]).kill()
    plan = enova("plan", edited)
    assert plan.returncode == 2
    assert f"+ start {NAME}#1: exited with code 137" in plan.stdout
    enova.ok("apply", edited, "--yes")
    assert enova("plan", edited).returncode == 0
    assert_all_ways_of_asking_are_answered(url)

    enova.ok("delete", NAME, "--yes")
    assert engine.api.containers(all=True, filters={"name": f"enova-{NAME}-"}) == []
    engine.close()
