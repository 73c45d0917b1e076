"""Metrics pages out of a Prometheus that scrapes replicas and gateways already, for those who have one.

A target is found by its `instance` label: the host and port of its own address, or of the one its gateway knows it
by. A sample is as old as Prometheus says it is, by its own clock, so that no clock of ours matters.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import orjson

from enova.core.metrics.target import Page
from enova.core.observed import Unknown

TIMEOUT_S = 5.0
MOST_BYTES = 64 << 20
"""Of an answer: 200 replicas have some 6 MB."""
TIMED = ("vllm:num_requests_running", "vllm_router_active_workers")
"""Told by replicas and by gateways: all series of a scrape have one time."""
NOT_THERE = Unknown("Prometheus has no recent sample of it")


class _Sample(NamedTuple):
    labels: Mapping[str, str]
    asked_s: float
    """Unix time of the answer, by Prometheus."""
    value: str


class Prometheus:
    """Stands in for a scraper. For use by one thread."""

    def __init__(
        self, url: str, wanted: Collection[str], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url.rstrip("/")
        self._wanted = sorted(wanted)
        self._monotonic = monotonic
        self._client = httpx.Client(timeout=TIMEOUT_S, trust_env=False)
        self._scraped: dict[str, tuple[float, float]] = {}
        """By name: when the last page was scraped, as Prometheus says and on our clock."""

    def scrape(self, urls: Mapping[str, str], also: Mapping[str, str] | None = None) -> dict[str, Page | Unknown]:
        """Return what there is of each URL, by the names given to them; `also` is what some are called besides."""
        if not urls:
            return {}
        try:
            times = [one for name in TIMED for one in self._ask(f"timestamp({name})")]
            now_s = self._monotonic()
            pages = _pages(self._ask(f'{{__name__=~"{"|".join(self._wanted)}"}}'))
            ages = {one.labels.get("instance", ""): (float(one.value), one.asked_s) for one in times}
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError, AttributeError) as error:
            return dict.fromkeys(urls, Unknown(f"Prometheus {self._url}: {str(error) or type(error).__name__}"))
        found: dict[str, Page | Unknown] = {}
        for name, url in urls.items():
            known = [_host(one) for one in (url, (also or {}).get(name, "")) if one]
            instance = next((one for one in known if one in pages and one in ages), None)
            found[name] = (
                NOT_THERE if instance is None else self._page(name, pages[instance], *ages[instance], now_s)
            )
        self._scraped = {name: known for name, known in self._scraped.items() if name in urls}
        return found

    def close(self) -> None:
        """Give up its connection."""
        self._client.close()

    def _page(self, name: str, text: str, scraped_s: float, asked_s: float, now_s: float) -> Page:
        """Return a page; one that was there the last time has the time it had then, to the last bit."""
        known = self._scraped.get(name)
        if known is None or known[0] != scraped_s:
            known = self._scraped[name] = (scraped_s, now_s - max(0.0, asked_s - scraped_s))
        return Page(text, known[1])

    def _ask(self, query: str) -> list[_Sample]:
        body = bytearray()
        with self._client.stream("POST", f"{self._url}/api/v1/query", data={"query": query}) as answer:
            for part in answer.iter_bytes():
                body += part
                if len(body) > MOST_BYTES:
                    raise ValueError(f"its answer is longer than {MOST_BYTES >> 20} MiB")
            if not answer.is_success:
                raise ValueError(f"it answered {answer.status_code}")
        found: Any = orjson.loads(body)
        if found["status"] != "success":
            raise ValueError(f"it says {found.get('error', found['status'])}")
        return [_Sample(one["metric"], float(one["value"][0]), one["value"][1]) for one in found["data"]["result"]]


def _pages(samples: list[_Sample]) -> dict[str, str]:
    """Return the text of a page for each instance."""
    lines: defaultdict[str, list[str]] = defaultdict(list)
    for labels, _, value in samples:
        own = ",".join(
            f'{name}="{_escaped(label)}"' for name, label in labels.items() if name not in ("__name__", "instance")
        )
        lines[labels.get("instance", "")].append(f"{labels['__name__']}{{{own}}} {float(value)!r}")
    return {instance: "\n".join(own) for instance, own in lines.items()}


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
