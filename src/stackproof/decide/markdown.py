"""A decision as an architecture decision record, in the form of MADR (Markdown Any Decision Records)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from stackproof.decide.decision import Cost, Decision, Reason, RoleDecision, Scored

MOST_TOLD = 4
"""Reasons and rejections of a role that are told in full: the record is to be read and signed."""

LEAST_WEIGHT = 1.0
"""Criteria that weigh less stand in decision.json only."""

OTHERWISE = "Holds as well"

VERDICTS = {"use": "use", "defer": "can wait", "skip": "not needed", "none": "no tool is left"}
NO_NAMES: Mapping[str, str] = {}
COSTS = (
    ("licences", "Licences and managed services"),
    ("infrastructure", "Servers and storage"),
    ("people", "People's time"),
    ("total", "All together, a year"),
    ("three_years", "Three years"),
)
_MEANT = str.maketrans({letter: f"\\{letter}" for letter in "\\`*[]|#<>"} | {"\n": " ", "\r": " ", "\t": " "})
_TURNING = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # they turn the direction of what follows
_DOCUMENT = re.compile(r"\b\w+\.txt\b")


def decision_record(decision: Decision, *, names: Mapping[str, str] = NO_NAMES) -> str:
    """The whole record as Markdown, to be committed and signed. The same decision gives the same text.

    `names`: how tools are called, by id. Nothing in a text is read as Markdown or HTML.
    """
    record = _Record(decision, names)
    parts = (
        record.front(),
        record.context(),
        record.drivers(),
        record.considered(),
        record.outcome(),
        record.consequences(),
        record.confirmation(),
        record.options(),
        record.cost(),
        record.other_stacks(),
        record.migration(),
        record.installing(),
        record.changes(),
        record.conflicts(),
        record.more(),
        record.signatures(),
    )
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part))) + "\n"


class _Record:
    """The parts of the record, each as lines; a part with nothing to say has none."""

    def __init__(self, decision: Decision, names: Mapping[str, str]) -> None:
        self._decision = decision
        self._names = names

    def _tool(self, tool: str | None) -> str:
        return "-" if tool is None else plain(self._names.get(tool, tool))

    def _tools(self, choice: RoleDecision) -> str:
        return " + ".join(self._tool(tool) for tool in (choice.tool, *choice.beside))

    def _in_use(self) -> list[tuple[str, RoleDecision]]:
        return [(role, choice) for role, choice in self._decision.roles.items() if choice.verdict == "use"]

    def front(self) -> Iterator[str]:
        chosen = ", ".join(self._tools(choice) for _, choice in self._in_use()) or "no tool yet"
        yield "---"
        yield 'status: "proposed"'
        yield f"date: {self._decision.as_of}"
        yield "decision-makers: []"
        yield "consulted: []"
        yield "informed: []"
        yield "---"
        yield ""
        yield f"# The MLOps stack: {chosen}"

    def context(self) -> Iterator[str]:
        readiness = self._decision.readiness
        yield "## Context and Problem Statement"
        yield ""
        yield "Which tool fills each role of our machine-learning lifecycle, and which role can wait?"
        if readiness.weakest is not None:
            order = ", then ".join(plain(role) for role in readiness.order)
            yield ""
            yield f"The weakest of the three questions is *{plain(readiness.weakest)}*. Start with {order}."
            yield from (f"{sentence(cited(reason))}" for reason in readiness.because[-1:])

    def drivers(self) -> Iterator[str]:
        assumed = {item.key for item in self._decision.assumed}
        yield "## Decision Drivers"
        yield ""
        for section, table in self._decision.answers.items():
            given = [f"{plain(k)} = {shown(v)}" for k, v in table.items() if f"{section}.{k}" not in assumed]
            if given:
                yield f"* {plain(section)}: {'; '.join(given)}"
        for item in self._decision.assumed:
            if item.matters_for:
                yield f"* assumed: {plain(item.key)} = {shown(item.value)} (matters for {', '.join(item.matters_for)})"

    def considered(self) -> Iterator[str]:
        yield "## Considered Options"
        yield ""
        for role, choice in self._decision.roles.items():
            others = [self._tool(other.tool) for other in choice.alternatives]
            struck = [self._tool(tool.tool) for tool in choice.rejected]
            told = [f"{self._tools(choice)} (chosen)"] if choice.verdict == "use" else [VERDICTS[choice.verdict]]
            told += others + ([f"struck out: {', '.join(struck)}"] if struck else [])
            yield f"* {role}: {'; '.join(told)}"

    def outcome(self) -> Iterator[str]:
        yield "## Decision Outcome"
        yield ""
        yield from table_head("Role", "Verdict", "Tool", "Score", "Stays", "Main reason")
        for role, choice in self._decision.roles.items():
            tools = self._tools(choice) if choice.verdict == "use" else "-"
            stays = "-" if choice.stability is None else f"{choice.stability:.0%}"
            yield row(role, VERDICTS[choice.verdict], tools, score(choice), stays, cited(choice.reasons[0]))
        if any(choice.stability is not None for choice in self._decision.roles.values()):
            yield ""
            yield "Score: 0 to 1, with its interval. Stays: the share of perturbed weights under which the pick stays."

    def consequences(self) -> Iterator[str]:
        yield "### Consequences"
        yield ""
        for role, choice in self._in_use():
            yield f"* Good, because ({role}) {cited(choice.reasons[0])}"
        if hours := self._decision.hours_per_month:
            available = self._decision.hours_available
            of = "" if available is None else f" of about {available:g} that people can give"
            kind = "Bad" if available is not None and hours[1] > available else "Neutral"
            yield f"* {kind}, because operating it takes {span(hours)} hours a month{of}"
        for role, choice in self._decision.roles.items():
            for warned in choice.warnings:
                yield f"* Bad, because ({role}) {with_source(warned.text, warned.source, warned.date)}"
            if choice.verdict == "none":
                yield f"* Bad, because ({role}) no tool is left: {'; '.join(plain(line) for line in choice.because)}"

    def confirmation(self) -> Iterator[str]:
        yield "### Confirmation"
        yield ""
        yield "* `stackproof review DIR`, with the folder of this record, says what has changed since. It exits with 1"
        yield "  when a chosen tool is no longer sound, so a scheduled job can run it."
        yield "* `stackproof ready` asks the three questions of what runs, and answers them with evidence."

    def options(self) -> Iterator[str]:
        yield "## Pros and Cons of the Options"
        for role, choice in self._decision.roles.items():
            yield ""
            yield from self._role(role, choice)

    def _role(self, role: str, choice: RoleDecision) -> Iterator[str]:
        tools = self._tools(choice) if choice.verdict == "use" else VERDICTS[choice.verdict]
        yield f"### {role}: {tools}"
        yield ""
        if choice.until:
            yield f"* Neutral, because it can wait until {plain(choice.until)}"
        yield from (f"* Neutral, because {plain(line)}" for line in choice.because)
        yield from self._goods(choice)
        for other in choice.alternatives:
            points = "" if other.score is None else f" ({other.score:.2f})"
            yield f"* Alternative {self._tool(other.tool)}{points}: {plain(other.why_not)}"
        yield from self._struck(choice)
        for ranking in choice.rankings:
            yield ""
            yield from self._scores(ranking.tools, ranking.aspect)

    def _goods(self, choice: RoleDecision) -> Iterator[str]:
        """What speaks for the pick; what holds and speaks for another is in the JSON."""
        goods = [reason for reason in choice.reasons if not reason.text.startswith(OTHERWISE)]
        yield from (f"* Good, because {cited(reason)}" for reason in goods[:MOST_TOLD])
        more = len(choice.reasons) - min(len(goods), MOST_TOLD)
        if more > 0:
            yield f"* {more} more reasons, and the rules that speak for others, are in decision.json"

    def _struck(self, choice: RoleDecision) -> Iterator[str]:
        """Those that are gone in full, then as many as there is room for; the rest by name."""
        struck = sorted(choice.rejected, key=lambda one: one.kind != "lifecycle")
        for one in struck[:MOST_TOLD]:
            because = with_source(one.because, one.source, one.date)
            yield f"* Struck out {self._tool(one.tool)} ({plain(one.kind)}): {because}"
        if struck[MOST_TOLD:]:
            rest = ", ".join(f"{self._tool(one.tool)} ({plain(one.kind)})" for one in struck[MOST_TOLD:])
            yield f"* Struck out as well: {rest}"

    def _scores(self, tools: Sequence[Scored], aspect: str) -> Iterator[str]:
        """The criteria that count, of the three best, in a table."""
        best = tools[:3]
        if not best:
            return
        heading = f"Criterion ({plain(aspect)})" if aspect else "Criterion"
        yield from table_head(heading, "Weight", *(self._tool(one.tool) for one in best))
        for criterion in sorted(best[0].criteria, key=lambda one: -one.weight):
            if criterion.weight >= LEAST_WEIGHT:
                found = [next((c for c in one.criteria if c.id == criterion.id), None) for one in best]
                ratings = ["unknown" if c is None or not c.known else rating(c.word, c.rating) for c in found]
                yield row(plain(criterion.name), f"{criterion.weight:g}", *ratings)
        yield row("**Score**", "", *(f"{one.score:.2f} ({interval(one.interval)})" for one in best))

    def cost(self) -> Iterator[str]:
        spent = self._decision.cost
        yield "## Cost"
        yield ""
        yield from table_head("US dollars", "From", "To")
        for key, words in COSTS:
            amount = getattr(spent, key)
            low, high = ("not priced", "not priced") if amount is None else (f"${bound:,.0f}" for bound in amount)
            yield row(words, low, high)
        if spent.assumptions:
            yield ""
            yield from (f"* {with_source(item.text, item.source)}" for item in spent.assumptions)

    def other_stacks(self) -> Iterator[str]:
        options = self._decision.alternative_stacks
        if not options:
            return
        yield "## Other stacks"
        yield ""
        yield from table_head("Stack", "A year", "Hours a month", "Score", "Differs")
        own = self._decision
        hours = "-" if own.hours_per_month is None else span(own.hours_per_month)
        yield row("This decision", dollars(own.cost), hours, "", "")
        for one in options:
            hours = span(one.hours_per_month)
            differs = plain(one.differs_because)
            yield row(plain(one.name), dollars(one.cost), hours, f"{one.score:.2f}", differs)

    def migration(self) -> Iterator[str]:
        moving = [(role, c, c.migration) for role, c in self._decision.roles.items() if c.migration is not None]
        if not moving:
            return
        yield "## Migration"
        for role, choice, move in moving:
            effort = f" ({span(move.effort_days)} days)" if move.effort_days else ""
            yield ""
            yield f"### {role}: from {self._tool(move.source_tool)} to {self._tools(choice)}{effort}"
            yield ""
            yield from (f"{number}. {plain(step)}" for number, step in enumerate(move.steps, start=1))

    def installing(self) -> Iterator[str]:
        found = self._decision.resolution
        if found is None:
            return
        yield "## Do the packages install together?"
        yield ""
        conflict = found.get("conflict") or {}
        if conflict:
            apart = " and ".join(self._tool(tool) for tool in conflict.get("tools") or ())
            because = plain(str(conflict.get("because") or "the resolver did not say why"))
            yield f"{apart} can't be in one environment: {sentence(because)}"
        elif found.get("together"):
            yield f"Yes: one environment with Python {plain(str(found.get('python')))} can hold them all."
        yield ""
        yield from table_head("Tool", "Asked for", "Would be", "Environment")
        for tool, one in (found.get("tools") or {}).items():
            cells = (plain(str(one.get(key) or "-")) for key in ("requirement", "version", "environment"))
            yield row(self._tool(tool), *cells)

    def changes(self) -> Iterator[str]:
        flips = [(role, flip) for role, choice in self._decision.roles.items() for flip in choice.flips]
        decisive = [(role, c.decisive) for role, c in self._decision.roles.items() if c.decisive is not None]
        if not flips and not decisive:
            return
        yield "## What would change it"
        yield ""
        if flips:
            yield from table_head("Answer", "Now", "If it were", "Role", "Then")
            for role, flip in flips:
                then = self._tool(flip.tool) if flip.verdict == "use" else VERDICTS.get(flip.verdict, flip.verdict)
                cells = (plain(flip.key), shown(flip.before), shown(flip.after), role, then)
                yield row(*cells)
            yield ""
        for role, one in decisive:
            yield f"* {role}: {with_source(one.text, one.source, one.date)}"

    def conflicts(self) -> Iterator[str]:
        if not self._decision.conflicts:
            return
        yield "## Where sources disagree"
        yield ""
        for found in self._decision.conflicts:
            sources = "; ".join(plain(source) for source in found.sources)
            yield f"* {sentence(plain(found.text))} Followed: {sentence(plain(found.followed))} ({sources})"

    def more(self) -> Iterator[str]:
        decision = self._decision
        yield "## More Information"
        yield ""
        yield f"* Decided by Stackproof {plain(decision.stackproof)} with the facts of {decision.as_of}."
        yield f"* Digest of the facts: {plain(decision.facts_digest)}."
        yield "* Beside this file: decision.json has every step, decision.html the pictures, answers.toml the answers."
        yield "* Behind each statement stands its source in brackets."
        if documents := self._documents():
            yield f"* Documents read: {', '.join(documents)}."

    def _documents(self) -> list[str]:
        """The documents that any statement about a role names, by file name."""
        said: list[str] = []
        for choice in self._decision.roles.values():
            said += [reason.source for reason in choice.reasons]
            said += [struck.source for struck in choice.rejected]
            said += [warned.source for warned in choice.warnings]
        return sorted({plain(name) for source in said for name in _DOCUMENT.findall(source)})

    def signatures(self) -> Iterator[str]:
        yield "## Signatures"
        yield ""
        yield from table_head("Name", "Role", "Date", "Accepted or rejected")
        yield from ("|  |  |  |  |" for _ in range(3))


def plain(text: str) -> str:
    """The text on one line, with nothing in it that Markdown or HTML would read as theirs."""
    line = "".join(letter for letter in text.translate(_MEANT) if letter >= " " and letter not in _TURNING).strip()
    return f"\\{line}" if line.startswith(("-", "+")) else line


def sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", ")")) else f"{text}."


def with_source(text: str, source: str, when: date | None = None) -> str:
    """The text with its source and date in brackets, as plain text."""
    place = plain(source)
    dated = "" if when is None or str(when) in source else f", {when}"
    return f"{plain(text)} ({place}{dated})" if place else plain(text)


def cited(reason: Reason) -> str:
    return with_source(reason.text, reason.source, reason.date)


def shown(value: object) -> str:
    """An answer as answers.toml would have it, as plain text."""
    if isinstance(value, list | tuple):
        return plain(", ".join(str(item) for item in value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else plain(str(value))


def span(between: tuple[float, float]) -> str:
    low, high = (f"{bound:g}" for bound in between)
    return low if low == high else f"{low} to {high}"


def interval(between: tuple[float, float]) -> str:
    low, high = (f"{bound:.2f}" for bound in between)
    return low if low == high else f"{low} to {high}"


def score(choice: RoleDecision) -> str:
    if choice.score is None:
        return "-"
    return f"{choice.score:.2f} ({interval(choice.interval)})" if choice.interval else f"{choice.score:.2f}"


def rating(word: str, between: tuple[float, float]) -> str:
    return f"{plain(word)} ({interval(between)})" if word else interval(between)


def dollars(cost: Cost) -> str:
    return "not priced" if cost.total is None else " to ".join(f"${bound:,.0f}" for bound in cost.total)


def table_head(*names: str) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"


def row(*cells: str) -> str:
    """One line of a table; the cells are plain text already."""
    return f"| {' | '.join(cells)} |"
