from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

import pytest
from prometheus_client.parser import text_string_to_metric_families

from enova.adapters.prometheus import Prometheus
from enova.core.metrics import gateway_page, page
from enova.core.metrics.page import look_of
from enova.core.metrics.target import Page
from enova.core.observed import Unknown
from tests.core.metrics.real import gateway_page as real_gateway_page
from tests.core.metrics.real import page_of

WANTED = page.WANTED | gateway_page.WANTED
NOW_S = 1_800_000_000.0


class Stored:
    """What a Prometheus has of instances, and answers as one does."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, float]] = {}
        """By instance: text, and Unix time it was scraped."""
        self.now_s = NOW_S
        self.instead: tuple[int, str] | None = None

    def answer(self, query: str) -> tuple[int, str]:
        if self.instead:
            return self.instead
        timed = query.startswith("timestamp(")
        names = {query[10:-1]} if timed else set(query.partition('"')[2].rpartition('"')[0].split("|"))
        result = []
        for instance, (text, scraped_s) in self.pages.items():
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    if sample.name in names:
                        labels = {**sample.labels, "instance": instance, "job": "vllm"}
                        labels |= {} if timed else {"__name__": sample.name}
                        value = scraped_s if timed else sample.value
                        result.append({"metric": labels, "value": [self.now_s, str(value)]})
        return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


@contextmanager
def serving(stored: Stored) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, body = stored.answer(sent["query"][0]) if self.path == "/api/v1/query" else (404, "")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Keep the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def prometheus(stored: Stored) -> Iterator[Prometheus]:
    clock = iter(range(100, 1000))
    with serving(stored) as url:
        made = Prometheus(f"{url}/", WANTED, monotonic=lambda: float(next(clock)))
        yield made
        made.close()


def test_what_a_prometheus_has_of_a_target_says_what_its_own_page_says(
    stored: Stored, prometheus: Prometheus
) -> None:
    stored.pages = {"h:1": (page_of("0.25.0"), NOW_S - 4), "router:9": (real_gateway_page(), NOW_S - 2)}

    found = prometheus.scrape({"a": "http://h:1/metrics", "g": "http://router:9/metrics"})

    a, g = found["a"], found["g"]
    assert isinstance(a, Page)
    assert isinstance(g, Page)
    assert look_of(a.text, 0.0) == look_of(page_of("0.25.0"), 0.0)
    assert gateway_page.gateway_look_of(g.text) == gateway_page.gateway_look_of(real_gateway_page())
    assert (a.at_s, g.at_s) == (96.0, 98.0)


def test_a_replica_may_be_known_there_by_the_name_its_gateway_has_for_it(
    stored: Stored, prometheus: Prometheus
) -> None:
    stored.pages = {"enova-chat-0:8000": (page_of("0.25.0"), NOW_S)}

    found = prometheus.scrape({"a": "http://127.0.0.1:32768/metrics"}, {"a": "http://enova-chat-0:8000"})

    assert isinstance(found["a"], Page)


def test_a_sample_that_is_read_twice_is_one_sample_and_the_next_one_is_another(
    stored: Stored, prometheus: Prometheus
) -> None:
    times = []
    for scraped_s in (NOW_S - 4, NOW_S - 4, NOW_S + 6):
        stored.pages = {"h:1": (page_of("0.25.0"), scraped_s)}
        found = prometheus.scrape({"a": "http://h:1/metrics"})["a"]
        assert isinstance(found, Page)
        times.append(found.at_s)
        stored.now_s += 5

    assert times == [96.0, 96.0, 98.0]


def test_what_it_does_not_have_is_unknown(stored: Stored, prometheus: Prometheus) -> None:
    stored.pages = {"h:1": ("vllm:generation_tokens_total 5\n", NOW_S)}

    found = prometheus.scrape({"a": "http://h:1/metrics", "b": "http://h:2/metrics", "c": "", "d": "http://["})

    assert set(found.values()) == {Unknown("Prometheus has no recent sample of it")}


@pytest.mark.parametrize(
    "instead",
    [
        (500, ""),
        (200, "<html>"),
        (200, '{"status": "error", "error": "bad query"}'),
        (200, '{"status": "success", "data": {"result": [{"metric": {}, "value": [1, "x"]}]}}'),
        (200, '{"status": "success", "data": {"result": [1]}}'),
        (200, "[]"),
    ],
)
def test_an_answer_that_makes_no_sense_makes_all_unknown(
    stored: Stored, prometheus: Prometheus, instead: tuple[int, str]
) -> None:
    stored.instead = instead

    (found,) = prometheus.scrape({"a": "http://h:1/metrics"}).values()

    assert isinstance(found, Unknown)
    assert found.reason.startswith("Prometheus http://127.0.0.1:")


def test_one_that_is_gone_makes_all_unknown() -> None:
    made = Prometheus("http://127.0.0.1:9", WANTED)

    (found,) = made.scrape({"a": "http://h:1/metrics"}).values()

    assert isinstance(found, Unknown)
    assert made.scrape({}) == {}
    made.close()
