"""Do the chosen Python tools install together, and which ones need an environment of their own?"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stackproof.decide import Decision
from stackproof.envs.resolving import Resolution, resolve_together
from stackproof.facts import Facts
from stackproof.facts.model import Install

Resolver = Callable[[Sequence[str], str], Resolution]
Told = Callable[[str], None]


def resolve(
    decision: Decision,
    facts: Facts,
    *,
    python: str = "",
    resolver: Resolver = resolve_together,
    told: Told = lambda _: None,
) -> dict[str, Any]:
    """The document `resolution` of a decision.

    `python`: "3.12", by default that of this process. `together`: whether one environment can hold every chosen tool
    in its tested version or a newer one. `conflict`: the pair of tools that can't be together, or more where no pair
    alone is to blame, and what the resolver said; null where there is none. `tools`: for each, its requirement, the
    version that would be installed, and `environment`: "own" where it can't share, "shared" where it could with the
    others so marked. `unasked`: chosen tools that are not Python distributions, or of which no version was tested.

    Raises `Unavailable` when the package index can't be reached.
    """
    python = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    chosen = list(dict.fromkeys(name for choice in decision.roles.values() for name in _tools(choice)))
    installs = {name: facts.installs[name] for name in chosen if name in facts.installs}
    told(f"Resolving {len(installs)} tools together on Python {python}")
    whole = _ask(list(installs.values()), python, resolver)
    shared = list(installs) if whole.together else _sharing(installs, python, resolver, told)
    conflict = None if whole.together or not installs else _conflict(installs, shared, python, resolver, told)
    shared = shared if len(shared) > 1 else []
    tools = {
        name: _tool(install, name in shared, whole if whole.together else None, python, resolver)
        for name, install in installs.items()
    }
    return {
        "python": python,
        "together": whole.together if installs else None,
        "conflict": conflict,
        "tools": tools,
        "unasked": [name for name in chosen if name not in installs],
    }


def _tools(choice: Any) -> tuple[str, ...]:
    return (choice.tool, *choice.beside) if choice.verdict == "use" and choice.tool else ()


def _ask(installs: Sequence[Install], python: str, resolver: Resolver) -> Resolution:
    if not installs:
        return Resolution({})
    return resolver([requirement for install in installs for requirement in install.requirements], python)


def _conflict(
    installs: Mapping[str, Install], shared: Sequence[str], python: str, resolver: Resolver, told: Told
) -> dict[str, Any]:
    """The first tool that doesn't fit beside those before it, with the one of them that it can't be with.

    Alone where it can't be installed at all; with all that are needed to exclude it where no single one does.
    """
    names = list(installs)
    odd = next(name for name in names if name not in shared)
    before = [name for name in shared if names.index(name) < names.index(odd)]

    def ask(*some: str) -> Resolution:
        told(f"Trying {' and '.join(some)}")
        return _ask([installs[name] for name in some], python, resolver)

    for some in ((odd,), *((name, odd) for name in before)):
        found = ask(*some)
        if not found.together:
            return {"tools": list(some), "because": found.because}
    left, found = before, ask(*before, odd)
    for name in before:
        fewer = ask(*(other for other in left if other != name), odd)
        if not fewer.together:
            left, found = [other for other in left if other != name], fewer
    return {"tools": [*left, odd], "because": found.because}


def _sharing(installs: Mapping[str, Install], python: str, resolver: Resolver, told: Told) -> list[str]:
    """As many tools as fit into one environment, taken in the order of the roles."""
    shared: list[str] = []
    for name in installs:
        told(f"Does {name} fit beside {', '.join(shared) or 'nothing yet'}?")
        if _ask([installs[other] for other in (*shared, name)], python, resolver).together:
            shared.append(name)
    return shared


def _tool(install: Install, shares: bool, whole: Resolution | None, python: str, resolver: Resolver) -> dict[str, Any]:
    found = whole if whole is not None else _ask([install], python, resolver)
    return {
        "requirement": " ".join(install.requirements),
        "tested": install.tested.isoformat() if install.tested else None,
        "version": found.versions.get(install.distribution),
        "environment": "shared" if shares else "own",
        "because": found.because or install.note,
    }
