"""What holds for every test: a person's own facts and environments, in their home, are not seen."""

import datetime
import hashlib
import json
import signal
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from stackproof.envs.locking import Lock, this_system

settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard() -> None:
    """Also in tests that a shell started in the background, with SIGINT ignored."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patched.delenv("STACKPROOF_FACTS", raising=False)
        yield


class Wheelhouse:
    """Tiny distributions of our own and the locks for them. uv takes them from here and asks no index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = f"{sys.version_info.major}.{sys.version_info.minor}"
        self.interpreter = Path(sys.base_prefix) / "bin" / f"python{self.python}"

    def wheel(self, name: str, version: str = "1.0", code: str = "", **files: bytes) -> str:
        """Make a distribution with one module of its name; the requirement line with its hash."""
        path = self.folder / f"{name}-{version}-py3-none-any.whl"
        information = f"{name}-{version}.dist-info"
        contents = {
            f"{name}/__init__.py": code.encode(),
            **{f"{name}/{file}": data for file, data in files.items()},
            f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            f"{information}/WHEEL": b"Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{file},,\n" for file in contents) + f"{information}/RECORD,,\n"
        with zipfile.ZipFile(path, "w") as packed:
            for file, data in {**contents, f"{information}/RECORD": record.encode()}.items():
                packed.writestr(zipfile.ZipInfo(file, (1980, 1, 1, 0, 0, 0)), data)
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"

    def lock(self, text: str, tool: str = "tiny", imports: tuple[str, ...] = ("tiny",), python: str = "") -> Lock:
        day = datetime.date(2026, 11, 21)
        return Lock(tool, python or self.python, this_system(), text, (tool,), imports, locked=day)


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheelhouse:
    """An empty one, and a cache of uv that is empty too."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    settings = tmp_path / "uv.toml"
    settings.write_text(f"no-index = true\nfind-links = [{json.dumps(str(folder))}]\n", encoding="utf-8")
    monkeypatch.setenv("UV_CONFIG_FILE", str(settings))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    return Wheelhouse(folder)
