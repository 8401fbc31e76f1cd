"""The interview in a terminal, or over a pipe. It speaks on standard error; standard output is the decision's."""

import shlex
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from stackproof.cli.decided import shown
from stackproof.cli.layout import say
from stackproof.errors import RefusedInput

if TYPE_CHECKING:
    from stackproof.decide import Answers
    from stackproof.decide.contradictory import Contradiction
    from stackproof.facts import Facts
    from stackproof.facts.model import Question
    from stackproof.usecases.asking import Asked, Interview, Moved

MOST_SHOWN = 8
"""How many of the answers that would move something `why` lists."""

WORDS = (
    ("an answer", "is taken, and what it moves is shown"),
    ("Enter or ?", "you don't know: what is assumed stands"),
    ("why", "what another answer would change"),
    ("back", "one question back"),
    ("stop", "no more questions: what is assumed stands for the rest"),
)


class _Stopped(Exception):
    """The person asked for no more questions, or the input has ended."""


class _Ended(_Stopped):
    """The input has ended."""


def ask(facts: "Facts", known: "Answers", *, keep: bool = True) -> "Answers":
    """Ask what can still change the stack. `known`: what is not asked. `keep`: show at the end how to keep the
    answers as a file."""
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    from stackproof.usecases.asking import Interview

    _tell("Only what can still change the stack is asked, what settles most first.")
    for word, meaning in WORDS:
        say(meaning, label=word, indent=2, error=True)
    interview = Interview(facts, known)
    try:
        _ask_all(interview)
        _ask_tools_in_use(interview, facts)
        _ask_all(interview)
        _tell_left_out(interview)
    except (KeyboardInterrupt, click.Abort):
        _tell_how_to_keep(interview)
        raise
    except _Stopped as stopped:
        if isinstance(stopped, _Ended) and not interview.answers.given:
            raise RefusedInput(
                "Nothing was answered, so there is nothing to decide by",
                got="an input that ends at the first question",
                allowed="answers typed or piped, or a file of them",
                next_command="stackproof decide --answers answers.toml",
            ) from None
        left, could = len(interview.left_out), len(interview.could_change)
        _tell(f"{stopped} Of {left} questions not asked, {could} could still change the stack; what is assumed stands.")
    if keep:
        _tell_how_to_keep(interview)
    return interview.answers


def _ask_all(interview: "Interview") -> None:
    told = False
    _settle(interview)
    while asked := interview.next_question():
        if asked.alone == 0 and asked.settles is None and not asked.effects and not told:
            _tell(
                "No single answer changes the stack any more; what is asked from here on does so only together with "
                "other answers that differ from what is assumed. You can stop here."
            )
            told = True
        _ask_one(interview, asked)
        _settle(interview)


def _tell(text: str) -> None:
    click.echo(err=True)
    say(text, error=True)


def _ask_one(interview: "Interview", asked: "Asked") -> None:
    """One question, until it is answered, left open or left behind."""
    from stackproof.errors import RefusedInput
    from stackproof.usecases.decide import DONT_KNOW, understood

    question = asked.question
    _show(interview, asked)
    while True:
        typed = _read("> ")
        word = typed.lower()
        if word == "why":
            _why(interview, asked)
        elif word == "help":
            for name, meaning in WORDS:
                say(meaning, label=name, indent=2, error=True)
        elif word == "back":
            if interview.back() is None:
                say("This is the first question.", indent=2, error=True)
                continue
            if interview.moved():
                _show_moves(interview.moved())
            return
        elif word in DONT_KNOW:
            _show_moves(interview.leave_open(question.key))
            say(f"assumed: {shown(asked.value)}", indent=2, error=True)
            return
        else:
            try:
                value = understood(question, typed, interview.facts)
            except RefusedInput as refused:
                say(str(refused), indent=2, colour="red", error=True)
                continue
            _show_moves(interview.answer(question.key, value))
            return


def _show(interview: "Interview", asked: "Asked") -> None:
    question = asked.question
    click.echo(err=True)
    about = f"Question {interview.asked + 1}, about {asked.left} left: {question.key}"
    click.echo(click.style(about, bold=True), err=True)
    say(question.text, indent=2, error=True)
    say(_allowed(question), label="answer", indent=2, error=True)
    said = question.key in interview.answers.given
    say(shown(asked.value), label="you said" if said else "assumed", indent=2, error=True)
    if asked.settles is not None:
        say(f"{asked.settles.text}.", label="because", indent=2, colour="yellow", error=True)
    elif asked.roles:
        say(", ".join(asked.roles), label="can change", indent=2, error=True)
    else:
        say("nothing by itself; together with other answers: why", label="can change", indent=2, error=True)
    say(question.source, label="source", indent=2, error=True)


def _allowed(question: "Question") -> str:
    if question.type == "bool":
        return "yes, no"
    if question.type == "choices":
        return f"any of {', '.join(question.allowed)}; or none"
    if question.type == "choice":
        return ", ".join(question.allowed)
    if question.type == "tool":
        return "a tool's id; stackproof catalog lists them"
    return f"{'a whole number' if question.type == 'int' else 'a number'}, at least {question.least or 0:g}"


def _why(interview: "Interview", asked: "Asked") -> None:
    if asked.settles is not None:
        say(f"It would settle a contradiction: {asked.settles.text}.", indent=2, error=True)
    for effect in asked.effects[:MOST_SHOWN]:
        moves = "; ".join(f"{move.what}: {move.before} -> {move.after}" for move in effect.moves)
        say(f"{moves}", label=f"{shown(effect.value)}: ", indent=2, error=True)
    if len(asked.effects) > MOST_SHOWN:
        say(f"and {len(asked.effects) - MOST_SHOWN} other answers", indent=2, error=True)
    if not asked.effects:
        _why_together(interview, asked)


def _why_together(interview: "Interview", asked: "Asked") -> None:
    found = interview.together(asked.question.key)
    if found is None:
        say("By itself it moves nothing, as things stand.", indent=2, error=True)
        return
    others = " and ".join(f"{key} = {shown(value)}" for key, value in found.others.items())
    moves = "; ".join(f"{move.what}: {move.before} -> {move.after}" for move in found.moves)
    say(f"Were {others}: {shown(found.value)} moves {moves}.", indent=2, error=True)


def _show_moves(moves: "tuple[Moved, ...]") -> None:
    for move in moves:
        line = f"  {move.what}: {move.before} -> {move.after}"
        click.echo(click.style(line, fg="green"), err=True)
    if not moves:
        say("Nothing moves.", indent=2, error=True)


def _settle(interview: "Interview") -> None:
    """Ask which one is right where answers contradict each other and none of them is open any more."""
    for found in interview.contradictions():
        if any(key in interview.left_out for key in found.keys):
            continue
        key = _which(interview, found)
        if key is not None:
            interview.ask_again(key)
            return
        interview.accept(found)


def _which(interview: "Interview", found: "Contradiction") -> str | None:
    """The answer to change; None where all stand."""
    click.echo(err=True)
    say(f"These answers don't go together: {found.text}.", colour="yellow", error=True)
    for number, key in enumerate(found.keys, 1):
        assumed = "" if key in interview.answers.given else " (assumed)"
        say(f"{key} = {shown(interview.answers[key])}{assumed}", label=str(number), indent=2, error=True)
    while True:
        typed = _read("Which one do you change? Its number, or Enter when all of them are right: ")
        if typed in ("", "?"):
            return None
        if typed.isdecimal() and 1 <= int(typed) <= len(found.keys):
            return found.keys[int(typed) - 1]
        say(f"A number from 1 to {len(found.keys)}, or Enter.", indent=2, colour="red", error=True)


def _ask_tools_in_use(interview: "Interview", facts: "Facts") -> None:
    """They change no pick, but the way there. All in one line."""
    from stackproof.errors import RefusedInput

    asked = [key for key in facts.questions if key.startswith("current.") and key not in interview.answers.given]
    roles = ", ".join(key.partition(".")[2] for key in asked)
    if not asked:
        return
    click.echo(err=True)
    click.echo(click.style("Which tools do you use today?", bold=True), err=True)
    say("It shows the way from there.", indent=2, error=True)
    say("tracking=tensorboard serving=torchserve; Enter for none", label="for example", indent=2, error=True)
    say(roles, label="roles", indent=2, error=True)
    while True:
        try:
            named = _tools_in_use(_read("> "), facts)
        except RefusedInput as refused:
            say(str(refused), indent=2, colour="red", error=True)
            continue
        for key, tool in named.items():
            _show_moves(interview.answer(key, tool))
        return


def _tools_in_use(typed: str, facts: "Facts") -> dict[str, str]:
    """Raises `RefusedInput` for what is no role and tool."""
    from stackproof.errors import RefusedInput, UnknownName
    from stackproof.roles import ROLES
    from stackproof.usecases.decide import DONT_KNOW, find_tool

    named = {}
    for part in [] if typed.lower() in (*DONT_KNOW, "none") else typed.replace(",", " ").split():
        role, equals, tool = part.partition("=")
        if not equals:
            raise RefusedInput("That names no role and tool", got=part, allowed="role=tool, such as tracking=mlflow")
        if role not in ROLES:
            raise UnknownName("role", role, ROLES)
        named[f"current.{role}"] = find_tool(facts, tool).id
    return named


def _tell_left_out(interview: "Interview") -> None:
    left = len(interview.left_out)
    _tell(
        f"{interview.asked} questions asked, {left} left out: no other answer to any of them changes the stack, "
        "and neither did random answers to all of them together."
    )


def _tell_how_to_keep(interview: "Interview") -> None:
    """A command to paste, with the answers in it."""
    from stackproof.usecases.decide import answers_text, given_answers

    given = given_answers(interview.answers)
    if not given:
        return
    _tell("To keep your answers, and to decide again from them:")
    click.echo(f"\ncat > answers.toml <<'END'\n{answers_text(given)}END", err=True)
    click.echo(f"{shlex.join(['stackproof', 'decide', '--answers', 'answers.toml', '--out', 'decided'])}\n", err=True)


def _read(prompt: str) -> str:
    """One line, without the blanks around it. Raises `_Stopped` for `stop` and at the end of the input."""
    click.echo(prompt, nl=False, err=True)
    line = sys.stdin.readline()
    if not line:
        click.echo(err=True)
        raise _Ended("The input has ended.")
    if not sys.stdin.isatty():
        click.echo(line.rstrip("\n"), err=True)
    typed = line.strip()
    if typed.lower() == "stop":
        raise _Stopped("Stopped.")
    return typed
