"""A real browser: Chromium without a window, spoken to through its debugging pipe; and axe-core to run in it."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Browser:
    """One page of a browser. `events`: what the browser told meanwhile, by method."""

    commands: int
    answers: int
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _asked: int = 0
    _rest: bytes = b""

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == self._asked:
                assert "error" not in heard, heard
                return heard["result"]
            self.events.append(heard)

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self.answers, 1 << 16)
            assert part, "the browser ended"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return json.loads(line)

    def open(self, url: str) -> None:
        self.events.clear()
        self.ask("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._hear())

    def show(
        self, *, width: int, height: int = 844, scheme: str = "light", media: str = "", script: bool = True
    ) -> None:
        """How the pages that are opened next are shown."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.ask(
            "Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        self.ask("Emulation.setScriptExecutionDisabled", value=not script)

    def value(self, expression: str) -> Any:
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """One key of the keyboard, down and up."""
        text = {"text": " "} if key == " " else {}
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def told(self) -> list[dict[str, Any]]:
        """What was logged or thrown since the page was opened."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [event for event in self.events if event["method"] in kinds]

    def asked_for(self) -> list[str]:
        """What was asked of the network or of files since the page was opened, pictures in the page left out."""
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in asked if not url.startswith("data:")]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser that is spoken to through two pipes, which it expects as files 3 and 4."""
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    command = (
        f"exec chromium --headless --no-sandbox --disable-gpu --no-first-run --remote-debugging-pipe"
        f' --disable-background-networking --user-data-dir="{profile}" 3<&{theirs_in} 4>&{theirs_out}'
    )
    process = subprocess.Popen(
        ["bash", "-c", command], pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(theirs_in)
    os.close(theirs_out)
    browser = Browser(ours_out, ours_in)
    try:
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.ask(f"{domain}.enable")
        yield browser
    finally:
        os.close(ours_out)
        os.close(ours_in)
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed: bash tests/services.sh installs it")
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="session")
def violations() -> Callable[[Browser], list[str]]:
    """What axe-core finds wrong in the page that is open, one line for each fault and place."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: bash tests/services.sh installs it")
    source = AXE.read_text("utf-8")

    def found(browser: Browser) -> list[str]:
        browser.value(f"{source}; undefined")
        result = json.loads(browser.value("axe.run(document, {resultTypes: ['violations']}).then(JSON.stringify)"))
        assert len(result["passes"]) > 10, "axe looked at the page"
        return [
            f"{fault['id']}: {place['html'][:120]} {place['failureSummary'][:200]}"
            for fault in result["violations"]
            for place in fault["nodes"]
        ]

    return found


@pytest.fixture(scope="session")
def contrast() -> Callable[[str, str], float]:
    """The contrast of two colours as WCAG 2 defines it, from 1 to 21."""

    def between(one: str, other: str) -> float:
        lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
        return (lighter + 0.05) / (darker + 0.05)

    return between


def _luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
