"""One attempt at a task: what it raises, and the pause after it."""

from stackproof.roles.orchestration import Task

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0


def pause(attempt: int) -> float:
    """Seconds after the failed attempt `attempt`, counted from 1, until the next one: each twice the one before."""
    return LONGEST_PAUSE_S if attempt > 10 else min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), LONGEST_PAUSE_S)


def raised_by(task: Task) -> BaseException | None:
    """Run it."""
    try:
        task.run()
    except BaseException as error:  # noqa: BLE001  # a task may raise anything; it becomes the result's error
        return error
    return None
