"""The command `stackproof`. Commands are imported when they are called, so that --help is quick."""

import errno
import os
import sys
import threading
from collections.abc import Sequence
from importlib import import_module

import click

from stackproof.errors import Conflict, NotCapable, NotFound, RefusedInput, StackproofError

EXIT_NO = 1
EXIT_REFUSED = 2
EXIT_NONE_LEFT = 3
EXIT_FAILED = 4
EXIT_INTERRUPTED = 130

COMMANDS: dict[str, tuple[str, str, str]] = {
    "quickstart": ("quickstart:quickstart", "Run", "From answers to a running, proven stack, on real flights."),
    "decide": ("decide:decide", "Decide", "Decide a stack from a team's answers and explain why."),
    "explain": ("explain:explain", "Decide", "Explain the decision for one ROLE."),
    "compare": ("compare:compare", "Decide", "Compare TOOLS side by side, with dates and ages."),
    "review": ("review:review", "Decide", "Hold an earlier decision against what is known today."),
    "catalog": ("catalog:catalog", "Decide", "List the tools that are known, or show one TOOL with its sources."),
    "prove": ("prove:prove", "Prove", "Run a role's scenario on each of the TOOLS, here, and compare."),
    "plan": ("stack:plan", "Run", "Show what applying stack.toml would change."),
    "apply": ("stack:apply", "Run", "Apply stack.toml: make its tools' environments, check each role and record it."),
    "check": ("stack:check", "Run", "Check what fills each role, and whether it works."),
    "up": ("servers:up", "Run", "Start the servers of the stack, and keep them up."),
    "down": ("servers:down", "Run", "Stop all servers of the stack."),
    "status": ("servers:status", "Run", "Show how each server of the stack is."),
    "logs": ("servers:logs", "Run", "Show what a server printed."),
    "envs": ("envs:envs", "Run", "List the tools' environments: what they take, and which projects use them."),
    "data": ("data:data", "Run", "Load, validate and snapshot datasets."),
    "features": ("data:features", "Run", "Make feature views readable online, or look one up."),
    "run": ("runs:run", "Run", "Run a pipeline; what is known already is not done again."),
    "deploy": ("serving:deploy", "Run", "Put model versions behind a deployment, with weights."),
    "serve": ("serving:serve", "Run", "Serve a deployment over HTTP (Open Inference Protocol v2)."),
    "watch": ("serving:watch", "Run", "Watch a deployment and alert when production differs."),
    "attach": ("attach:attach", "Run", "Take a running MLflow server, or a service, as it is."),
    "runs": ("runs:runs", "Ask", "List runs, newest or best first."),
    "show": ("runs:show", "Ask", "Show anything that the ledger knows, by its identifier."),
    "trace": ("answers:trace", "Ask", "Trace a prediction back to the exact training data."),
    "reproduce": ("answers:reproduce", "Ask", "Run a training run again and compare."),
    "ready": ("answers:ready", "Ask", "Answer the three questions, with evidence."),
}  # fmt: skip
"""Name to (its module and attribute in this folder, its section in --help, what it does)."""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"stackproof.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from stackproof.errors import did_you_mean

            ctx.fail(f"There is no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}\nNext: stackproof --help")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in ("Decide", "Prove", "Run", "Ask"):
            rows = [(name, text) for name, (_, where, text) in COMMANDS.items() if where == section]
            with formatter.section(section):
                formatter.write_dl(rows)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stackproof", message="stackproof %(version)s")
def cli() -> None:
    """Decide an MLOps stack, prove the choice, and run it under one ledger.

    \b
    Exit codes: 0 good, 1 the answer is no, 2 refused input, 3 no tool is left, 4 something failed.
    Completion: eval "$(_STACKPROOF_COMPLETE=bash_source stackproof)"   (or zsh_source, fish_source)
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. Each of our errors becomes one message and an exit code."""
    try:
        code = cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted. What was acknowledged is kept.", err=True)
        leave_now(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_REFUSED)
    except StackproofError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(exit_code(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        click.echo("Error: The output could not be written: no space is left where it goes", err=True)
        leave_now(EXIT_FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def leave_now(code: int) -> None:
    """Exit without waiting for threads: a step that runs cannot be stopped, and Ctrl-C means now."""
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)


def exit_code(error: StackproofError) -> int:
    """2 when another input would do, 4 when something failed."""
    refused = isinstance(error, RefusedInput | NotFound | Conflict | NotCapable)
    return EXIT_REFUSED if refused else EXIT_FAILED


if __name__ == "__main__":
    main()
