"""Which package index pip is configured for, and how it is reached."""

import configparser
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from stackproof.envs.capture import uv_command
from stackproof.errors import RefusedInput, Unavailable

ASKING_UV_S = 30.0
SCHEMES = ("http", "https", "file")
YES = frozenset({"1", "true", "yes", "on", "y", "t"})


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """`index`: the base URL of the simple API, perhaps with credentials: show it only through `shown`.

    `extra`: asked only for a package that `index` does not have. `certificates`: a file of authorities, "" for those
    of the system. `proxy` "": that of the environment. `timeout_s`: for each answer of the network.
    """

    index: str
    extra: tuple[str, ...] = ()
    certificates: str = ""
    proxy: str = ""
    timeout_s: float = 15.0


def configured_index(
    environ: Mapping[str, str] = os.environ, prefix: Path = Path(sys.prefix), home: Path | None = None
) -> IndexSettings:
    """What pip would use: its environment variables, then its configuration files; then what uv would use.

    Raises `RefusedInput` for a configuration that can't be read or a URL of another kind than http, https and file;
    `Unavailable` when pip is told to use no index.
    """
    given = pip_options(environ, prefix, home or Path.home())
    if given.get("no-index", "").lower() in YES:
        raise Unavailable("pip is configured to use no package index (no-index)", next_command="pip config list")
    index = given.get("index-url") or environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or _of_uv(environ)
    extra = given.get("extra-index-url") or environ.get("UV_INDEX") or environ.get("UV_EXTRA_INDEX_URL") or ""
    return IndexSettings(
        index=_checked(index),
        extra=tuple(_checked(url) for url in extra.split()),
        certificates=given.get("cert", ""),
        proxy=given.get("proxy", ""),
    )


def pip_options(environ: Mapping[str, str], prefix: Path, home: Path) -> dict[str, str]:
    """pip's options by their long names, later sources over earlier: files of the system, of the user, of the virtual
    environment, `PIP_CONFIG_FILE`, environment variables. Raises `RefusedInput` for a file that can't be read."""
    options: dict[str, str] = {}
    for file in _files(environ, prefix, home):
        options |= _section(file)
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return options


def shown(url: str) -> str:
    """The URL without credentials, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _files(environ: Mapping[str, str], prefix: Path, home: Path) -> Iterator[Path]:
    own = environ.get("PIP_CONFIG_FILE", "")
    if own == os.devnull:
        return
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    if sys.platform == "win32":
        yield Path(environ.get("PROGRAMDATA", "C:/ProgramData")) / "pip" / name
        config = Path(environ.get("APPDATA") or home)
    elif sys.platform == "darwin":
        yield Path("/Library/Application Support/pip") / name
        yield home / "Library" / "Application Support" / "pip" / name
    else:
        yield from (Path(base) / "pip" / name for base in environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":") if base)
        yield Path("/etc") / name
    yield home / (".pip" if sys.platform != "win32" else "pip") / name
    yield config / "pip" / name
    yield prefix / name
    if own:
        yield Path(own)


def _section(file: Path) -> dict[str, str]:
    """The options for all commands, then those for `pip install`. None where there is no such file."""
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise RefusedInput("A configuration of pip can't be read", got=f"{file}", next_command="pip config list") from (
            error
        )
    options: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            options |= {name.replace("_", "-"): value.strip() for name, value in parser.items(section) if value}
    return options


def _of_uv(environ: Mapping[str, str]) -> str:
    """uv's index by its own configuration, else the one that it and pip take by default."""
    command = [uv_command(), "pip", "compile", "--quiet", "--offline", "--no-header", "--emit-index-url", "-"]
    try:
        done = subprocess.run(
            command, input="", capture_output=True, text=True, timeout=ASKING_UV_S, check=True,
            env={**environ, "NO_COLOR": "1"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable("The default package index can't be found out", next_command="pip config list") from error
    for line in done.stdout.splitlines():
        option, _, url = line.partition(" ")
        if option == "--index-url":
            return url
    raise Unavailable(
        "No package index is configured",
        next_command="pip config set global.index-url URL",
    )


def _checked(url: str) -> str:
    """uv names an index as "name=URL"."""
    text = url.strip().rpartition("=")[2] if "=" in url.partition("://")[0] else url.strip()
    if urlsplit(text).scheme not in SCHEMES:
        raise RefusedInput(
            "The URL of the package index is of no known kind",
            got=shown(text),
            allowed=", ".join(SCHEMES),
            next_command="pip config list",
        )
    return text.rstrip("/")
