"""Runs the commands that the pages show, and puts what they print into the pages.

python docs/examples.py          writes it
python docs/examples.py --check  says which pages are stale, exit code 1 when one is

A shown output is a block of text below a comment that names the command and, by how they begin, the first line to show
and the first line not to show any more (without these, all of it):

<!-- stackproof decide --answers answers/harvest.toml | The stack | Why -->
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

HOW_TO = Path(__file__).parent / "how-to"
SHOWN = re.compile(r"(<!-- stackproof (?P<what>[^\n]*) -->\n\n?```text\n)(?P<text>.*?)(```)", flags=re.S)


def renewed(page: Path) -> str:
    """The page with what its commands print today."""
    return SHOWN.sub(lambda found: f"{found[1]}{output(found['what'])}{found[4]}", page.read_text(encoding="utf-8"))


def output(what: str) -> str:
    """What the command prints, as far as asked for, by the shipped facts alone."""
    alone = {name: value for name, value in os.environ.items() if name != "STACKPROOF_FACTS"}
    command, *bounds = (part.strip() for part in what.split(" | "))
    done = subprocess.run(
        [sys.executable, "-m", "stackproof", *shlex.split(command)],
        cwd=HOW_TO, capture_output=True, check=False, encoding="utf-8",
        env=alone | {"XDG_DATA_HOME": str(HOW_TO), "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if not lines:
        sys.exit(f"stackproof {command} printed nothing: {done.stderr}")
    first, after = [*bounds, "", ""][:2]
    start = next((place for place, line in enumerate(lines) if line.startswith(first)), None)
    if start is None:
        sys.exit(f"stackproof {command} prints no line that begins with {first!r}")
    rest = range(start + 1, len(lines))
    end = next((place for place in rest if after and lines[place].startswith(after)), len(lines))
    return "\n".join(lines[start:end]).rstrip() + "\n"


def main() -> int:
    stale = []
    for page in sorted(HOW_TO.glob("*.md")):
        text = renewed(page)
        if page.read_text(encoding="utf-8") != text:
            stale.append(page.name)
            if "--check" not in sys.argv:
                page.write_text(text, encoding="utf-8")
    if "--check" in sys.argv and stale:
        print(f"stale: {', '.join(stale)}. Next: python docs/examples.py", file=sys.stderr)  # noqa: T201  # a script speaks by printing
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
