"""Specs from a git repository: real git, and a bare repository beside the test."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from enova.adapters.git import GitAddress, GitCheckout, GitCommit, command, parse_address, revision_of
from enova.errors import ObserveError, UsageError
from tests.written import written

AT_S = 1_700_000_000

# As much of gpg as git asks for: it signs anything, and finds what $VERDICT says.
GPG = """#!/bin/sh
case "$*" in
  *--verify*) printf '\\n[GNUPG:] %s\\n' "$VERDICT" 'TRUST_FULLY 0 pgp' ;;
  *) cat > /dev/null; printf '\\n[GNUPG:] SIG_CREATED D\\n' >&2
     printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nYQ==\\n-----END PGP SIGNATURE-----\\n' ;;
esac
"""

SSH = """#!/bin/sh
printf '%s\\n' "$@" > "$0.arguments"
for last; do :; done
exec sh -c "$last"
"""


def run(*words: str | Path) -> str:
    return subprocess.run(["git", *map(str, words)], check=True, capture_output=True, text=True).stdout.strip()


class Remote:
    """A bare repository, and a clone from which it gets its commits."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.work = folder / "remote.git", folder / "work"
        run("init", "--quiet", "--bare", "--initial-branch=main", self.bare)
        run("init", "--quiet", "--initial-branch=main", self.work)

    def commit(self, files: dict[str, str], subject: str = "Change", *options: str) -> str:
        for name, text in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(text)
        run("-C", self.work, "add", "--all")
        run("-C", self.work, "commit", "--quiet", "--allow-empty", "--message", subject, *options)
        run("-C", self.work, "push", "--quiet", "--force", self.bare, "HEAD")
        return run("-C", self.work, "rev-parse", "HEAD")

    def address(self, place: str = "") -> GitAddress:
        return parse_address(f"git+file://{self.bare}{place}")


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    (tmp_path / "gitconfig").write_text(
        f"[user]\nname = Ada\nemail = ada@example.com\n[gpg]\nprogram = {tmp_path}/gpg\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_COMMITTER_DATE", f"{AT_S} +0000")
    # What pytest's folders are in must not count as a work tree.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "specs"


def trees(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()} - {"repository"}


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


# Addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("git+https://host/a.git", GitAddress("https://host/a.git", None, "")),
        ("git+https://host:8443/a.git#main", GitAddress("https://host:8443/a.git", "main", "")),
        ("git+ssh://git@host/a.git#v1/x:prod/eu", GitAddress("ssh://git@host/a.git", "v1/x", "prod/eu")),
        ("git+file:///srv/a.git#main:prod", GitAddress("file:///srv/a.git", "main", "prod")),
        ("git+git@host:team/a.git#:my prod", GitAddress("git@host:team/a.git", None, "my prod")),
        ("git+git@[::1]:a.git", GitAddress("git@[::1]:a.git", None, "")),
    ],
)
def test_an_address_is_read_and_written_the_same(text: str, address: GitAddress) -> None:
    assert (parse_address(text), str(address)) == (address, text)


def test_the_folder_of_an_address_is_written_one_way() -> None:
    assert parse_address("git+https://host/a#main:./prod//eu/").subdir == "prod/eu"
    assert parse_address("git+https://host/a#main:.").subdir == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://host/a.git", "begins with git+"),
        ("git+", "holds no URL"),
        ("git+#main", "holds no URL"),
        ("git+http://host/a.git", "unknown scheme: http"),
        ("git+ext::sh -c id", "a space or a control character"),
        ("git+ext::id", "not a URL to fetch from"),
        ("git+/srv/a.git", "not a URL to fetch from"),
        ("git+-oProxyCommand=id@host:a", "not a URL to fetch from"),
        ("git+ssh://-oProxyCommand=id/a", "does not name a host"),
        ("git+ssh://-oProxyCommand=id@host/a", "does not name a host"),
        ("git+https://host", "does not name a host and a repository"),
        ("git+https:///a.git", "does not name a host and a repository"),
        ("git+https://host:x/a.git", "cannot be read"),
        ("git+https://host/a\n.git", "a space or a control character"),
        ("git+file://srv/a.git", "takes an absolute path"),
        ("git+https://host/a.git#--upload-pack=id", "a branch cannot begin with -"),
        ("git+https://host/a.git#ma*n", "not a name that a branch can have"),
        ("git+https://host/a.git#a..b", "not a name that a branch can have"),
        ("git+https://host/a.git#main:/etc", "not a folder inside of the repository"),
        ("git+https://host/a.git#main:a/../../etc", "not a folder inside of the repository"),
    ],
)
def test_what_is_not_an_address_is_refused_with_a_hint(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_address(text)

    assert message in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "git+https://ada:s3cret@host/a.git",
        "git+https://s3cret@host/a.git",
        "git+https://host/a.git?private_token=s3cret",
        "git+ssh://git:s3cret@host/a.git",
        "git+ada:s3cret@host:a.git",
        "git+http://ada:s3cret@host/a.git",
        "git+https://ada:s3#cret@host/a.git",
        "git+https://ada#s3cret@host/a.git",
        "https://ada:s3cret@host/a.git",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_address(text)

    assert "s3" not in f"{raised.value} {raised.value.hint}"


def test_who_wrote_a_secret_is_told_where_it_belongs() -> None:
    with pytest.raises(UsageError) as raised:
        parse_address("git+https://ada:s3cret@host/a.git")

    assert raised.value.hint is not None
    assert "credential helper" in raised.value.hint
    assert "ssh key" in raised.value.hint


# Updates


def test_the_newest_commit_becomes_a_folder_of_its_own(remote: Remote, folder: Path) -> None:
    remote.commit({"prod/chat.yaml": "old"})
    sha = remote.commit({"prod/chat.yaml": "new"}, "Say new things: ü")
    checkout = GitCheckout(folder, remote.address("#main:prod"))

    assert checkout.update() == sha
    assert checkout.path == folder / sha / "prod"
    assert (checkout.path / "chat.yaml").read_text() == "new"
    assert checkout.revision == GitCommit(sha, "Ada", "Say new things: ü", AT_S, signed=False)
    assert run(f"--git-dir={folder}/repository", "rev-list", "--all", "--count") == "1"


def test_a_plain_path_and_the_remotes_own_branch_do_as_well(remote: Remote, folder: Path) -> None:
    sha = remote.commit({"chat.yaml": "text"})
    checkout = GitCheckout(folder, GitAddress(str(remote.bare), None, ""))

    assert checkout.update() == sha
    assert (checkout.path / "chat.yaml").read_text() == "text"


def test_before_the_first_update_there_is_neither_revision_nor_path(remote: Remote, folder: Path) -> None:
    checkout = GitCheckout(folder, remote.address())

    assert checkout.revision is None
    with pytest.raises(ObserveError, match="nothing was fetched from git"):
        _ = checkout.path


def test_a_tree_in_use_does_not_change_and_goes_with_the_second_commit_after_it(
    remote: Remote, folder: Path
) -> None:
    checkout = GitCheckout(folder, remote.address())
    first = remote.commit({"a.yaml": "1", "gone.yaml": ""})
    checkout.update()
    used = checkout.path
    (remote.work / "gone.yaml").unlink()
    second = remote.commit({"a.yaml": "2"})
    checkout.update()

    assert {path.name: path.read_text() for path in used.iterdir()} == {"a.yaml": "1", "gone.yaml": ""}
    assert [path.name for path in checkout.path.iterdir()] == ["a.yaml"]
    assert trees(folder) == {first, second}

    third = remote.commit({"a.yaml": "3"})
    checkout.update()

    assert trees(folder) == {second, third}


def test_where_nothing_changed_an_update_changes_nothing(remote: Remote, folder: Path) -> None:
    checkout = GitCheckout(folder, remote.address())
    old = remote.commit({"a.yaml": "1"})
    checkout.update()
    new = remote.commit({"a.yaml": "2"})
    checkout.update()
    before = written(checkout.path / "a.yaml")

    assert checkout.update() == new
    assert written(checkout.path / "a.yaml") == before
    assert trees(folder) == {old, new}


def test_history_that_was_rewritten_is_followed_back_and_forth(remote: Remote, folder: Path) -> None:
    checkout = GitCheckout(folder, remote.address("#main"))
    first = remote.commit({"a.yaml": "1"}, "One")
    checkout.update()
    second = remote.commit({"a.yaml": "2"}, "Two", "--amend")

    assert checkout.update() == second

    run("-C", remote.work, "push", "--quiet", "--force", remote.bare, f"{first}:refs/heads/main")

    assert checkout.update() == first
    assert (checkout.path / "a.yaml").read_text() == "1"
    assert checkout.revision is not None
    assert checkout.revision.subject == "One"


def test_an_empty_commit_makes_an_empty_folder(remote: Remote, folder: Path) -> None:
    remote.commit({})
    checkout = GitCheckout(folder, remote.address())
    checkout.update()

    assert list(checkout.path.iterdir()) == []


def test_after_a_restart_and_without_the_remote_the_last_tree_is_still_known(remote: Remote, folder: Path) -> None:
    sha = remote.commit({"a.yaml": "1"})
    GitCheckout(folder, remote.address()).update()
    remote.bare.rename(remote.bare.with_name("away"))
    checkout = GitCheckout(folder, remote.address())

    with pytest.raises(ObserveError, match="does not appear to be a git repository") as raised:
        checkout.update()

    assert raised.value.hint == (
        f"see whether git alone can reach it, as the same user: git ls-remote file://{remote.bare}"
    )
    assert (checkout.path / "a.yaml").read_text() == "1"
    assert checkout.revision == GitCommit(sha, "Ada", "Change", AT_S, signed=False)


def test_the_tree_of_one_address_is_not_taken_for_that_of_another(remote: Remote, folder: Path) -> None:
    sha = remote.commit({"prod/a.yaml": "1"})
    GitCheckout(folder, remote.address()).update()
    checkout = GitCheckout(folder, remote.address("#main:prod"))

    assert checkout.revision is None
    assert checkout.update() == sha
    assert (checkout.path / "a.yaml").read_text() == "1"


@pytest.mark.parametrize(
    ("place", "message", "hint"),
    [
        ("#nowhere", "couldn't find remote ref refs/heads/nowhere", "check the name of the branch"),
        ("#main:nowhere", "path 'nowhere' does not exist", "check the folder"),
        ("#main:a.yaml", "a.yaml is not a folder", "check the folder"),
        ("#main:link", "link is not a folder", "check the folder"),
    ],
)
def test_a_branch_or_folder_that_is_not_there_is_said_in_gits_words_and_changes_nothing(
    remote: Remote, folder: Path, place: str, message: str, hint: str
) -> None:
    (remote.work / "link").symlink_to("/etc")
    sha = remote.commit({"a.yaml": "1"})
    GitCheckout(folder, remote.address()).update()
    before = (folder / "newest.json").read_text()

    with pytest.raises(ObserveError) as raised:
        GitCheckout(folder, remote.address(place)).update()

    assert message in raised.value.message
    assert (raised.value.hint or "").startswith(hint)
    assert ((folder / "newest.json").read_text(), trees(folder)) == (before, {sha})


def test_a_remote_without_commits_is_an_error_until_there_is_one(remote: Remote, folder: Path) -> None:
    checkout = GitCheckout(folder, remote.address())
    with pytest.raises(ObserveError, match="couldn't find remote ref HEAD") as raised:
        checkout.update()
    assert raised.value.hint == "push a first commit, or name a branch"

    assert remote.commit({}) == checkout.update()


def test_links_become_files_that_lead_nowhere(remote: Remote, folder: Path) -> None:
    (remote.work / "out.yaml").symlink_to("/etc/passwd")
    (remote.work / "up").symlink_to("../..")
    remote.commit({"a.yaml": "1"})
    checkout = GitCheckout(folder, remote.address())
    checkout.update()

    assert not any(path.is_symlink() for path in checkout.path.rglob("*"))
    assert (checkout.path / "out.yaml").read_text() == "/etc/passwd"


def test_hooks_from_the_users_configuration_do_not_run(remote: Remote, folder: Path, tmp_path: Path) -> None:
    remote.commit({"a.yaml": "1"})
    ran = tmp_path / "ran"
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        script(tmp_path / hook, f"#!/bin/sh\ntouch {ran}\n")
    run("config", "--global", "core.hooksPath", tmp_path)
    GitCheckout(folder, remote.address()).update()

    assert not ran.exists()


def test_what_a_killed_update_left_behind_is_completed(remote: Remote, folder: Path) -> None:
    checkout = GitCheckout(folder, remote.address())
    remote.commit({"a.yaml": "1"})
    checkout.update()
    sha = remote.commit({"a.yaml": "2"})
    for lock in ("shallow.lock", "packed-refs.lock", "refs/enova/fetched.lock"):
        (folder / "repository" / lock).touch()
    (folder / ".new-killed" / "tree").mkdir(parents=True)
    (folder / f".old-{sha}").mkdir()

    assert checkout.update() == sha
    assert (checkout.path / "a.yaml").read_text() == "2"
    assert list(folder.glob(".[no][el][wd]-*")) == []


def test_a_kill_between_the_tree_and_the_record_of_it_leaves_the_old_one_in_force(
    remote: Remote, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = GitCheckout(folder, remote.address())
    old = remote.commit({"a.yaml": "1"})
    checkout.update()
    new = remote.commit({"a.yaml": "2"})
    with monkeypatch.context() as patched:
        patched.setattr(GitCheckout, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            checkout.update()

    assert checkout.path == folder / old
    assert checkout.update() == new
    assert checkout.path == folder / new


def test_a_clone_that_was_never_finished_or_is_broken_is_made_anew(remote: Remote, folder: Path) -> None:
    (folder / "repository").mkdir(parents=True)
    sha = remote.commit({"a.yaml": "1"})
    checkout = GitCheckout(folder, remote.address())
    assert checkout.update() == sha

    for object_file in (folder / "repository" / "objects").rglob("*"):
        if object_file.is_file():
            object_file.chmod(0o644)
            object_file.write_bytes(b"")
    newer = remote.commit({"a.yaml": "2"})
    with pytest.raises(ObserveError):
        checkout.update()

    assert checkout.path == folder / sha
    assert checkout.update() == newer


def test_a_commit_whose_files_cannot_be_had_costs_the_clone_and_not_the_tree(
    remote: Remote, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = GitCheckout(folder, remote.address())
    old = remote.commit({"a.yaml": "1"})
    checkout.update()
    new = remote.commit({"a.yaml": "2"})

    def lose_files(self: GitCheckout, sha: str) -> None:
        blob = run(f"--git-dir={folder}/repository", "rev-parse", f"{sha}:a.yaml")
        (folder / "repository" / "objects" / blob[:2] / blob[2:]).unlink()

    with monkeypatch.context() as patched:
        patched.setattr(GitCheckout, "_require_subdir", lose_files)
        with pytest.raises(ObserveError) as raised:
            checkout.update()

    assert raised.value.hint == "nothing to do: the next update makes a new clone"
    assert (checkout.path, trees(folder)) == (folder / old, {old})
    assert checkout.update() == new


def test_a_record_that_cannot_be_read_counts_as_none(remote: Remote, folder: Path) -> None:
    sha = remote.commit({})
    checkout = GitCheckout(folder, remote.address())
    checkout.update()
    (folder / "newest.json").write_text('{"address": 1}')

    assert checkout.revision is None
    assert checkout.update() == sha
    assert checkout.path == folder / sha


def test_two_updates_at_once_are_one_too_many(remote: Remote, folder: Path) -> None:
    remote.commit({})
    folder.mkdir(parents=True)
    with (folder / "update.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ObserveError, match="another process updates it"):
            GitCheckout(folder, remote.address()).update()


def test_a_folder_that_cannot_be_written_is_named(remote: Remote, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ObserveError, match="file/specs: cannot be written") as raised:
        GitCheckout(tmp_path / "file" / "specs", remote.address()).update()

    assert raised.value.hint == "check the folder, and the room on its disk"


def test_the_repository_of_whoever_started_enova_is_left_alone(
    remote: Remote, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = remote.commit({"a.yaml": "1"})
    monkeypatch.setenv("GIT_DIR", str(remote.work / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(remote.work / ".git" / "other"))
    checkout = GitCheckout(folder, remote.address())

    assert checkout.update() == sha
    assert revision_of(checkout.path) is None
    assert not (remote.work / ".git" / "other").exists()


@pytest.mark.parametrize(
    ("verdict", "signed"),
    [
        ("GOODSIG 0123456789ABCDEF Ada", True),
        ("BADSIG 0123456789ABCDEF Ada", None),
        ("ERRSIG 0123456789ABCDEF 1 8 00 1700000000 9", None),
        ("EXPKEYSIG 0123456789ABCDEF Ada", None),
    ],
)
def test_a_signature_counts_if_it_is_found_good(
    remote: Remote,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verdict: str,
    signed: bool | None,
) -> None:
    script(tmp_path / "gpg", GPG)
    monkeypatch.setenv("VERDICT", verdict)
    remote.commit({}, "Sign", "--gpg-sign=ada")
    checkout = GitCheckout(folder, remote.address())
    checkout.update()

    assert checkout.revision is not None
    assert checkout.revision.signed is signed


def test_a_signature_that_nothing_can_check_is_not_taken_for_none(
    remote: Remote, folder: Path, tmp_path: Path
) -> None:
    gpg = script(tmp_path / "gpg", GPG)
    remote.commit({}, "Sign", "--gpg-sign=ada")
    gpg.unlink()
    checkout = GitCheckout(folder, remote.address())
    checkout.update()

    assert checkout.revision is not None
    assert checkout.revision.signed is None


def test_over_ssh_nobody_is_asked(
    remote: Remote, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = remote.commit({})
    monkeypatch.setenv("GIT_SSH_COMMAND", f"{script(tmp_path / 'ssh', SSH)} -i key")
    checkout = GitCheckout(folder, parse_address(f"git+git@host:{remote.bare}#main"))

    assert checkout.update() == sha
    arguments = (tmp_path / "ssh.arguments").read_text().splitlines()
    assert arguments[:4] == ["-i", "key", "-o", "BatchMode=yes"]


def test_the_reason_that_ssh_gives_is_passed_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = script(tmp_path / "ssh", "#!/bin/sh\necho 'Permission denied (publickey).' >&2; exit 255\n")
    monkeypatch.setenv("GIT_SSH", str(refusing))

    with pytest.raises(ObserveError) as raised:
        GitCheckout(folder, parse_address("git+ssh://git@host/a.git")).update()

    assert raised.value.message == (
        "git+ssh://git@host/a.git: Permission denied (publickey).; Could not read from remote repository."
    )


def test_a_remote_that_does_not_answer_is_given_up_together_with_its_helpers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Were the helper left alone, it would hold the pipes, and this test, for an hour.
    monkeypatch.setenv("GIT_SSH", str(script(tmp_path / "ssh", "#!/bin/sh\nsleep 3600\n")))
    monkeypatch.setattr(command, "TIMEOUT_S", 1.0)

    with pytest.raises(ObserveError, match="git was not done within 1 s"):
        GitCheckout(folder, parse_address("git+ssh://git@host/a.git")).update()


def test_credentials_that_gits_configuration_puts_into_a_url_are_not_repeated(
    folder: Path, remote: Remote
) -> None:
    run("config", "--global", "url.https://ada:s3cret@127.0.0.1:1/.insteadOf", "https://host/")

    with pytest.raises(ObserveError, match=r"https://127\.0\.0\.1:1/a\.git") as raised:
        GitCheckout(folder, parse_address("git+https://host/a.git")).update()

    assert "s3cret" not in f"{raised.value} {raised.value.hint}"


def test_where_git_is_not_installed_that_is_said(
    remote: Remote, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = GitCheckout(folder, remote.address())
    sha = remote.commit({})
    checkout.update()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    with pytest.raises(ObserveError, match="git is not installed"):
        checkout.update()
    assert checkout.path == folder / sha
    assert revision_of(remote.work) is None


def test_a_git_that_cannot_be_run_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin" / "git", "#!/does/not/exist\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    with pytest.raises(ObserveError, match="git cannot be run"):
        GitCheckout(folder, parse_address("git+https://host/a.git")).update()


# Work trees of others


def test_the_commit_of_a_file_or_folder_is_that_of_its_work_tree(remote: Remote) -> None:
    sha = remote.commit({"prod/a.yaml": "1", "b.yaml": "1"})
    (remote.work / "link").symlink_to("b.yaml")
    linked = remote.commit({})

    assert sha != linked
    for name in ("", "prod", "prod/a.yaml", "b.yaml", "link"):
        assert revision_of(remote.work / name) == linked


def test_changes_count_for_what_was_asked_about_only(remote: Remote) -> None:
    sha = remote.commit({"prod/a.yaml": "1", "test/a.yaml": "1"})
    (remote.work / "prod" / "a.yaml").write_text("2")
    (remote.work / "prod" / "new.yaml").write_text("1")

    assert revision_of(remote.work / "prod") == f"{sha} (changed)"
    assert revision_of(remote.work / "prod" / "a.yaml") == f"{sha} (changed)"
    assert revision_of(remote.work / "prod" / "new.yaml") == f"{sha} (changed)"
    assert revision_of(remote.work / "test") == sha


def test_outside_of_a_work_tree_there_is_no_commit(remote: Remote, tmp_path: Path) -> None:
    assert revision_of(tmp_path) is None
    assert revision_of(tmp_path / "missing" / "file") is None
    assert revision_of(Path("nul\0")) is None
    assert revision_of(remote.work) is None, "it has no commit yet"

    remote.commit({})

    assert revision_of(remote.bare) is None
