from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from enova.adapters.scrape import Scraper
from enova.core.metrics.target import Page
from enova.core.observed import Unknown

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup 1\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nup \r\n2\r\n2\n\r\n0\r\n\r\n"


@contextmanager
def server(*answers: bytes | None, keeps: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """Answer one question after another with `answers`, the last over and over; None: not at all.

    Yields its URL, and what it is asked, each with the number of the connection.
    """
    asked: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()
    connections: list[socket.socket] = []

    def serve(connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):
            while question := connection.recv(65536):
                answer = answers[min(len(asked), len(answers) - 1)]
                asked.append(b"%d %s" % (number, question.partition(b"\r\n")[0]))
                if answer is None:
                    ended.wait()
                    return
                connection.sendall(answer)
                if not keeps:
                    return

    def accept() -> None:
        for number in range(100):
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=serve, args=(connection, number), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/metrics", asked
    finally:
        ended.set()
        listening.shutdown(socket.SHUT_RDWR)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.fixture
def scraper() -> Iterator[Scraper]:
    made = Scraper(timeout_s=0.5, monotonic=lambda: 7.0)
    yield made
    made.close()


def found(scraper: Scraper, url: str) -> Page | Unknown:
    return scraper.scrape({"one": url})["one"]


def test_pages_come_under_the_names_that_were_given_to_them(scraper: Scraper) -> None:
    with server(OK) as (one, _), server(CHUNKED) as (other, _):
        assert scraper.scrape({"a": one, "b": other}) == {"a": Page("up 1\n", 7.0), "b": Page("up 2\n", 7.0)}


def test_a_connection_is_kept_for_the_next_time(scraper: Scraper) -> None:
    with server(OK) as (url, asked):
        for _ in range(3):
            assert isinstance(found(scraper, url), Page)

    assert asked == [b"0 GET /metrics HTTP/1.1"] * 3


def test_a_connection_that_was_closed_meanwhile_is_made_anew(scraper: Scraper) -> None:
    with server(OK, keeps=False) as (url, asked):
        for _ in range(3):
            assert isinstance(found(scraper, url), Page)

    assert [one[:1] for one in asked] == [b"0", b"1", b"2"]


def test_one_that_does_not_answer_is_unknown_and_keeps_nobody_waiting(scraper: Scraper) -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nup"
    with server(None) as (silent, _), server(half) as (slow, _), server(OK) as (well, _):
        pages = scraper.scrape({"silent": silent, "slow": slow, "well": well})

    assert pages["well"] == Page("up 1\n", 7.0)
    assert pages["silent"] == pages["slow"] == Unknown("it did not answer in time")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "it answered 503"),
        (b"\x16\x03\x01 who are you\r\n\r\n", "it does not speak HTTP"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n" + b"x" * (3 << 20),
            "its page is longer than 2048 KiB",
        ),
    ],
)
def test_what_is_no_page_is_unknown_and_says_why(scraper: Scraper, answer: bytes, why: str) -> None:
    with server(answer, OK) as (url, _):
        unknown = found(scraper, url)
        assert isinstance(unknown, Unknown)
        assert unknown.reason.startswith(why)
        assert isinstance(found(scraper, url), Page)


def test_one_that_closes_without_a_word_is_unknown(scraper: Scraper) -> None:
    with server(b"", keeps=False) as (url, _):
        assert found(scraper, url) == Unknown("it closed the connection before it had answered")


def test_one_that_is_gone_is_unknown(scraper: Scraper) -> None:
    with server(OK) as (url, _):
        assert isinstance(found(scraper, url), Page)

    assert found(scraper, url) == Unknown("it cannot be reached: Connection refused")


@pytest.mark.parametrize(
    "url", ["", "chat", "https://localhost/metrics", "http://:80/", "http://a:b/", "http://h:1/ x"]
)
def test_what_is_no_address_is_unknown(scraper: Scraper, url: str) -> None:
    unknown = found(scraper, url)

    assert isinstance(unknown, Unknown)
    assert "no address" in unknown.reason


def test_nobody_to_ask_is_no_trouble(scraper: Scraper) -> None:
    assert scraper.scrape({}) == {}


def test_bytes_that_are_no_text_are_read_as_far_as_they_are(scraper: Scraper) -> None:
    with server(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n\xffup 1\n") as (url, _):
        page = found(scraper, url)

    assert isinstance(page, Page)
    assert page.text == "�up 1\n"
