"""Which of the three questions to start with, and the roles that answer it."""

from stackproof.decide.answers import Answers
from stackproof.decide.citing import document
from stackproof.decide.decision import Readiness, Reason
from stackproof.facts.model import Facts

SOURCE = "002_0127a875f217fc52.txt"
PLACE = "Start With the Questions, Not the Tool List"
GRADES = ("no", "partly", "yes")

ANSWERED_BY = {
    "reproduce": (
        ("versioning", "tracking"),
        "Reproducing a run needs experiment tracking and data versioning, wired into the training loop",
    ),
    "notice": (
        ("monitoring", "serving"),
        "Noticing needs alerts on shifts of predictions, not on infrastructure alone",
    ),
    "trace": (
        ("versioning", "tracking", "features", "serving"),
        "Tracing a prediction needs lineage from end to end: data, run, features, deployment",
    ),
}


def readiness(answers: Answers, facts: Facts) -> Readiness:
    """Start with the weakest answer; between equal ones, in the order in which the document asks."""
    graded = {name: GRADES.index(answers.text(f"readiness.{name}")) for name in ANSWERED_BY}
    weakest = min(graded, key=lambda name: graded[name])
    source = document(facts, SOURCE, PLACE)
    if graded[weakest] == GRADES.index("yes"):
        text = "All three questions are answered with yes: this is a working stack"
        return Readiness(None, (), (Reason(text, "tree", source, facts.sources[SOURCE].date),))
    order, text = ANSWERED_BY[weakest]
    first = f"If not all three can be answered with yes, start with the weakest answer: {weakest}"
    because = tuple(Reason(line, "tree", source, facts.sources[SOURCE].date) for line in (first, text))
    return Readiness(weakest, order, because)
