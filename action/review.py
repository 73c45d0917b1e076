"""The plan as one comment on a pull request, and the checksum that was reviewed there.

Run by `action.yml` in Enova's own environment, with what the runner says in its. The checksum is kept in a marker
nobody sees, and is believed only in comments of the one who writes them here: anybody may comment.

    review.py comment     write the plan, or why there is none, over the comment that is there already
    review.py checksum    print the checksum of the pull request that was merged as this commit
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

BODY_MAX = 60_000
"""A comment on GitHub ends at 65,536 characters; the rest is room for what stands around the plan."""
TIMEOUT_S = 30.0


class NotReviewed(Exception):
    """There is no plan that somebody could have agreed to."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the runner says of the job, and the way to GitHub."""

    github: httpx.Client
    environment: Mapping[str, str]
    event: Mapping[str, Any]

    def pull_request(self) -> int | None:
        """Return the number of the pull request that the event is about."""
        number = self.event.get("pull_request", {}).get("number")
        return int(number) if number is not None else None

    def marker(self) -> str:
        """Return how a comment begins that is about this plan. Its title is not in it: it may end a comment."""
        return f"<!-- enova {hashlib.sha256(self.environment['TITLE'].encode()).hexdigest()[:12]} "

    def comments(self, number: int) -> Iterator[Mapping[str, Any]]:
        """Yield comments that this action wrote on a pull request, in their order."""
        for comment in self.listed(f"issues/{number}/comments"):
            author = (comment.get("user") or {}).get("login")
            if author == self.environment["AUTHOR"] and comment["body"].startswith(self.marker()):
                yield comment

    def listed(self, path: str) -> Iterator[Mapping[str, Any]]:
        """Yield all of a list, page by page."""
        url: str | None = f"{path}?per_page=100"
        while url:
            answer = self.github.get(url).raise_for_status()
            yield from answer.json()
            url = answer.links.get("next", {}).get("url")


def main() -> int:
    """Do what the one argument says, and return the exit code."""
    environment = os.environ
    event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    headers = {
        "Authorization": f"Bearer {environment['GITHUB_TOKEN']}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    address = f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}/"
    with httpx.Client(base_url=address, headers=headers, timeout=TIMEOUT_S) as github:
        job = Job(github, environment, event)
        try:
            if sys.argv[1:] == ["comment"]:
                comment(job)
            else:
                print(reviewed_checksum(job))
        except NotReviewed as error:
            print(f"::error::{error}", file=sys.stderr)
            return 1
        except httpx.HTTPError as error:
            return _failed(error)
    return 0


def comment(job: Job) -> None:
    """Write the plan into the comment that is there, or into a new one."""
    number = job.pull_request()
    if number is None:
        print("no comment: this is not about a pull request")
        return
    text = {"body": body(job)}
    before = next(job.comments(number), None)
    if before:
        answer = job.github.patch(f"issues/comments/{before['id']}", json=text)
    else:
        answer = job.github.post(f"issues/{number}/comments", json=text)
    if answer.status_code == httpx.codes.FORBIDDEN:
        # From a fork the token can only read; the plan is in the job's summary all the same.
        print("::warning::the plan is not written as a comment: this token may not (pull-requests: write)")
        return
    print(answer.raise_for_status().json().get("html_url", ""))


def body(job: Job) -> str:
    """Return the comment: marker, title, and the plan or why there is none."""
    folder = Path(job.environment["RUNNER_TEMP"]) / "enova"
    plan, said = _text(folder / "plan.md"), _text(folder / "plan.err")
    if plan:
        text = plan
    elif said:
        text = f"**There is no plan.**\n\n<pre>{html.escape(said, quote=False)}</pre>\n"
    else:
        text = "**There is no plan: the specs are not valid.** What is wrong is noted beside their lines.\n"
    if len(text) > BODY_MAX:
        text = f"{text[:BODY_MAX]}\n\nThe rest is in the summary of the job.\n"
    marker = f"{job.marker()}checksum={job.environment['CHECKSUM'] or 'none'} -->"
    head = job.event["pull_request"].get("head", {}).get("sha", "")
    return f"{marker}\n### {job.environment['TITLE']}\n\n{text}\n<sub>For {head}</sub>\n"


def reviewed_checksum(job: Job) -> str:
    """Return the checksum in the comment on the pull request whose merge this commit is."""
    number, commit = job.pull_request(), job.environment["GITHUB_SHA"]
    if number is None:
        pulls = job.listed(f"commits/{commit}/pulls")
        merged = [pull for pull in pulls if pull.get("merged_at") and pull.get("merge_commit_sha") == commit]
        if not merged:
            raise NotReviewed(f"no pull request was merged as {commit}, so nobody has reviewed a plan of it")
        number = int(merged[0]["number"])
    elif not job.event["pull_request"].get("merged"):
        raise NotReviewed(f"pull request {number} is not merged")
    found = next(job.comments(number), None)
    said = re.compile(rf"{re.escape(job.marker())}checksum=([0-9a-f]{{16}}) -->")
    checksum = said.match(found["body"]) if found else None
    if not checksum:
        raise NotReviewed(f"there is no plan that could be reviewed on pull request {number}")
    return checksum[1]


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _failed(error: httpx.HTTPError) -> int:
    said = error.response.text[:500] if isinstance(error, httpx.HTTPStatusError) else ""
    line = " ".join(f"GitHub: {error} {said}".split())
    print(f"::error::{line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
