"""The interview as a person, or a pipe, has it with the program."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stackproof.cli.main import cli

OPEN = (
    "use_case.workloads", "use_case.llm", "use_case.rag", "needs.automl", "needs.hyperparameter_search",
    "readiness.trace",
)  # fmt: skip
"""What the file of answers leaves open, so that the interview is short."""

Ask = Callable[..., Result]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("known"), OPEN)


def write(folder: Path, left_out: Sequence[str], **changes: dict[str, Any]) -> Path:
    """A file with every assumption written down as an answer, but for those left out."""
    from stackproof.decide import parse_answers
    from stackproof.facts import load_facts
    from stackproof.usecases.decide import answers_text

    document = parse_answers(changes, load_facts()).to_document()
    for key in left_out:
        section, _, name = key.partition(".")
        document[section].pop(name, None)
    file = folder / "known.toml"
    file.write_text(answers_text(document), "utf-8")
    return file


@pytest.fixture(scope="module")
def interview(known: Path) -> Ask:
    """The program's answer to lines of typed text."""

    def run(typed: str, *arguments: str, file: Path = known) -> Result:
        started = ["decide", "--ask", "--answers", str(file), "--no-sensitivity", *arguments]
        return CliRunner().invoke(cli, started, input=typed)

    return run


def asked(result: Result) -> list[str]:
    return re.findall(r"^Question \d+, about \d+ left: (\S+)$", result.stderr, flags=re.M)


@pytest.fixture(scope="module")
def everything_open(interview: Ask) -> Result:
    """The interview of somebody who knows nothing."""
    return interview("?\n" * 30, "--format", "json")


@pytest.fixture(scope="module")
def talk(interview: Ask) -> Result:
    """A conversation in which every word is used, and which stops at the second question."""
    return interview("back\nwhy\nhelp\nperhaps so\n?\nback\n?\nstop\nno\n", "--format", "json")


def test_each_question_says_its_values_what_is_assumed_what_it_can_change_and_its_source(talk: Result) -> None:
    for part in ("answer ", "assumed ", "can change ", "source "):
        assert f"\n  {part}" in talk.stderr


def test_an_input_that_ends_takes_the_assumptions_and_decides(interview: Ask) -> None:
    result = interview("", "--format", "json")
    assert result.exit_code == 0
    assert "The input has ended." in result.stderr
    assumed = {item["key"] for item in json.loads(result.stdout)["assumed"]}
    assert assumed == {key for key in OPEN if not key.startswith("current.")}


def test_stop_takes_the_assumptions_for_the_rest(talk: Result) -> None:
    assert "Stopped." in talk.stderr
    assert "could still change the stack" in talk.stderr
    assert talk.exit_code == 0


def test_dont_know_assumes_and_asks_another_question(talk: Result) -> None:
    first, second, *_ = asked(talk)
    assert first != second
    assert first in {item["key"] for item in json.loads(talk.stdout)["assumed"]}


def test_back_asks_the_same_question_again(talk: Result) -> None:
    first, second, third, fourth = asked(talk)
    assert (third, fourth) == (first, second)


def test_back_at_the_first_question_says_so(talk: Result) -> None:
    assert "This is the first question." in talk.stderr


def test_what_is_no_answer_is_refused_with_what_is_allowed(talk: Result) -> None:
    assert "That is no answer to " in talk.stderr
    assert "Allowed: " in talk.stderr


def test_standard_output_holds_nothing_but_the_decision(talk: Result) -> None:
    assert json.loads(talk.stdout)["schema"] == 1


def test_why_says_what_an_answer_would_move_and_that_answer_moves_it(interview: Ask, talk: Result) -> None:
    why = re.search(r"^  (?P<value>[^\n:]+?):\s+(?P<move>\w[\w ]*: [^\n;]+ -> [^\n;]+?)(;|$)", talk.stderr, re.M)
    assert why is not None
    result = interview(f"{why['value']}\nstop\n")
    assert f"  {why['move']}" in result.stderr


def test_letters_that_are_no_utf8_are_refused_without_a_traceback(known: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stackproof", "decide", "--ask", "--answers", str(known), "--no-sensitivity"],
        input=b"\xff\xfe\nstop\n", capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"That is no answer" in done.stderr
    assert b"Traceback" not in done.stderr


def test_what_contradicts_an_assumption_brings_up_the_question_of_what_is_assumed(
    interview: Ask, tmp_path: Path
) -> None:
    """Documents are retrieved; that no language model is used was only assumed."""
    file = write(tmp_path, ["use_case.llm"], use_case={"rag": True})
    result = interview("api\nstop\n", file=file)
    assert asked(result)[0] == "use_case.llm"
    assert "because     Language models answer from your documents" in result.stderr
    assert "contradict each other" not in result.stdout


def test_tools_in_use_are_asked_for_at_the_end_and_bring_their_migration(
    interview: Ask, everything_open: Result
) -> None:
    number = len(asked(everything_open))
    assert "Which tools do you use today?" in everything_open.stderr
    typed = "?\n" * number + "tracking=tensorbord\ntracking\ntrackin=tensorboard\ntracking=tensorboard\n" + "\n" * 9
    result = interview(typed, "--format", "json")
    assert "did you mean 'tensorboard'?" in result.stderr
    assert "did you mean 'tracking'?" in result.stderr
    assert "That names no role and tool" in result.stderr
    assert json.loads(result.stdout)["roles"]["tracking"]["migration"]["from"] == "tensorboard"


def test_answers_that_contradict_each_other_are_asked_about_and_can_be_changed(
    interview: Ask, everything_open: Result
) -> None:
    """Every question is left open; then a tool is named that contradicts what is assumed."""
    typed = "?\n" * len(asked(everything_open)) + "orchestration=kubeflow-pipelines\n"
    result = interview(typed + "9\n1\navailable\n" + "?\n" * 30, "--format", "json")
    assert "These answers don't go together: Kubeflow Pipelines is in use" in " ".join(result.stderr.split())
    assert "A number from 1 to 2" in result.stderr
    assert json.loads(result.stdout)["answers"]["infrastructure"]["kubernetes"] == "available"


def test_a_file_that_contradicts_itself_is_asked_about_before_anything_else(interview: Ask, tmp_path: Path) -> None:
    file = write(tmp_path, [], use_case={"rag": True})
    result = interview("2\napi\nstop\n", file=file)
    assert result.stderr.index("These answers don't go together") < result.stderr.index("Question 1")
    assert asked(result)[0] == "use_case.llm"
    assert "you said    none" in result.stderr


def test_contradicting_answers_may_both_stand_and_the_decision_names_them(
    interview: Ask, everything_open: Result
) -> None:
    typed = "?\n" * len(asked(everything_open)) + "orchestration=kubeflow-pipelines\n" + "\n" * 30
    result = interview(typed)
    assert result.stderr.count("These answers don't go together") == 1
    assert "Your answers contradict each other" in result.stdout
    assert "Kubeflow Pipelines is in use for orchestration" in " ".join(result.stdout.split())


def test_at_the_end_it_says_how_many_questions_change_nothing(everything_open: Result) -> None:
    assert re.search(r"\d+ questions asked, \d+ left out: no other answer", " ".join(everything_open.stderr.split()))


def test_at_the_end_a_command_keeps_the_answers(interview: Ask, tmp_path: Path) -> None:
    shown = interview("why\nperhaps\n?\n" + "yes\nnone\nsome\n" * 3 + "stop\n").stderr
    kept = re.search(r"<<'END'\n(.*?)END\n", shown, flags=re.S)
    assert kept is not None
    (tmp_path / "answers.toml").write_text(kept[1], "utf-8")
    again = CliRunner().invoke(cli, ["decide", "--answers", str(tmp_path / "answers.toml"), "--no-sensitivity"])
    assert again.exit_code in (0, 3)
    assert tomllib.loads(kept[1])


def test_with_a_folder_the_answers_are_written_and_no_command_is_shown(interview: Ask, tmp_path: Path) -> None:
    result = interview("stop\n", "--out", str(tmp_path / "out"))
    assert "cat >" not in result.stderr
    assert (tmp_path / "out" / "answers.toml").exists()


def test_a_role_that_there_is_not_is_refused_before_anything_is_asked(interview: Ask) -> None:
    result = interview("", "--role", "servin")
    assert result.exception is not None
    assert asked(result) == []


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 100, 140])
def test_on_a_terminal_no_line_is_wider_than_it_and_there_are_colours(columns: int, known: Path) -> None:
    shown = on_a_terminal(columns, known, b"?\nwhy\nstop\n")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert shown != plain
    assert max(len(line) for line in plain.split("\n")) <= min(columns, 100)
    assert "The stack, as of" in plain


def on_a_terminal(columns: int, known: Path, typed: bytes) -> str:
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    child = subprocess.Popen(
        [sys.executable, "-m", "stackproof", "decide", "--ask", "--answers", str(known), "--no-sensitivity"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, typed)
    shown, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        ready, _, _ = select.select([ours], [], [], 0.2)
        if ready:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the terminal closes with the program
                break
        elif child.poll() is not None:
            break
    child.wait(10)
    os.close(ours)
    return shown.decode().replace("\r", "")
