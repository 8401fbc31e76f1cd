"""Decisions that are harder to show than the sample. Not a test; loaded by path."""

import runpy
from dataclasses import replace
from pathlib import Path

from stackproof.decide.decision import (
    Alternative,
    Assumed,
    Assumption,
    ConflictFound,
    Cost,
    Decision,
    Decisive,
    Flip,
    Migration,
    Ranking,
    Readiness,
    Reason,
    Rejected,
    RoleDecision,
    Step,
    Warned,
)

SAMPLE = runpy.run_path(str(Path(__file__).with_name("decision_sample.py")))
NASTY = '<script>alert("x")</script> & \u202e“Ünïcödé” 漢字 | `code` \x07 *bold*\n# heading'


def nasty_decision() -> Decision:
    """Texts that come from an overlay or from answers, and want to be something else than text."""
    good = SAMPLE["sample_decision"]()
    struck = Rejected(
        NASTY, NASTY, NASTY, f"javascript:alert(1) https://example.org/?a=1&b=\"<x>' {NASTY}", SAMPLE["TODAY"]
    )
    choice = replace(
        good.roles["tracking"],
        tool=NASTY,
        beside=(NASTY,),
        reasons=(Reason(NASTY, NASTY, NASTY),),
        warnings=(Warned(NASTY, NASTY),),
        alternatives=(Alternative(NASTY, NASTY, None),),
        rejected=(struck,),
        flips=(Flip(NASTY, NASTY, NASTY, NASTY, "use"), Flip("needs.x", None, ("a", NASTY), None, "none")),
        migration=Migration(NASTY, (NASTY,), None),
        because=(NASTY,),
        environment=NASTY,
        path=(Step(NASTY, NASTY, True, NASTY),),
        decisive=Decisive(NASTY, NASTY, NASTY, NASTY, False, NASTY),
        rankings=(
            Ranking(
                NASTY,
                tuple(
                    replace(
                        one,
                        tool=tool,
                        criteria=tuple(
                            replace(c, name=NASTY, word=NASTY, because=NASTY, source=NASTY) for c in one.criteria
                        ),
                    )
                    for one, tool in ((SAMPLE["GOOD"], NASTY), (SAMPLE["PAID"], NASTY + "2"))
                ),
                NASTY,
            ),
        ),
    )
    option = replace(good.alternative_stacks[0], name=NASTY, differs_because=NASTY, roles={"tracking": (NASTY,)})
    return replace(
        good,
        stackproof=NASTY,
        facts_digest=NASTY,
        answers={NASTY: {NASTY: NASTY}},
        assumed=(Assumed(NASTY, NASTY, ("tracking",)),),
        roles=dict(good.roles) | {"tracking": choice},
        cost=replace(good.cost, assumptions=(Assumption(NASTY, NASTY),)),
        readiness=Readiness(NASTY, (NASTY,), (Reason(NASTY, "tree", NASTY),)),
        conflicts=(ConflictFound(NASTY, (NASTY,), NASTY),),
        alternative_stacks=(option,),
        resolution={
            "together": False,
            "conflict": {"tools": [NASTY], "because": NASTY},
            "tools": {NASTY: {"version": NASTY}},
        },
    )


def bare_decision() -> Decision:
    """All that may be left out is left out, and one role has no tool left."""
    none = RoleDecision(
        "none",
        None,
        (Reason("No tool satisfies all constraints", "constraint", "answers"),),
        because=("Self-hosted only and no Kubernetes leave nothing", "Cheapest to relax: infrastructure.hosting"),
        rejected=(
            Rejected(
                "kserve", "Its self-hosted form needs Kubernetes", "kubernetes", SAMPLE["FIRST"].format("Serving")
            ),
        ),
    )
    good = SAMPLE["sample_decision"]()
    bare = {"tracking": RoleDecision("use", "mlflow", (Reason("It is the only one", "table", SAMPLE["GUIDE"]),))}
    return replace(
        good,
        roles=bare | {"serving": none},
        assumed=(),
        conflicts=(),
        alternative_stacks=(),
        hours_per_month=None,
        resolution=None,
        hours_available=None,
        readiness=Readiness(None, (), ()),
        cost=Cost(None, ()),
    )


def decisions() -> dict[str, Decision]:
    return {"full": SAMPLE["sample_decision"](), "nasty": nasty_decision(), "bare": bare_decision()}
