"""What is wrong with what is known: expired, contradicting, without a date, missing."""

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from stackproof.facts import Facts
from stackproof.facts.expiry import PAID, Dated, expired
from stackproof.facts.model import DEAD, Criterion, Fact, Rating, Tool
from stackproof.usecases.decide import known_facts

CATEGORIES = ("expired", "contradicting", "undated", "missing")
FATAL = frozenset({"expired", "contradicting"})
"""Categories with which the facts are not fit to decide by."""

NEEDED = ("status", "licence_kind", "release")
"""Facts on which decisions rest."""

LIVELY = frozenset({"active", "acquired_active", "renamed_active"})
QUIET_DAYS = 730
"""Without a release for so long, a tool that is called active is not."""

LICENCES = {
    "open-source": re.compile(r"\b(Apache|MIT|BSD|[AL]?GPL|MPL|ISC|PSF|Mozilla)", re.IGNORECASE),
    "source-available": re.compile(r"\b(BSL|BUSL|Business Source|Elastic|RSAL|SSPL|source.available)", re.IGNORECASE),
    "proprietary": re.compile(r"\b(proprietary|commercial)", re.IGNORECASE),
}
"""Kind of licence to the words by which a licence of that kind is known."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `tool` "": about no single tool. `text`: a sentence without its full stop."""

    category: str
    tool: str
    key: str
    text: str
    source: str = ""
    date: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """Every finding, by category in the order of `CATEGORIES`, then by tool. `tools`: how many were looked at."""

    as_of: datetime.date
    tools: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        return not any(finding.category in FATAL for finding in self.findings)

    def of(self, category: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.category == category)


def check_catalog(*, as_of: datetime.date, overlays: Sequence[Path] = ()) -> Checked:
    """Check the facts with the user's own laid over them. Raises `RefusedInput` for faults in them."""
    return check_facts(known_facts(overlays), as_of)


def check_facts(facts: Facts, as_of: datetime.date) -> Checked:
    """Every finding. A tool that is dead is looked at only for contradictions: nothing else about it is used."""
    looks: tuple[Callable[[Tool, Facts, datetime.date], Iterator[Finding]], ...] = (
        _expired, _contradicting, _undated, _missing,
    )  # fmt: skip
    found = [finding for tool in facts.tools.values() for look in looks for finding in look(tool, facts, as_of)]
    found += [*_expired_pairs(facts, as_of), *_contradicting_pairs(facts)]
    order = {category: number for number, category in enumerate(CATEGORIES)}
    return Checked(as_of, len(facts.tools), tuple(sorted(found, key=lambda f: (order[f.category], f.tool))))


def licence_kinds(text: str) -> frozenset[str]:
    """The kinds of licence that a text names: open-source, source-available, proprietary; none for unknown words."""
    return frozenset(kind for kind, words in LICENCES.items() if words.search(text))


def _dead(tool: Tool) -> bool:
    return tool.status.verified and tool.status.value in DEAD


def _expired(tool: Tool, facts: Facts, as_of: datetime.date) -> Iterator[Finding]:
    del facts
    if _dead(tool):
        return
    known: list[tuple[str, Dated]] = [(key, fact) for key, fact in tool.facts.items() if fact.verified]
    known += [(f"mode {mode.hosting}", mode) for mode in tool.modes]
    known += [(f"rating {rating.criterion}", rating) for rating in tool.ratings if rating.verified]
    known += [("caution", caution) for caution in tool.cautions]
    for key, one in known:
        found = expired(one, as_of, of=tool.name)
        if found:
            yield Finding("expired", tool.id, key, found.text, one.source, one.date)


def _undated(tool: Tool, facts: Facts, as_of: datetime.date) -> Iterator[Finding]:
    del facts, as_of
    if _dead(tool):
        return
    for key in NEEDED:
        fact = tool.facts.get(key)
        if fact and fact.date is None and fact.verified:
            yield Finding("undated", tool.id, key, f"Nobody can say how old the {_words(key)} is", fact.source)
    for mode in tool.modes:
        if mode.cost in PAID and mode.date is None:
            text = f"Nobody can say how old the price of its {mode.hosting} form is"
            yield Finding("undated", tool.id, f"mode {mode.hosting}", text, mode.source)


def _contradicting(tool: Tool, facts: Facts, as_of: datetime.date) -> Iterator[Finding]:
    for text in (*_dead_names(tool, facts), *_licence(tool), *_lifecycle(tool, as_of)):
        key, _, sentence = text.partition(": ")
        yield Finding("contradicting", tool.id, key, sentence, tool.status.source, tool.status.date)
    yield from _ratings(tool, facts)


def _dead_names(tool: Tool, facts: Facts) -> Iterator[str]:
    for name in tool.replaced_by:
        if _dead(facts.tools[name]):
            yield f"replaced_by: It is to be replaced by {name}, which is {facts.tools[name].status.value}"
    for name in () if _dead(tool) else tool.requires:
        if _dead(facts.tools[name]):
            yield f"requires: It can't be used without {name}, which is {facts.tools[name].status.value}"


def _licence(tool: Tool) -> Iterator[str]:
    kind, licence = tool.facts.get("licence_kind"), tool.facts.get("licence")
    if not (kind and kind.verified):
        return
    named = licence_kinds(str(licence.value)) if licence and licence.verified else frozenset()
    if named and kind.value not in named:
        yield f"licence_kind: Its licence is called {kind.value}, and its text says {licence.value if licence else ''}"
    release = tool.facts.get("release")
    package = licence_kinds(release.more.get("licence", "")) if release else frozenset()
    if kind.value == "open-source" and package and "open-source" not in package and release:
        yield f"licence_kind: Its licence is called open-source, and its package says {release.more['licence']}"


def _lifecycle(tool: Tool, as_of: datetime.date) -> Iterator[str]:
    newest, status = _newest_release(tool.facts.get("release")), tool.status
    if newest is None or not status.verified:
        return
    quiet = (as_of - newest).days
    if status.value in LIVELY and quiet > QUIET_DAYS:
        yield f"status: It is called {status.value}, and its newest release is {quiet} days old"
    if _dead(tool) and status.date is not None and newest > status.date:
        yield f"status: It was called {status.value} on {status.date}, and a release came on {newest}"


def _newest_release(release: Fact | None) -> datetime.date | None:
    """The newest day that the fact tells of, whichever package it is of; None for none."""
    text = release.more.get("released", "") if release and release.verified else ""
    days = []
    for found in re.findall(r"\d{4}-\d{2}-\d{2}", text):
        try:
            days.append(datetime.date.fromisoformat(found))
        except ValueError:
            continue
    return max(days, default=None)


def _ratings(tool: Tool, facts: Facts) -> Iterator[Finding]:
    """Ratings of one criterion that differ, none of which overtakes the others by its date.

    Those of the documents are told where the documents contradict each other, and count as told there.
    """
    if _dead(tool):
        return
    verified = sorted((r for r in tool.ratings if r.verified), key=lambda r: (r.criterion, r.role))
    told = {role for one in facts.contradictions if tool.id in one.tools for role in one.roles}
    for (criterion, role), group in groupby(verified, key=lambda r: (r.criterion, r.role)):
        counted = _counted(list(group))
        values = list(dict.fromkeys(rating.value for rating in counted))
        roles = {role} if role else {*tool.roles, *tool.parts}
        if len(values) > 1 and not told & roles:
            text = f"Its {criterion} is rated {' and '.join(values)}"
            sources = "; ".join(dict.fromkeys(rating.source for rating in counted))
            yield Finding("contradicting", tool.id, f"rating {criterion}", text, sources, counted[0].date)


def _counted(ratings: Sequence[Rating]) -> list[Rating]:
    newest = max((rating.date for rating in ratings if rating.date), default=None)
    return [rating for rating in ratings if rating.date == newest]


def _missing(tool: Tool, facts: Facts, as_of: datetime.date) -> Iterator[Finding]:
    del as_of
    if not tool.roles or _dead(tool):
        return
    for key in NEEDED[:2]:
        fact = tool.facts.get(key)
        if fact is None or not fact.verified:
            yield Finding("missing", tool.id, key, f"Its {_words(key)} is {'not verified' if fact else 'not known'}")
    release = tool.facts.get("release")
    if release is None and any(mode.hosting == "library" for mode in tool.modes):
        yield Finding("missing", tool.id, "release", "It is a library, and no release is known")
    elif release and release.more.get("package") and not release.more.get("released"):
        yield Finding("missing", tool.id, "release", "It is not known when its newest release came", release.source)
    for mode in tool.modes:
        if not mode.operation:
            text = f"Nobody said what it takes to operate its {mode.hosting} form"
            yield Finding("missing", tool.id, f"mode {mode.hosting}", text)
    for criterion in _of_tool(tool, facts):
        if not any(r.verified and r.criterion == criterion.id and r.role in ("", criterion.role) for r in tool.ratings):
            text = f"Its {criterion.name} for {criterion.role} is not rated"
            yield Finding("missing", tool.id, f"rating {criterion.id}", text)


def _of_tool(tool: Tool, facts: Facts) -> Iterator[Criterion]:
    """The rated criteria of its roles, of those for an aspect the ones where a rule names the tool for it."""
    named: Mapping[str, set[str]] = {
        role: {branch.aspect for branch in tree.branches if any(tool.id == pick.tool for pick in branch.picks)}
        for role, tree in facts.trees.items()
    }
    for criterion in facts.criteria:
        in_role = bool(criterion.scale) and criterion.role in tool.roles
        if in_role and (not criterion.aspect or criterion.aspect in named.get(criterion.role, ())):
            yield criterion


def _expired_pairs(facts: Facts, as_of: datetime.date) -> Iterator[Finding]:
    for pair in facts.pairs:
        found = expired(pair, as_of, of=" and ".join(pair.tools))
        if found:
            yield Finding("expired", "", f"pair {'+'.join(pair.tools)}", found.text, pair.source, pair.date)


def _contradicting_pairs(facts: Facts) -> Iterator[Finding]:
    seen: dict[frozenset[str], str] = {}
    for pair in facts.pairs:
        before = seen.setdefault(frozenset(pair.tools), pair.kind)
        if {before, pair.kind} == {"integrates", "conflicts"}:
            text = f"{' and '.join(pair.tools)} are said to integrate and to conflict"
            yield Finding("contradicting", "", f"pair {'+'.join(pair.tools)}", text, pair.source, pair.date)


def _words(key: str) -> str:
    return {"licence_kind": "kind of licence", "status": "lifecycle"}.get(key, key)
