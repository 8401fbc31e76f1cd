"""Ask a package index what it knows of a package: the simple API as JSON (PEP 691) or HTML (PEP 503).

What an index answers is not trusted: every part is checked, and what does not fit is left out or told.
"""

import datetime
import email.parser
import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from netrc import NetrcParseError, netrc
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from stackproof import __version__
from stackproof.usecases.index_settings import IndexSettings, shown

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPES = ("application/vnd.pypi.simple.v1+html", "text/html")
ACCEPTED = f"{JSON_TYPE}, {HTML_TYPES[0]};q=0.2, text/html;q=0.1"
MOST_BYTES = 64 * 1024 * 1024
MOST_TEXT = 200
"""Characters kept of a text that the index gives: a licence, a reason."""


@dataclass(frozen=True, slots=True)
class Published:
    """What an index says of a package.

    `state`: "found", "gone" (no such package), "withheld" (there, with no release to take), "broken" (an answer that
    can't be read, or a refusal) or "unreachable". `version`: the newest that is neither withdrawn nor a pre-release,
    "" unless found; `released`: when its newest file was uploaded; `python`: what it requires, "" for nothing;
    `licence`: as its metadata says, "" when not served. `withdrawn`: versions and why. `notes`: sentences for people.
    """

    package: str
    index: str
    state: str
    version: str = ""
    released: datetime.date | None = None
    python: str = ""
    licence: str = ""
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    versions: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a package. `withdrawn` None: it is not."""

    version: Version
    url: str
    uploaded: datetime.date | None
    python: str
    withdrawn: str | None
    metadata: bool


class Gone(Exception):
    """The index has no such page."""


class Unreachable(Exception):
    """No answer came."""


class Broken(Exception):
    """An answer came that can't be used."""


class PackageIndex:
    """The configured index. Safe to use from several threads."""

    def __init__(self, settings: IndexSettings) -> None:
        self.settings = settings
        self._open = _opener(settings)

    def ask(self, package: str) -> Published:
        """What the index says, or the first further index that has the package. Never raises for what it answers."""
        first = self._ask(package, self.settings.index)
        if first.state != "gone":
            return first
        for extra in self.settings.extra:
            other = self._ask(package, extra)
            if other.state in ("found", "withheld"):
                return other
        return first

    def _ask(self, package: str, index: str) -> Published:
        page = f"{index}/{canonicalize_name(package)}/"
        blank = Published(package, shown(index), "found")
        try:
            files, notes = self._files(page, package)
            found = newest(replace(blank, notes=tuple(notes)), files)
            return self._completed(found, files, index) if found.state == "found" else found
        except Gone:
            return replace(blank, state="gone", notes=(f"{package} is not in the package index",))
        except Unreachable as error:
            return replace(blank, state="unreachable", notes=(f"{package} could not be asked for: {error}",))
        except Broken as error:
            return replace(blank, state="broken", notes=(f"The answer about {package} can't be used: {error}",))

    def _files(self, page: str, package: str) -> tuple[list[Listed], list[str]]:
        kind, body, url = self._read(page)
        if kind == JSON_TYPE:
            return files_of_json(body, package, url)
        if kind in HTML_TYPES:
            return files_of_html(body, package, url), []
        raise Broken(f"its type is {_line(kind) or 'not said'}")

    def _completed(self, found: Published, files: list[Listed], index: str) -> Published:
        """With the licence, and the day of release where the page does not say it; what is not served stays absent."""
        served = [file for file in files if str(file.version) == found.version and file.metadata]
        if served and not found.licence:
            found = replace(found, licence=self._licence(f"{served[0].url.partition('#')[0]}.metadata"))
        base = index.removesuffix("/simple")
        if base != index and not (found.licence and found.released):
            found = self._described(found, f"{base}/pypi/{canonicalize_name(found.package)}/json")
        return found

    def _licence(self, url: str) -> str:
        try:
            _, body, _ = self._read(url)
        except (Gone, Unreachable, Broken):
            return ""
        headers = email.parser.BytesParser().parsebytes(body, headersonly=True)
        return licence_text(
            _text(headers.get("License-Expression")),
            _text(headers.get("License")),
            [_text(line) for line in headers.get_all("Classifier", [])],
        )

    def _described(self, found: Published, url: str) -> Published:
        """From the description of a package that many indexes serve beside the simple API."""
        try:
            _, body, _ = self._read(url)
            document = _table(_json(body))
        except (Gone, Unreachable, Broken):
            return found
        about = _table(document.get("info"))
        files = _list(_table(document.get("releases")).get(found.version))
        days = [_day(_table(file).get("upload_time_iso_8601")) for file in files]
        licence = (
            ""
            if about.get("version") != found.version
            else licence_text(
                _text(about.get("license_expression")),
                _text(about.get("license")),
                [_text(line) for line in _list(about.get("classifiers"))],
            )
        )
        return replace(
            found,
            released=found.released or max((day for day in days if day), default=None),
            licence=found.licence or licence,
        )

    def _read(self, url: str) -> tuple[str, bytes, str]:
        """The type, the bytes and the address of an answer. Raises `Gone`, `Unreachable`, `Broken`."""
        parts = urlsplit(url)
        if parts.scheme == "file":
            return _read_file(parts)
        request = urllib.request.Request(_bare(parts), headers={"Accept": ACCEPTED, "User-Agent": _agent()})  # noqa: S310  # the schemes of an index are checked when it is read from the configuration
        for index in (self.settings.index, *self.settings.extra):
            credentials = _credentials(urlsplit(index))
            if credentials and urlsplit(index).hostname == parts.hostname and parts.scheme == urlsplit(index).scheme:
                request.add_unredirected_header("Authorization", f"Basic {credentials}")
        try:
            with self._open.open(request, timeout=self.settings.timeout_s) as answer:
                return answer.headers.get_content_type(), self._body(answer), answer.url
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (404, 410):
                raise Gone from error
            raise Broken(f"HTTP {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_line(str(getattr(error, "reason", "") or error)) or type(error).__name__) from error

    def _body(self, answer: Any) -> bytes:
        """All of it, unless it drips for four times as long as one answer may take."""
        until = time.monotonic() + 4 * self.settings.timeout_s
        parts, size = [], 0
        while part := answer.read1(1 << 16):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise Broken(f"it is longer than {MOST_BYTES} bytes")
            if time.monotonic() > until:
                raise Unreachable("the answer did not end in time")
        expected = answer.headers.get("Content-Length", "")
        if expected.isdigit() and size < int(expected):
            raise Unreachable("the answer broke off")
        return b"".join(parts)


def newest(blank: Published, files: list[Listed]) -> Published:
    """`blank` with the newest release that may be taken, or "withheld" and why."""
    by_version: dict[Version, list[Listed]] = {}
    for file in files:
        by_version.setdefault(file.version, []).append(file)
    withdrawn = {
        version: each[0].withdrawn or "no reason is given"
        for version, each in by_version.items()
        if all(file.withdrawn is not None for file in each)
    }
    known = replace(
        blank,
        withdrawn={str(version): why for version, why in withdrawn.items()},
        versions=frozenset(str(version) for version in by_version),
    )
    finals = [version for version in by_version if not version.is_prerelease]
    open_ = [version for version in finals if version not in withdrawn]
    if not open_:
        why = "every release is withdrawn" if finals else "there are only pre-releases" if files else "it has no files"
        return replace(known, state="withheld", notes=(*known.notes, f"{blank.package}: {why}"))
    latest = max(open_)
    notes = _withdrawn_notes(
        blank.package, {v: why for v, why in sorted(withdrawn.items()) if v > latest and v in finals}
    )
    usable = [file for file in by_version[latest] if file.withdrawn is None]
    return replace(
        known,
        version=str(latest),
        released=max((file.uploaded for file in usable if file.uploaded), default=None),
        python=next((file.python for file in usable if file.python), ""),
        notes=(*known.notes, *notes),
    )


def _withdrawn_notes(package: str, withdrawn: Mapping[Version, str]) -> list[str]:
    """One sentence for each reason."""
    by_reason: dict[str, list[str]] = {}
    for version, why in withdrawn.items():
        by_reason.setdefault(why, []).append(str(version))
    return [
        f"{package} {', '.join(versions)} {'are' if len(versions) > 1 else 'is'} withdrawn: {why}"
        for why, versions in by_reason.items()
    ]


def files_of_json(body: bytes, package: str, page: str) -> tuple[list[Listed], list[str]]:
    """The files that a page of the simple API in JSON lists, and notes. Raises `Broken`."""
    document = _json(body)
    if not isinstance(document, dict) or not isinstance(document.get("files"), list):
        raise Broken("it lists no files")
    version = str(_table(document.get("meta")).get("api-version", "1.0"))
    if version.partition(".")[0] != "1":
        raise Broken(f"it is of version {_line(version)} of the simple API; 1 is known")
    found = []
    for entry in document["files"]:
        file = _table(entry)
        withdrawn = file.get("yanked", False)
        listed = _listed(
            package, page, _text(file.get("filename")), _text(file.get("url")), _text(file.get("requires-python")),
            uploaded=_day(file.get("upload-time")),
            withdrawn=_line(_text(withdrawn)) if withdrawn not in (False, None) else None,
            metadata=bool(file.get("core-metadata") or file.get("dist-info-metadata")),
        )  # fmt: skip
        found += [listed] if listed else []
    status = _table(document.get("project-status"))
    state = _line(_text(status.get("status")))
    reason = _line(_text(status.get("reason")))
    marked = state and state != "active"
    return found, [f"The package index marks {package} as {state}{f': {reason}' if reason else ''}"] if marked else []


def files_of_html(body: bytes, package: str, page: str) -> list[Listed]:
    """The files that a page of the simple API in HTML links to. Raises `Broken` for a page without any link."""
    reader = _Links()
    reader.feed(body.decode("utf-8", "replace"))
    if not reader.links and b"<html" not in body.lower():
        raise Broken("it is no page of links")
    found = []
    for link in reader.links:
        href = link["href"]
        listed = _listed(
            package, page, unquote(urlsplit(href).path.rpartition("/")[2]) if _parses(href) else "", href,
            link.get("data-requires-python", ""),
            uploaded=_day(link.get("data-upload-time")),
            withdrawn=_line(link["data-yanked"]) if "data-yanked" in link else None,
            metadata=bool({"data-core-metadata", "data-dist-info-metadata"} & link.keys()),
        )  # fmt: skip
        found += [listed] if listed else []
    return found


def licence_text(expression: str, licence: str, classifiers: list[str]) -> str:
    """The licence by its expression, else by a short text, else by classifiers; "" when none says it."""
    if expression.strip():
        return _line(expression)
    short = licence.strip()
    if short and "\n" not in short and len(short) <= 80 and short.upper() != "UNKNOWN":
        return _line(short)
    named = [line.rpartition("::")[2].strip() for line in classifiers if line.startswith("License ::")]
    return _line(" / ".join(name for name in named if name != "OSI Approved"))


class _Links(HTMLParser):
    """The attributes of every link with an address."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes)


def _listed(
    package: str, page: str, filename: str, href: str, python: str,
    *, uploaded: datetime.date | None, withdrawn: str | None, metadata: bool,
) -> Listed | None:  # fmt: skip
    """A file, unless its name is not one of this package, or its link leads to another kind of place."""
    version = _version_of(filename, package)
    if version is None or not _parses(href):
        return None
    url = urljoin(page, href)
    reachable = urlsplit(url).scheme in ("http", "https") or urlsplit(page).scheme == "file"
    wheel = filename.endswith(".whl")
    return Listed(version, url, uploaded, _requirement(python), withdrawn, metadata and wheel and reachable)


def _version_of(filename: str, package: str) -> Version | None:
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return version if name == canonicalize_name(package) else None


def _requirement(text: str) -> str:
    try:
        return str(SpecifierSet(text)) and text.replace(" ", "")
    except InvalidSpecifier:
        return ""


def _parses(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True


def _day(instant: object) -> datetime.date | None:
    if not isinstance(instant, str):
        return None
    try:
        return datetime.datetime.fromisoformat(instant).date()
    except ValueError:
        return None


def _line(text: str) -> str:
    """Of a foreign text, one printable line."""
    words = "".join(character if character.isprintable() else " " for character in text).split()
    return " ".join(words)[:MOST_TEXT]


def _json(body: bytes) -> object:
    try:
        document: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Broken("it is not JSON") from error
    return document


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _read_file(parts: SplitResult) -> tuple[str, bytes, str]:
    """The index.html of a folder, as pip reads a local index."""
    path = urllib.request.url2pathname(parts.path)
    name = f"{path.rstrip('/')}/index.html" if path.endswith("/") else path
    try:
        with open(name, "rb") as file:
            body = file.read(MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Gone from error
    except OSError as error:
        raise Unreachable(error.strerror or "the file can't be read") from error
    return "text/html", body, urlunsplit(parts)


def _opener(settings: IndexSettings) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=settings.certificates or None)
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if settings.proxy:
        handlers.append(urllib.request.ProxyHandler({"http": settings.proxy, "https": settings.proxy}))
    return urllib.request.build_opener(*handlers)


def _credentials(parts: SplitResult) -> str:
    """Of the URL, else of the user's netrc file, for basic authentication; "" for none."""
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user:
        try:
            known = netrc().authenticators(parts.hostname or "")
        except (OSError, NetrcParseError):
            known = None
        user, password = (known[0], known[2] or "") if known else ("", "")
    return b64encode(f"{user}:{password}".encode()).decode() if user else ""


def _bare(parts: SplitResult) -> str:
    """The address without credentials, which go into a header of their own."""
    return urlunsplit(
        (parts.scheme, parts.netloc.rpartition("@")[2], quote(parts.path, safe="/%~!$&'()*+,;=:@"), "", "")
    )


def _agent() -> str:
    return f"stackproof/{__version__}"
