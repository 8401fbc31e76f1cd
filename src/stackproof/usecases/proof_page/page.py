"""The page: for each role what is right and wrong, every figure as a chart, and all of it as a table."""

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from stackproof.prove.figures import COST, CRASH, GROUPS, MACHINE, WORK
from stackproof.prove.verdict import Compared
from stackproof.roles.proof import Proof
from stackproof.store.files import write_durably
from stackproof.usecases.pages import base_style
from stackproof.usecases.pages.html import Html, joined, tag
from stackproof.usecases.pages.numbers import instant
from stackproof.usecases.proof_page.bars import figure_bars
from stackproof.usecases.proof_page.wording import amount, confidence, interval, versions, with_unit
from stackproof.usecases.prove import Outcome

BETTER = {"less": "less is better", "more": "more is better", "": ""}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def write_page(outcomes: Sequence[Outcome], file: Path) -> Path:
    """Write the page, durably. Raises `StorageFailed` or `StorageFull`."""
    write_durably(file, proof_page(outcomes).encode())
    return file


def proof_page(outcomes: Sequence[Outcome]) -> str:
    """The proofs as an HTML document that needs no other file and no network. All text is escaped."""
    sections = [_section(number, outcome) for number, outcome in enumerate(outcomes)]
    body = joined(
        [
            tag("a", "Skip to the proofs", class_="skip", href="#main"),
            _header(outcomes),
            tag("main", *sections, id="main", tabindex="-1"),
            _footer(outcomes),
        ]
    )
    return f"<!doctype html>\n{tag('html', _head(outcomes), tag('body', body), lang='en')}\n"


def _head(outcomes: Sequence[Outcome]) -> Html:
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{_headline(outcomes)} · Stackproof proofs"),
        tag("link", rel="icon", href="data:,"),
        joined([Html("<style>"), Html(base_style()), Html(style), Html("</style>")]),
    )


def _headline(outcomes: Sequence[Outcome]) -> str:
    wrong = sum(not proof.correct for outcome in outcomes for proof in outcome.proofs)
    count = sum(len(outcome.proofs) for outcome in outcomes)
    proved = f"{count} {'proof' if count == 1 else 'proofs'} of {len({one.role for one in outcomes})} " + (
        "role" if len({one.role for one in outcomes}) == 1 else "roles"
    )
    return f"{proved}, {wrong} with wrong results" if wrong else f"{proved}, all with the right results"


def _header(outcomes: Sequence[Outcome]) -> Html:
    newest = max(proof.at for outcome in outcomes for proof in outcome.proofs)
    machines = {tuple(sorted(p.machine.items())) for outcome in outcomes for p in outcome.proofs}
    where = (
        "on one machine"
        if len(machines) == 1
        else f"on {len(machines)} machines, which no figure may be compared across"
    )
    links = (tag("li", tag("a", one.role.capitalize(), href=f"#proof-{n}")) for n, one in enumerate(outcomes))
    return tag(
        "header",
        tag("p", "Stackproof proofs · ", tag("time", instant(newest), datetime=newest.isoformat()), class_="eyebrow"),
        tag("h1", _headline(outcomes)),
        tag("p", f"Measured {where}, the same work on each candidate, in turns.", class_="sum"),
        tag("nav", tag("ul", *links), aria_label="Roles"),
    )


def _section(number: int, outcome: Outcome) -> Html:
    key = f"proof-{number}"
    return tag(
        "section",
        tag("h2", outcome.role.capitalize(), id=f"{key}-heading"),
        tag("p", f"The scenario “{outcome.proofs[0].scenario}”, on {_machine(outcome.proofs[0])}.", class_="lead"),
        tag("div", *(_candidate(proof) for proof in outcome.proofs), class_="candidates"),
        *_charts(key, outcome),
        _table(outcome),
        tag("p", confidence(outcome.compared), class_="note"),
        tag("details", tag("summary", "Every measured value"), _raw(outcome), class_="raw"),
        id=key,
        aria_labelledby=f"{key}-heading",
    )


def _machine(proof: Proof) -> str:
    known = dict(proof.machine)
    name = str(known.pop("name", "")) or "a machine without a name"
    return f"{name} ({', '.join(f'{key} {value}' for key, value in known.items()) or 'nothing more is known'})"


def _candidate(proof: Proof) -> Html:
    verdict = tag(
        "span", "correct" if proof.correct else "not correct", class_=f"pill is-{'use' if proof.correct else 'none'}"
    )
    return tag(
        "article",
        tag("h3", proof.tool, verdict),
        tag("p", versions(list(proof.versions.items())), class_="muted small"),
        tag("ul", *(tag("li", fault) for fault in proof.faults), class_="warning") if proof.faults else None,
        *(tag("p", line) for line in _told(proof)),
        class_="card candidate" + ("" if proof.correct else " is-wrong"),
    )


def _told(proof: Proof) -> Iterator[str]:
    if proof.lacking:
        yield f"Lacks: {', '.join(proof.lacking)}."
    if proof.conformance is not None:
        suite = proof.conformance
        yield (
            f"Conformance suite: {suite.passed} passed, {len(suite.failed)} failed, "
            f"{len(suite.deviating)} known deviations."
        )
        yield from (f"Failed: {name}: {why}" for name, why in suite.failed.items())
    yield from (f"Deviates: {why}." for why in dict.fromkeys(proof.deviations.values()))
    yield from proof.notes


def _charts(key: str, outcome: Outcome) -> Iterator[Html]:
    for group in (WORK, COST):
        shown = [one for one in outcome.compared if one.meaning.group == group and not _is_nothing(one)]
        if shown:
            yield tag("h3", group, class_="group")
            yield tag("div", *(_chart(f"{key}-{one.name}", one, outcome) for one in shown), class_="charts")


def _is_nothing(one: Compared) -> bool:
    """Bars without length are no picture; the table has the figure."""
    return all(found is None or found.high == 0 for found in one.intervals)


def _chart(key: str, one: Compared, outcome: Outcome) -> Html:
    better = tag("p", BETTER[one.meaning.better], class_="better") if one.meaning.better else None
    caption = tag("figcaption", tag("h4", one.meaning.title), better)
    return tag("figure", caption, figure_bars(key, one, outcome.proofs))


def _table(outcome: Outcome) -> Html:
    tools = [proof.tool for proof in outcome.proofs]
    heads = (tag("th", "Figure", scope="col"), *(tag("th", tool, scope="col", class_="number") for tool in tools))
    rows = [
        tag("tr", tag("th", _named(one), scope="row"), *_cells(one))
        for group in GROUPS
        for one in outcome.compared
        if one.meaning.group == group
    ]
    caption = "Medians and their intervals. Bold: ahead of the others by more than the intervals."
    table = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
        class_="all",
        style=f"--columns:{len(tools)}",
    )
    label = f"All figures of {outcome.role}"
    return tag("div", table, class_="scroll", tabindex="0", role="group", aria_label=label)


def _named(one: Compared) -> str:
    unit = {"1": "", "1/s": "a second"}.get(one.unit, one.unit)
    where = {CRASH: "in a crash", MACHINE: "the machine"}.get(one.meaning.group, "")
    return ", ".join(part for part in (one.meaning.title, unit, where) if part)


def _cells(one: Compared) -> Iterator[Html]:
    for place, found in enumerate(one.intervals):
        yield tag("td", interval(found), class_="number ahead" if place in one.ahead else "number")


def _raw(outcome: Outcome) -> Html:
    rows = [
        tag("li", f"{proof.tool}, {figure.name}: {with_unit(', '.join(map(amount, figure.values)), figure.unit)}")
        for proof in outcome.proofs
        for figure in proof.figures
    ]
    return tag("ul", *rows)


def _footer(outcomes: Sequence[Outcome]) -> Html:
    proof = outcomes[0].proofs[0]
    rows = (
        ("Taken into a decision by", tag("code", "stackproof decide --proofs DIR")),
        (
            "Measured again by",
            tag("code", f"stackproof prove {proof.role} {' '.join(p.tool for p in outcomes[0].proofs)}"),
        ),
    )
    listed = (joined([tag("dt", name), tag("dd", value)]) for name, value in rows)
    return tag("footer", tag("div", tag("dl", *listed), class_="inner"))
