"""The shop of the tutorial: trained and deployed, for faults to be injected into."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-project.md"

Stackproof = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def trained_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (code,) = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), flags=re.S)
    (folder / "shop.py").write_text(code, encoding="utf-8")
    for arguments in (["run", "train"], ["deploy", "returns", "1"]):
        subprocess.run([sys.executable, "-m", "stackproof", *arguments], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def shop(trained_shop: Path, tmp_path: Path) -> Path:
    """A copy, so that each test may break its own."""
    return Path(shutil.copytree(trained_shop, tmp_path / "shop"))


@pytest.fixture
def stackproof(shop: Path) -> Stackproof:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "stackproof", *arguments]
        return subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False, timeout=120)

    return run


class Server:
    """A running `stackproof serve`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stackproof", "serve", "returns", "--port", "0", "--format", "json"],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = json.loads(self.process.stdout.readline())["url"]

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def server(shop: Path) -> Iterator[Server]:
    server = Server(shop)
    yield server
    server.close()


@pytest.fixture(scope="session")
def shared_server(trained_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that must not harm it."""
    server = Server(Path(shutil.copytree(trained_shop, tmp_path_factory.mktemp("shared") / "shop")))
    yield server
    server.close()
