"""The package index is asked as pip would ask it, and nothing that it answers is trusted."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import RefusedInput, Unavailable
from stackproof.usecases.index_settings import IndexSettings, configured_index, shown
from stackproof.usecases.package_index import PackageIndex, licence_text

JSON_TYPE = "application/vnd.pypi.simple.v1+json"


def test_the_newest_release_comes_with_its_day_python_and_licence(index: Any) -> None:
    files = [index.wheel("1.9.0"), index.wheel("1.10.0", **{"requires-python": ">=3.10", "core-metadata": True})]
    index.serve_json("demo", files)
    name = "demo-1.10.0-py3-none-any.whl.metadata"
    index.serve(
        f"/files/{name}", "Metadata-Version: 2.4\nName: demo\nLicense-Expression: MIT\n\nLong text", "text/plain"
    )
    found = index.ask("Demo")
    assert (found.state, found.version, found.python, found.licence) == ("found", "1.10.0", ">=3.10", "MIT")
    assert found.released == datetime.date(2026, 12, 24)
    assert found.notes == ()


def test_a_page_in_html_says_the_same(index: Any) -> None:
    links = (
        '<a href="../../files/demo-2.0-py3-none-any.whl#sha256=00" data-requires-python="&gt;=3.9"'
        ' data-upload-time="2026-11-30T01:02:03.5Z">demo-2.0-py3-none-any.whl</a>'
        '<a href="../../files/demo-1.0.tar.gz">demo-1.0.tar.gz</a>'
        '<a href="../../files/demo-3.0.zip" data-yanked="broken &lt;b&gt;">demo-3.0.zip</a>'
    )
    index.serve("/simple/demo/", f"<!DOCTYPE html><html><body>{links}</body></html>", "text/html; charset=utf-8")
    found = index.ask("demo")
    assert (found.version, found.python, found.released) == ("2.0", ">=3.9", datetime.date(2026, 11, 30))
    assert found.withdrawn == {"3.0": "broken <b>"}
    assert found.notes == ("demo 3.0 is withdrawn: broken <b>",)


def test_what_a_page_leaves_out_comes_from_the_description_of_the_package(index: Any) -> None:
    index.serve("/simple/demo/", '<html><a href="demo-1.0.tar.gz">x</a></html>')
    about = {
        "info": {
            "version": "1.0",
            "license": "Copyright\nall of it",
            "classifiers": ["License :: OSI Approved :: BSD"],
        },
        "releases": {"1.0": [{"upload_time_iso_8601": "2025-03-04T00:00:00Z"}, {"upload_time_iso_8601": 3}, None]},
    }
    index.serve("/pypi/demo/json", json.dumps(about), "application/json")
    found = index.ask("demo")
    assert (found.released, found.licence) == (datetime.date(2025, 3, 4), "BSD")
    about["info"]["version"] = "2.0"  # type: ignore[index]  # the values of a document of JSON are of any type
    index.serve("/pypi/demo/json", json.dumps(about), "application/json")
    assert index.ask("demo").licence == ""


def test_withdrawn_releases_and_pre_releases_are_not_taken(index: Any) -> None:
    withdrawn = [
        index.wheel("2.0", yanked="leaks"),
        index.wheel("2.1", yanked="leaks"),
        index.wheel("2.2", yanked=True),
    ]
    index.serve_json("demo", [index.wheel("1.0"), *withdrawn, index.wheel("3.0rc1"), index.wheel("3.0.dev1")])
    found = index.ask("demo")
    assert found.version == "1.0"
    assert found.notes == ("demo 2.0, 2.1 are withdrawn: leaks", "demo 2.2 is withdrawn: no reason is given")


def test_a_release_of_which_one_file_is_left_is_not_withdrawn(index: Any) -> None:
    sdist = {"filename": "demo-2.0.tar.gz", "url": "demo-2.0.tar.gz", "upload-time": "2026-01-01T00:00:00Z"}
    index.serve_json("demo", [index.wheel("1.0"), index.wheel("2.0", yanked=True), sdist])
    found = index.ask("demo")
    assert (found.version, found.released) == ("2.0", datetime.date(2026, 1, 1))


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([], "it has no files"),
        ([("2.0rc1", False)], "there are only pre-releases"),
        ([("1.0", True), ("2.0", "bad")], "every release is withdrawn"),
    ],
)
def test_a_package_without_a_release_to_take_says_why(index: Any, files: list[Any], why: str) -> None:
    index.serve_json("demo", [index.wheel(version, yanked=yanked) for version, yanked in files])
    found = index.ask("demo")
    assert (found.state, found.version, found.notes) == ("withheld", "", (f"demo: {why}",))


def test_a_package_that_the_index_marks_as_archived_says_so(index: Any) -> None:
    index.serve_json("demo", [index.wheel("1.0")], **{"project-status": {"status": "archived", "reason": "moved"}})
    assert index.ask("demo").notes == ("The package index marks demo as archived: moved",)


def test_a_post_release_is_newer_than_what_it_follows(index: Any) -> None:
    index.serve_json("demo", [index.wheel("1.14.0"), index.wheel("1.14.0.post2"), index.wheel("1.9")])
    assert index.ask("demo").version == "1.14.0.post2"


def test_a_package_that_is_gone_is_asked_of_the_further_indexes(index: Any, tmp_path: Path) -> None:
    assert index.ask("demo").state == "gone"
    page = tmp_path / "simple" / "demo" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<html><a href="../../files/demo-7.0-py3-none-any.whl#sha256=0">demo</a></html>', "utf-8")
    extra = (f"{index.url}/nothing", (tmp_path / "simple").as_uri())
    found = PackageIndex(index.settings(extra=extra)).ask("demo")
    assert (found.state, found.version, found.index) == ("found", "7.0", extra[1])
    assert PackageIndex(index.settings(extra=extra)).ask("other").state == "gone"


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        ("{", JSON_TYPE, "it is not JSON"),
        ("[" * 100_000, JSON_TYPE, "it is not JSON"),
        ("[]", JSON_TYPE, "it lists no files"),
        ('{"files": {}}', JSON_TYPE, "it lists no files"),
        ('{"files": [], "meta": {"api-version": "2.0"}}', JSON_TYPE, "version 2.0"),
        ("Please sign in", "text/html", "it is no page of links"),
        ("anything", "image/png", "its type is image/png"),
        (b"\xff\xfe\x00", JSON_TYPE, "it is not JSON"),
    ],
)
def test_an_answer_that_can_not_be_read_is_told_as_broken(index: Any, body: str | bytes, kind: str, told: str) -> None:
    index.serve("/simple/demo/", body, kind)
    found = index.ask("demo")
    assert (found.state, found.version) == ("broken", "")
    assert told in found.notes[0]


def test_entries_of_wrong_types_names_and_links_are_left_out(index: Any) -> None:
    odd: list[Any] = [
        None,
        "demo-9.0.tar.gz",
        {"filename": 9, "url": 9},
        {"filename": "demo-9.0.exe", "url": "x"},
        {"filename": "other-9.0.tar.gz", "url": "x"},
        {"filename": "demo-nine.tar.gz", "url": "x"},
        {"filename": "demo-9.0.tar.gz", "url": "http://[bad"},
    ]
    sound = index.wheel("1.0", **{"requires-python": "whatever you like", "upload-time": "yesterday", "yanked": None})
    index.serve_json("demo", [*odd, sound])
    found = index.ask("demo")
    assert (found.state, found.version, found.python, found.released) == ("found", "1.0", "", None)


def test_no_page_of_the_network_leads_to_a_file_of_this_machine(index: Any, tmp_path: Path) -> None:
    secret = tmp_path / "demo-1.0-py3-none-any.whl.metadata"
    secret.write_text("License-Expression: SECRET\n\n", "utf-8")
    url = secret.with_name("demo-1.0-py3-none-any.whl").as_uri()
    index.serve_json("demo", [index.wheel("1.0", **{"core-metadata": True}) | {"url": url}])
    found = index.ask("demo")
    assert (found.state, found.licence) == ("found", "")


def test_foreign_words_become_one_printable_line_of_bounded_length(index: Any) -> None:
    index.serve_json("demo", [index.wheel("1.0"), index.wheel("2.0", yanked="a\x1b[31m\r\nb" + "!" * 9000)])
    (note,) = index.ask("demo").notes
    assert note.isprintable()
    assert len(note) < 300


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_refusal_is_told_with_its_number(index: Any, status: int) -> None:
    index.serve("/simple/demo/", "no", "text/html", status)
    found = index.ask("demo")
    assert (found.state, found.notes) == ("broken", (f"The answer about demo can't be used: HTTP {status}",))


def test_silence_and_an_answer_that_breaks_off_are_told_as_unreachable(index: Any) -> None:
    index.serve("/simple/silent/", "", "hangs")
    index.serve("/simple/half/", "<html>", "breaks/off")
    asked = PackageIndex(index.settings(timeout_s=0.2))
    assert asked.ask("silent").state == "unreachable"
    assert asked.ask("half").state == "unreachable"
    nobody = PackageIndex(IndexSettings("http://127.0.0.1:9/simple", timeout_s=2))
    assert nobody.ask("demo").state == "unreachable"


def test_an_answer_without_end_is_not_read_to_its_end(index: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stackproof.usecases.package_index.MOST_BYTES", 1000)
    index.serve("/simple/demo/", "<html>" + "x" * 5000)
    found = index.ask("demo")
    assert (found.state, found.notes) == (
        "broken",
        ("The answer about demo can't be used: it is longer than 1000 bytes",),
    )


def test_credentials_are_sent_to_the_index_and_shown_nowhere(index: Any) -> None:
    index.serve("/simple/demo/", "no", "text/html", 403)
    url = index.url.replace("http://", "http://ana:s%40cret@")
    found = PackageIndex(IndexSettings(f"{url}/simple", timeout_s=5)).ask("demo")
    assert index.asked[0][1]["Authorization"] == "Basic YW5hOnNAY3JldA=="
    assert "cret" not in repr(found)
    assert shown("https://ana:pw@example.org/simple?token=x#y") == "https://example.org/simple"


def test_credentials_do_not_follow_to_another_place(index: Any) -> None:
    index.serve("/simple/demo/", f"{index.url}/elsewhere/", "text/html", 301)
    index.serve("/elsewhere/", '<html><a href="demo-1.0.tar.gz">x</a></html>')
    url = index.url.replace("http://", "http://ana:secret@")
    found = PackageIndex(IndexSettings(f"{url}/simple", timeout_s=5)).ask("demo")
    assert found.version == "1.0"
    sent = {path: "Authorization" in headers for path, headers in index.asked}
    assert (sent["/simple/demo/"], sent["/elsewhere/"]) == (True, False)


@pytest.mark.parametrize(
    ("expression", "licence", "classifiers", "said"),
    [
        ("Apache-2.0", "MIT", [], "Apache-2.0"),
        ("", "MIT", ["License :: OSI Approved :: BSD License"], "MIT"),
        ("", "UNKNOWN", ["License :: OSI Approved :: BSD License"], "BSD License"),
        ("", "Copyright 2018\n\nAll rights", ["License :: OSI Approved", "Topic :: X"], ""),
        ("", "", [], ""),
    ],
)
def test_the_licence_is_the_most_exact_that_is_said(
    expression: str, licence: str, classifiers: list[str], said: str
) -> None:
    assert licence_text(expression, licence, classifiers) == said


def pip_file(folder: Path, text: str, name: str = "pip.conf") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, "utf-8")
    return folder / name


def test_pips_environment_wins_over_its_files_and_the_environments_file_over_the_users(tmp_path: Path) -> None:
    home, prefix, system = tmp_path / "home", tmp_path / "venv", tmp_path / "etc"
    environ = {"XDG_CONFIG_HOME": str(home / ".config"), "XDG_CONFIG_DIRS": str(system)}

    def index_now(**more: str) -> str:
        return configured_index({**environ, **more}, prefix, home).index

    pip_file(system / "pip", "[global]\nindex-url = https://system.example/simple\n")
    assert index_now() == "https://system.example/simple"
    pip_file(home / ".config" / "pip", "[global]\nindex_url = https://user.example/simple/\n")
    assert index_now() == "https://user.example/simple"
    pip_file(prefix, "[install]\nindex-url = https://venv.example/simple\n")
    assert index_now() == "https://venv.example/simple"
    own = pip_file(tmp_path, "[global]\nindex-url = https://own.example/simple\n", "own.conf")
    assert index_now(PIP_CONFIG_FILE=str(own)) == "https://own.example/simple"
    assert index_now(PIP_INDEX_URL="https://now.example/simple") == "https://now.example/simple"
    assert index_now(PIP_CONFIG_FILE="/dev/null", UV_INDEX_URL="https://uv.example/simple").startswith("https://uv.")


def test_further_indexes_certificates_and_proxy_are_pips_too(tmp_path: Path) -> None:
    file = pip_file(
        tmp_path,
        "[global]\nindex-url = https://a.example/simple\nextra-index-url = https://b.example/simple\n  file:///opt/c\n"
        "cert = /etc/ca.crt\nproxy = http://proxy.example:3128\n",
    )
    found = configured_index({"PIP_CONFIG_FILE": str(file)}, tmp_path / "none", tmp_path / "none")
    assert found.extra == ("https://b.example/simple", "file:///opt/c")
    assert (found.certificates, found.proxy) == ("/etc/ca.crt", "http://proxy.example:3128")


def test_without_any_configuration_the_index_is_the_one_that_uv_takes(tmp_path: Path) -> None:
    environ = {"PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    found = configured_index(environ, tmp_path, tmp_path)
    assert found.index.startswith("https://")
    assert found.extra == ()


def test_a_configuration_that_can_not_be_used_is_refused(tmp_path: Path) -> None:
    off = {"PIP_CONFIG_FILE": "/dev/null"}
    with pytest.raises(Unavailable, match="no package index"):
        configured_index({**off, "PIP_NO_INDEX": "1"}, tmp_path, tmp_path)
    with pytest.raises(RefusedInput, match=r"Got: gopher://x.example/simple\. Allowed: http, https, file"):
        configured_index({**off, "PIP_INDEX_URL": "gopher://u:p@x.example/simple"}, tmp_path, tmp_path)
    broken = pip_file(tmp_path, "index-url = x\n", "broken.conf")
    with pytest.raises(RefusedInput, match=r"broken\.conf"):
        configured_index({"PIP_CONFIG_FILE": str(broken)}, tmp_path, tmp_path)
