"""DVC keeps the contract of `versioning`, and what is kept is what DVC's own users know."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stackproof.adapters.versioning.embedded import EmbeddedSnapshots
from stackproof.errors import Conflict, Corrupted, RefusedInput, StackproofError, Unavailable
from stackproof.roles.adapter import Setting
from stackproof.testing.versioning import BYTES, TREE, VersioningConformance, read_tree, write_tree

pytestmark = pytest.mark.tools
ROLE, TOOL = "versioning", "dvc"
KEYS = {"access_key_id": "stackproof-key", "secret_access_key": "stackproof-secret"}


class Dvc:
    """Adapters in the environment of DVC, and its own command line."""

    def __init__(self, python: Path, made: Callable[..., Any]) -> None:
        self.python, self.open = python, made

    def shell(self, folder: Path, *command: str) -> str:
        """What a user's command prints."""
        environment = os.environ | {
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(folder.parent / "users-cache"),
            "AWS_ACCESS_KEY_ID": KEYS["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": KEYS["secret_access_key"],
        }
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def dvc(python: Path, made: Callable[..., Any]) -> Dvc:
    return Dvc(python, made)


@pytest.mark.usefixtures("in_its_own_environment")
class TestDvc(VersioningConformance):
    """In repositories of its own, without options."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "tree", TREE)


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "source.bin"
    path.write_bytes(content)
    return path


def stored(home: Path, *, remote: bool) -> list[Path]:
    """The content that DVC has in its cache, or in its remote."""
    place = home / "remote" if remote else home / "repository" / ".dvc" / "cache"
    return sorted(path for path in place.rglob("*") if path.is_file())


def overwrite(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


# What a user of DVC sees


def test_a_users_status_is_clean_and_a_clone_pulls_everything(dvc: Dvc, home: Path, tree: Path, tmp_path: Path) -> None:
    snapshots = dvc.open(home)
    older = snapshots.snapshot("table", file_of(tmp_path, b"one"))
    snapshots.snapshot("table", file_of(tmp_path, b"two"))
    snapshots.snapshot("flights", tree)
    repository = home / "repository"
    assert "up to date" in dvc.shell(repository, "dvc", "status")
    assert dvc.shell(repository, "git", "status", "--porcelain") == ""
    dvc.shell(tmp_path, "git", "clone", "--quiet", str(repository), "clone")
    clone = tmp_path / "clone"
    dvc.shell(clone, "dvc", "pull")
    assert (clone / "data" / "table").read_bytes() == b"two"
    assert read_tree(clone / "data" / "flights") == TREE
    tag = older.id.removeprefix("data:")
    dvc.shell(clone, "dvc", "get", str(repository), "data/table", "--rev", tag, "--out", "older")
    assert (clone / "older").read_bytes() == b"one"


def test_the_tools_own_api_reads_each_version_by_its_tag(dvc: Dvc, home: Path, tmp_path: Path) -> None:
    snapshots = dvc.open(home)
    versions = [snapshots.snapshot("table", file_of(tmp_path, content)) for content in (b"one", b"two")]
    code = (
        "import dvc.api, json, sys\n"
        "print(json.dumps([dvc.api.read('data/table', repo=sys.argv[1], rev=rev) for rev in sys.argv[2:]]))"
    )
    tags = [version.id.removeprefix("data:") for version in versions]
    printed = dvc.shell(home, str(dvc.python), "-c", code, str(home / "repository"), *tags)
    assert json.loads(printed.splitlines()[-1]) == ["one", "two"]


def test_the_dvc_file_says_which_version_it_is(dvc: Dvc, home: Path, tmp_path: Path) -> None:
    version = dvc.open(home).snapshot("table", file_of(tmp_path, b"one"))
    text = (home / "repository" / "data" / "table.dvc").read_text()
    assert version.id in text
    assert version.digest.removeprefix("sha256:") in text
    assert "md5: f97c5d29941bfb1b2fdab0874906ab82" in text


def test_content_that_comes_back_is_the_newest_again_for_a_user(dvc: Dvc, home: Path, tmp_path: Path) -> None:
    snapshots = dvc.open(home)
    for content in (b"one", b"two", b"one"):
        snapshots.snapshot("table", file_of(tmp_path, content))
    assert (home / "repository" / "data" / "table").read_bytes() == b"one"
    assert "up to date" in dvc.shell(home / "repository", "dvc", "status")


def test_statistics_of_use_are_switched_off(dvc: Dvc, home: Path, tmp_path: Path) -> None:
    dvc.open(home).snapshot("table", file_of(tmp_path, b"one"))
    assert dvc.shell(home / "repository", "dvc", "config", "core.analytics").strip() == "False"


# Content


def test_the_digest_is_the_one_of_the_embedded_versioning(dvc: Dvc, home: Path, tree: Path, tmp_path: Path) -> None:
    (tree / "hollow" / "er").mkdir(parents=True)
    embedded = EmbeddedSnapshots(Setting(tmp_path / "embedded"))
    for source in (tree, tree / "a.csv"):
        ours, theirs = dvc.open(home).snapshot("x", source), embedded.snapshot("x", source)
        assert (ours.digest, ours.files, ours.size) == (theirs.digest, theirs.files, theirs.size)
    embedded.close()


@pytest.mark.parametrize("name", [".", "..", ".git", ".dvc", "x.dvc", "a.lock", "-x", "dvc.yaml", "a..b", "a."])
def test_a_name_that_git_or_dvc_keep_for_themselves_is_a_name(dvc: Dvc, home: Path, tmp_path: Path, name: str) -> None:
    snapshots = dvc.open(home)
    other = snapshots.snapshot("x", file_of(tmp_path, b"other"))
    version = snapshots.snapshot(name, file_of(tmp_path, b"one"))
    assert snapshots.versions(name) == [version]
    assert snapshots.restore(name, version.digest, tmp_path / "restored").read_bytes() == b"one"
    snapshots.remove(name, version.digest)
    assert snapshots.versions() == [other]
    assert "up to date" in dvc.shell(home / "repository", "dvc", "status")


@pytest.mark.parametrize("left_out", [".git/config", "deep/.dvc/config", ".dvcignore"])
def test_files_that_dvc_would_leave_out_are_refused(
    dvc: Dvc, home: Path, tree: Path, tmp_path: Path, left_out: str
) -> None:
    snapshots = dvc.open(home)
    version = snapshots.snapshot("flights", tree)
    folder = write_tree(tmp_path / "with", TREE | {left_out: b"secret"})
    with pytest.raises(RefusedInput, match="dvc"):
        snapshots.snapshot("flights", folder)
    assert snapshots.versions() == [version]
    assert "up to date" in dvc.shell(home / "repository", "dvc", "status")


def test_a_symbolic_link_is_refused(dvc: Dvc, home: Path, tree: Path) -> None:
    (tree / "link").symlink_to(tree / "a.csv")
    with pytest.raises(RefusedInput, match="link"):
        dvc.open(home).snapshot("flights", tree)


def test_a_damaged_cache_is_mended_from_the_remote(dvc: Dvc, home: Path, tree: Path, tmp_path: Path) -> None:
    snapshots = dvc.open(home)
    version = snapshots.snapshot("flights", tree)
    for number, path in enumerate(stored(home, remote=False)):
        overwrite(path, b"scribble") if number % 2 else path.unlink()
    assert read_tree(snapshots.restore("flights", version.digest, tmp_path / "restored")) == TREE


def test_damage_in_the_cache_and_in_the_remote_is_told_and_the_original_mends_both(
    dvc: Dvc, home: Path, tmp_path: Path
) -> None:
    snapshots = dvc.open(home)
    version = snapshots.snapshot("table", file_of(tmp_path, BYTES))
    for remote in (False, True):
        overwrite(stored(home, remote=remote)[0], b"scribble")
    with pytest.raises(Corrupted, match="damaged"):
        snapshots.restore("table", version.digest, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()
    assert not list(tmp_path.glob(".*.tmp"))
    assert snapshots.snapshot("table", file_of(tmp_path, BYTES)) == version
    assert [path.read_bytes() for remote in (False, True) for path in stored(home, remote=remote)] == [BYTES, BYTES]


def test_what_no_version_uses_is_freed_everywhere(dvc: Dvc, home: Path, tree: Path) -> None:
    snapshots = dvc.open(home)
    older = snapshots.snapshot("flights", tree)
    (tree / "a.csv").write_bytes(b"other")
    newer = snapshots.snapshot("flights", tree)
    before = [len(stored(home, remote=remote)) for remote in (False, True)]
    snapshots.remove("flights", newer.digest)
    assert [len(stored(home, remote=remote)) for remote in (False, True)] == [count - 2 for count in before]
    assert read_tree(home / "repository" / "data" / "flights") == TREE
    snapshots.remove("flights", older.digest)
    assert [len(stored(home, remote=remote)) for remote in (False, True)] == [0, 0]


def test_a_new_version_takes_over_what_stayed_equal_and_every_change_of_shape(
    dvc: Dvc, home: Path, tree: Path, tmp_path: Path
) -> None:
    snapshots = dvc.open(home)
    snapshots.snapshot("flights", tree)
    kept = (home / "repository" / "data" / "flights" / "empty").stat().st_ino
    changed = write_tree(
        tmp_path / "changed",
        {"a.csv/now a folder": b"1", "deep/er": b"now a file", "empty": b"", "new/x": b"2"},
    )
    (changed / "hollow").mkdir()
    version = snapshots.snapshot("flights", changed)
    embedded = EmbeddedSnapshots(Setting(tmp_path / "embedded"))
    assert version.digest == embedded.snapshot("flights", changed).digest
    embedded.close()
    assert read_tree(snapshots.restore("flights", version.digest, tmp_path / "restored")) == read_tree(changed)
    assert (home / "repository" / "data" / "flights" / "empty").stat().st_ino == kept
    assert "up to date" in dvc.shell(home / "repository", "dvc", "status")


# Many writers, and faults


def test_two_processes_lose_nothing(dvc: Dvc, home: Path, tmp_path: Path) -> None:
    adapters = [dvc.open(home) for _ in range(2)]

    def keep(number: int) -> None:
        path = tmp_path / f"file{number}"
        path.write_bytes(b"%d" % number)
        adapters[number % 2].snapshot(f"set{number % 3}", path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(keep, range(8)))
    assert len(adapters[0].versions()) == len(adapters[1].versions()) == 8


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.25])
def test_a_killed_process_leaves_what_was_acknowledged_and_can_be_followed_by_another(
    dvc: Dvc, home: Path, tree: Path, tmp_path: Path, after_s: float
) -> None:
    snapshots = dvc.open(home)
    kept = snapshots.snapshot("flights", tree)
    (tree / "a.csv").write_bytes(b"other")
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(snapshots.snapshot, "flights", tree)
        time.sleep(after_s)
        if snapshots.bridge.pid is not None:
            os.kill(snapshots.bridge.pid, signal.SIGKILL)
    try:
        newer = attempt.result()
    except StackproofError:
        newer = None
    again = dvc.open(home)
    (home / "repository" / ".git" / "index.lock").unlink(missing_ok=True)
    assert kept in again.versions()
    assert newer is None or newer in again.versions()
    newest = again.snapshot("flights", tree)
    assert again.versions() == [kept, newest]
    assert read_tree(again.restore("flights", kept.digest, tmp_path / "restored")) == TREE
    assert "up to date" in dvc.shell(home / "repository", "dvc", "status")


def test_a_lock_that_a_killed_git_left_is_named(dvc: Dvc, home: Path, tmp_path: Path) -> None:
    snapshots = dvc.open(home)
    version = snapshots.snapshot("table", file_of(tmp_path, b"one"))
    lock = home / "repository" / ".git" / "index.lock"
    lock.touch()
    with pytest.raises(Unavailable, match=f"rm {lock}"):
        snapshots.snapshot("table", file_of(tmp_path, b"two"))
    assert snapshots.versions() == [version]
    lock.unlink()
    assert len([snapshots.snapshot("table", file_of(tmp_path, b"two")), *snapshots.versions()]) == 3


@pytest.mark.parametrize("left", [b"", b'{"write": {"/data'])
def test_a_list_of_readers_and_writers_that_a_kill_cut_short_stops_nothing(
    dvc: Dvc, home: Path, tmp_path: Path, left: bytes
) -> None:
    snapshots = dvc.open(home)
    snapshots.snapshot("table", file_of(tmp_path, b"one"))
    (home / "repository" / ".dvc" / "tmp" / "rwlock").write_bytes(left)
    newer = snapshots.snapshot("table", file_of(tmp_path, b"two"))
    assert snapshots.versions()[-1] == newer


def test_a_project_may_be_moved(dvc: Dvc, home: Path, tmp_path: Path) -> None:
    snapshots = dvc.open(home)
    version = snapshots.snapshot("table", file_of(tmp_path, b"one"))
    snapshots.close()
    moved = home.rename(tmp_path / "elsewhere")
    again = dvc.open(moved)
    again.snapshot("table", file_of(tmp_path, b"two"))
    assert again.restore("table", version.digest, tmp_path / "restored").read_bytes() == b"one"
    assert len(stored(moved, remote=True)) == 2


# A repository and a remote of the user


@pytest.fixture
def users(dvc: Dvc, tmp_path: Path) -> Path:
    """A repository of the user's own, with a dataset and an uncommitted change."""
    folder = tmp_path / "users"
    folder.mkdir()
    for command in ("git init --quiet", "git config user.email a@b.c", "git config user.name Ada", "dvc init --quiet"):
        dvc.shell(folder, *command.split())
    (folder / "images.bin").write_bytes(b"one")
    dvc.shell(folder, "dvc", "add", "--quiet", "images.bin")
    dvc.shell(folder, "git", "add", ".")
    dvc.shell(folder, "git", "commit", "--quiet", "-m", "mine")
    (folder / "notes.txt").write_text("not yet")
    dvc.shell(folder, "git", "add", "notes.txt")
    return folder


def test_a_repository_of_the_user_keeps_what_is_theirs(dvc: Dvc, home: Path, users: Path, tmp_path: Path) -> None:
    snapshots = dvc.open(home, repository=str(users))
    version = snapshots.snapshot("table", file_of(tmp_path, b"one"))
    assert dvc.shell(users, "git", "status", "--porcelain") == "A  notes.txt\n"
    assert dvc.shell(users, "git", "log", "-1", "--format=%an") == "Ada\n"
    assert "up to date" in dvc.shell(users, "dvc", "status")
    snapshots.remove("table", version.digest)
    assert snapshots.versions() == []
    (users / "images.bin").unlink()
    dvc.shell(users, "dvc", "checkout")
    assert (users / "images.bin").read_bytes() == b"one"


def test_a_folder_that_is_no_dvc_repository_is_left_alone(dvc: Dvc, home: Path, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match="dvc init"):
        dvc.open(home, repository=str(tree)).snapshot("table", file_of(tmp_path, b"one"))
    assert read_tree(tree) == TREE


def test_another_remote_than_the_one_that_has_the_content_is_refused(dvc: Dvc, home: Path, tmp_path: Path) -> None:
    dvc.open(home, remote=str(tmp_path / "first")).snapshot("table", file_of(tmp_path, b"one"))
    for options in ({"remote": str(tmp_path / "second")}, {}):
        with pytest.raises(Conflict, match="dvc remote modify"):
            dvc.open(home, **options).snapshot("table", file_of(tmp_path, b"two"))


def test_a_removed_versions_content_stays_in_a_remote_that_others_use(dvc: Dvc, home: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    for shared, left in ((True, 1), (False, 0)):
        snapshots = dvc.open(home, remote=str(remote), shared_remote=shared)
        snapshots.remove("table", snapshots.snapshot("table", file_of(tmp_path, b"one")).digest)
        assert len([path for path in remote.rglob("*") if path.is_file()]) == left


@pytest.mark.parametrize(
    "options",
    [
        {"remote": "a/relative/path"},
        {"repository": "a/relative/path"},
        {"remote": "gs://bucket/path"},
        {"access_key_id": "key"},
        {"remotes": "/somewhere"},
    ],
)
def test_options_that_cannot_be_followed_are_refused(dvc: Dvc, home: Path, options: dict[str, str]) -> None:
    with pytest.raises(RefusedInput):
        dvc.open(home, **options)


# An S3-compatible remote


class Bucket:
    """A server that speaks S3, with one bucket."""

    def __init__(self, python: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [str(python), "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            if self._makes_its_bucket():
                return
            time.sleep(0.1)
        raise AssertionError("the S3 server did not start")

    def _makes_its_bucket(self) -> bool:
        asked = urllib.request.Request(f"{self.url}/bucket", method="PUT")
        try:
            urllib.request.urlopen(asked, timeout=5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def objects(self) -> str:
        with urllib.request.urlopen(f"{self.url}/bucket", timeout=5) as answer:
            told: str = answer.read().decode()
        return told


@pytest.fixture
def bucket(environment_with: Callable[..., Path]) -> Iterator[Bucket]:
    python = environment_with("moto", "moto[server,s3]>=5")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = Bucket(python, port)
    made.start()
    yield made
    made.stop()


def open_on(dvc: Dvc, home: Path, bucket: Bucket, **options: object) -> Any:
    return dvc.open(home, remote="s3://bucket/data", endpoint_url=bucket.url, region="us-east-1", **KEYS, **options)


def test_content_goes_to_a_bucket_from_where_others_pull_it(
    dvc: Dvc, home: Path, bucket: Bucket, tree: Path, tmp_path: Path
) -> None:
    snapshots = open_on(dvc, home, bucket)
    assert snapshots.health().ok
    version = snapshots.snapshot("flights", tree)
    assert bucket.objects().count("<Key>data/files/md5/") == len(TREE) + 1
    for path in stored(home, remote=False):
        path.unlink()
    assert read_tree(snapshots.restore("flights", version.digest, tmp_path / "restored")) == TREE
    dvc.shell(tmp_path, "git", "clone", "--quiet", str(home / "repository"), "clone")
    dvc.shell(tmp_path / "clone", "dvc", "pull")
    assert read_tree(tmp_path / "clone" / "data" / "flights") == TREE


def test_keys_are_written_to_no_file(dvc: Dvc, home: Path, bucket: Bucket, tmp_path: Path) -> None:
    open_on(dvc, home, bucket).snapshot("table", file_of(tmp_path, b"one"))
    files = [path for path in home.rglob("*") if path.is_file()]
    assert not [path for path in files for key in KEYS.values() if key.encode() in path.read_bytes()]


def test_a_bucket_that_does_not_answer_keeps_no_version_until_it_does(
    dvc: Dvc, home: Path, bucket: Bucket, tmp_path: Path
) -> None:
    snapshots = open_on(dvc, home, bucket)
    first = snapshots.snapshot("table", file_of(tmp_path, b"one"))
    bucket.stop()
    with pytest.raises(Unavailable):
        snapshots.snapshot("table", file_of(tmp_path, b"two"))
    assert not snapshots.health().ok
    assert snapshots.versions() == [first]
    assert "one" in (home / "repository" / "data" / "table").read_text()
    bucket.start()
    second = snapshots.snapshot("table", file_of(tmp_path, b"two"))
    assert snapshots.versions() == [first, second]


def test_a_bucket_that_does_not_exist_is_told(dvc: Dvc, home: Path, bucket: Bucket, tmp_path: Path) -> None:
    snapshots = dvc.open(home, remote="s3://absent/data", endpoint_url=bucket.url, region="us-east-1", **KEYS)
    with pytest.raises(StackproofError, match="remote"):
        snapshots.snapshot("table", file_of(tmp_path, b"one"))
    assert snapshots.versions() == []
