"""As much of GitHub's API as the action uses, in memory: comments, and what was merged as what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

REPOSITORY = "acme/serving"
PAGE = 2
"""Comments a page; small, so that what is looked for is not on the first one."""


@dataclass(slots=True)
class GitHub:
    """One repository. Who writes with the token is the actions' own bot."""

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    merged: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Commit -> the pull requests it belongs to."""
    read_only: bool = False
    """As the token of a pull request from a fork is."""
    tokens: set[str | None] = field(default_factory=set)

    def comment(self, body: str, author: str, number: int = 7) -> None:
        """Let somebody comment on a pull request."""
        comment = {"id": len(self.comments) + 1, "body": body, "user": {"login": author}, "number": number}
        self.comments.append(comment)

    def merge(self, number: int, commit: str) -> None:
        """Let a pull request be merged as a commit."""
        self.merged[commit] = [{"number": number, "merged_at": "2026-11-01", "merge_commit_sha": commit}]

    def bodies(self, number: int = 7) -> list[str]:
        """Return the comments on a pull request, the oldest first."""
        return [comment["body"] for comment in self.comments if comment["number"] == number]

    @contextmanager
    def serve(self) -> Iterator[GitHub]:
        """Answer at `url`."""
        with ThreadingHTTPServer(("127.0.0.1", 0), _handler(self)) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def answer(self, verb: str, path: str, sent: Any) -> tuple[int, Any]:
        """Return status and body; a list is cut into pages by who sends it."""
        path = path.removeprefix(f"/repos/{REPOSITORY}/")
        if verb != "GET" and self.read_only:
            return HTTPStatus.FORBIDDEN, {"message": "Resource not accessible by integration"}
        if found := re.fullmatch(r"issues/(\d+)/comments", path):
            number = int(found[1])
            if verb == "POST":
                self.comment(sent["body"], "github-actions[bot]", number)
                return HTTPStatus.CREATED, self.comments[-1]
            return HTTPStatus.OK, [one for one in self.comments if one["number"] == number]
        if verb == "PATCH" and (found := re.fullmatch(r"issues/comments/(\d+)", path)):
            comment = self.comments[int(found[1]) - 1]
            comment["body"] = sent["body"]
            return HTTPStatus.OK, comment
        if found := re.fullmatch(r"commits/(\w+)/pulls", path):
            return HTTPStatus.OK, self.merged.get(found[1], [])
        return HTTPStatus.NOT_FOUND, {"message": "Not Found"}


def _handler(github: GitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            github.tokens.add(self.headers.get("Authorization"))
            path, _, query = self.path.partition("?")
            page = int(found[1]) if (found := re.search(r"\bpage=(\d+)", query)) else 1
            status, body = github.answer(self.command, path, json.loads(sent) if sent else None)
            self.send_response(status)
            if isinstance(body, list):
                if len(body) > page * PAGE:
                    more = f"{github.url}{path}?per_page=100&page={page + 1}"
                    self.send_header("Link", f'<{more}>; rel="next", <{more}>; rel="last"')
                body = body[(page - 1) * PAGE : page * PAGE]
            encoded = json.dumps(body).encode()
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        do_POST = do_PATCH = do_GET  # noqa: N815 - the base class looks for them

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Keep the test output clean."""

    return Handler
