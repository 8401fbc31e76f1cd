"""Answers that can't all be true of one team. They are asked about, never settled silently."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stackproof.decide.answers import Answers
from stackproof.decide.reach import price_of
from stackproof.facts.model import DEAD, Facts, Tool
from stackproof.roles import ROLES

SOURCE = "your answers"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """`text`: what does not go together, a sentence without its full stop. `keys`: the answers that meet, of
    which one at least should change. `roles`: those concerned, () for the whole decision.

    Nothing in it depends on which of the answers were given and which were assumed.
    """

    id: str
    text: str
    keys: tuple[str, ...]
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rule:
    id: str
    keys: tuple[str, ...]
    meets: Callable[[Answers], bool]
    text: str
    roles: tuple[str, ...] = ()


def find(answers: Answers, facts: Facts) -> tuple[Contradiction, ...]:
    """Every contradiction, first those of the team, then those with each tool in use, in the order of the roles.

    Empty when all is assumed.
    """
    between = [Contradiction(rule.id, rule.text, rule.keys, rule.roles) for rule in RULES if rule.meets(answers)]
    between += _latency(answers, facts)
    return (*between, *(found for role in ROLES for found in _with_tool_in_use(role, answers, facts)))


def _headcount(answers: Answers) -> float:
    names = ("data_scientists", "ml_engineers", "platform_engineers")
    return sum(answers.number(f"organization.{name}") for name in names)


def _builders(answers: Answers) -> float:
    return answers.number("organization.data_scientists") + answers.number("organization.ml_engineers")


def _live(answers: Answers) -> bool:
    return bool({"realtime", "streaming"} & set(answers.names("use_case.workloads")))


def _is(key: str, value: object) -> Callable[[Answers], bool]:
    return lambda answers: answers[key] == value


def _both(*tests: Callable[[Answers], bool]) -> Callable[[Answers], bool]:
    return lambda answers: all(test(answers) for test in tests)


RULES = (
    _Rule(
        "people",
        (
            "organization.people",
            "organization.data_scientists",
            "organization.ml_engineers",
            "organization.platform_engineers",
        ),
        lambda answers: _headcount(answers) > answers.number("organization.people"),
        "Data scientists, ML engineers and platform engineers are more than the whole organisation, "
        "unless one person is counted twice",
    ),
    _Rule(
        "nobody-builds",
        ("organization.data_scientists", "organization.ml_engineers", "use_case.experiments_per_week"),
        lambda answers: _builders(answers) == 0 and answers.number("use_case.experiments_per_week") > 0,
        "Experiments are run every week, and there is nobody who trains or builds models",
    ),
    _Rule(
        "authors-data-scientists",
        ("organization.pipeline_authors", "organization.data_scientists"),
        _both(_is("organization.pipeline_authors", "data-scientists"), _is("organization.data_scientists", 0)),
        "Data scientists write the pipelines, and there are none",
        ("orchestration",),
    ),
    _Rule(
        "authors-ml-engineers",
        ("organization.pipeline_authors", "organization.ml_engineers"),
        _both(_is("organization.pipeline_authors", "ml-engineers"), _is("organization.ml_engineers", 0)),
        "ML engineers write the pipelines, and there are none",
        ("orchestration",),
    ),
    _Rule(
        "one-person-shares",
        ("organization.people", "needs.teams_sharing_features"),
        _both(_is("organization.people", 1), _is("needs.teams_sharing_features", True)),
        "Several teams share features, and the organisation is one person",
        ("features",),
    ),
    _Rule(
        "skill-without-kubernetes",
        ("infrastructure.kubernetes", "infrastructure.kubernetes_skill"),
        _both(_is("infrastructure.kubernetes", "none"), _is("infrastructure.kubernetes_skill", "strong")),
        "You know Kubernetes well, and say that none is there",
        ("serving", "orchestration"),
    ),
    _Rule(
        "kubernetes-without-skill",
        ("infrastructure.kubernetes", "infrastructure.kubernetes_skill"),
        _both(_is("infrastructure.kubernetes", "at-scale"), _is("infrastructure.kubernetes_skill", "none")),
        "Kubernetes runs at scale, and nobody knows it",
        ("serving", "orchestration"),
    ),
    _Rule(
        "kubernetes-first-without",
        ("priorities.serving", "infrastructure.kubernetes"),
        _both(_is("priorities.serving", "kubernetes"), _is("infrastructure.kubernetes", "none")),
        "Kubernetes is the first job for serving, and there is none",
        ("serving",),
    ),
    _Rule(
        "databricks-without-cloud",
        ("infrastructure.databricks", "infrastructure.cloud"),
        _both(_is("infrastructure.databricks", True), _is("infrastructure.cloud", "none")),
        "Databricks is in use, which runs on a cloud, and you say that you use none",
    ),
    _Rule(
        "databricks-first-without",
        ("priorities.features", "infrastructure.databricks"),
        _both(_is("priorities.features", "databricks"), _is("infrastructure.databricks", False)),
        "Databricks is the first job for features, and you don't use it",
        ("features",),
    ),
    _Rule(
        "aws-first-without",
        ("priorities.orchestration", "infrastructure.cloud"),
        lambda answers: (
            answers["priorities.orchestration"] == "aws" and answers["infrastructure.cloud"] not in ("aws", "multi")
        ),
        "AWS is the first job for orchestration, and it is not your cloud",
        ("orchestration",),
    ),
    *(
        _Rule(
            f"managed-first-{role}",
            (f"priorities.{role}", "infrastructure.hosting"),
            _both(_is(f"priorities.{role}", "managed"), _is("infrastructure.hosting", "self-hosted-only")),
            f"A managed service is the first job for {role}, and tools may only be self-hosted",
            (role,),
        )
        for role in ("features", "serving")
    ),
    _Rule(
        "stage-before-production",
        ("use_case.stage", "use_case.models_in_production"),
        lambda answers: (
            answers["use_case.stage"] != "production" and answers.number("use_case.models_in_production") > 0
        ),
        "Models are in production, and the stage is said to be earlier than production",
    ),
    _Rule(
        "production-without-models",
        ("use_case.stage", "use_case.models_in_production"),
        _both(_is("use_case.stage", "production"), _is("use_case.models_in_production", 0)),
        "The stage is production, and no model is in production",
    ),
    _Rule(
        "models-without-predictions",
        ("use_case.models_in_production", "use_case.workloads"),
        lambda answers: answers.number("use_case.models_in_production") > 0 and not answers.names("use_case.workloads"),
        "Models are in production, and none of them makes predictions: no workload is named",
        ("serving",),
    ),
    _Rule(
        "patterns-without-traffic",
        ("needs.deployment_patterns", "use_case.workloads"),
        lambda answers: bool(answers.names("needs.deployment_patterns")) and not _live(answers),
        "Deployment patterns split live traffic, and no workload is realtime or streaming",
        ("serving",),
    ),
    _Rule(
        "rag-without-llm",
        ("use_case.rag", "use_case.llm"),
        _both(_is("use_case.rag", True), _is("use_case.llm", "none")),
        "Language models answer from your documents, and you say that you use none",
        ("monitoring",),
    ),
    *(
        _Rule(
            f"llm-first-{role}",
            (f"priorities.{role}", "use_case.llm"),
            _both(_is(f"priorities.{role}", "llm"), _is("use_case.llm", "none")),
            f"Language models are the first job for {role}, and you say that you use none",
            (role,),
        )
        for role in ("serving", "monitoring")
    ),
    _Rule(
        "llm-without-gpu",
        ("use_case.llm", "infrastructure.gpu"),
        _both(_is("use_case.llm", "self-hosted"), _is("infrastructure.gpu", "none")),
        "You serve language models yourselves, and there is no GPU",
        ("serving",),
    ),
    _Rule(
        "schedule-without-pipelines",
        ("use_case.pipelines", "use_case.scheduling"),
        lambda answers: not answers.names("use_case.pipelines") and answers["use_case.scheduling"] == "complex",
        "The scheduling is complex, and there is no pipeline",
        ("orchestration",),
    ),
    _Rule(
        "dynamic-without-pipelines",
        ("use_case.pipelines", "use_case.dynamic_workflows"),
        lambda answers: not answers.names("use_case.pipelines") and answers["use_case.dynamic_workflows"] is True,
        "A pipeline's graph is known only as it runs, and there is no pipeline",
        ("orchestration",),
    ),
    _Rule(
        "distributed-without-search",
        ("needs.distributed_tuning", "needs.hyperparameter_search"),
        _both(_is("needs.distributed_tuning", True), _is("needs.hyperparameter_search", "none")),
        "The search for hyperparameters runs on many machines, and you don't search",
        ("tuning",),
    ),
    _Rule(
        "search-first-without",
        ("priorities.tracking", "needs.hyperparameter_search"),
        _both(_is("priorities.tracking", "hyperparameter-search"), _is("needs.hyperparameter_search", "none")),
        "Hyperparameter search is the first job for tracking, and you don't search",
        ("tracking", "tuning"),
    ),
    _Rule(
        "critical-without-alerts",
        ("needs.drift", "needs.alerting"),
        _both(_is("needs.drift", "critical"), _is("needs.alerting", False)),
        "Drift is critical, and nobody is to be alerted",
        ("monitoring",),
    ),
)
"""What does not go together, whatever is known of the tools."""


def _latency(answers: Answers, facts: Facts) -> Iterator[Contradiction]:
    """A target of one's own for realtime predictions where there are none."""
    key = "use_case.latency_ms"
    if answers[key] != facts.questions[key].default and not _live(answers):
        text = "A latency is asked for, and no workload is realtime or streaming"
        yield Contradiction("latency-without-traffic", text, (key, "use_case.workloads"), ("serving", "features"))


def _with_tool_in_use(role: str, answers: Answers, facts: Facts) -> Iterator[Contradiction]:
    """The tool in use against what the team says that it can use. A tool that is gone is no answer's fault."""
    current = f"current.{role}"
    tool = facts.tools.get(answers.text(current))
    if tool is None or tool.status.value in DEAD:
        return
    if not _can_fill(tool, role, facts):
        text = f"{tool.name} is named as the tool in use for {role}, a role that it does not fill"
        yield Contradiction(f"role-{role}", text, (current,), (role,))
    for name, key, words in _clashes(tool, answers):
        text = f"{tool.name} is in use for {role}: {words}"
        yield Contradiction(f"{name}-{role}", text, (key, current), (role,))


def _can_fill(tool: Tool, role: str, facts: Facts) -> bool:
    named = {
        name for branch in facts.trees[role].branches for pick in branch.picks for name in (pick.tool, *pick.beside)
    }
    return role in (*tool.roles, *tool.parts) or tool.id in named


def _clashes(tool: Tool, answers: Answers) -> Iterator[tuple[str, str, str]]:
    """Short name, key of the answer, what they say of each other."""
    yield from _hosting(tool, answers)
    yield from _licence_and_price(tool, answers)
    bound, cloud = tool.names("cloud"), answers.text("infrastructure.cloud")
    if "databricks" in bound and answers["infrastructure.databricks"] is not True:
        yield "databricks", "infrastructure.databricks", "it is a part of Databricks, and you say that you don't use it"
    elif bound and "databricks" not in bound and cloud not in (*bound, "multi"):
        yours = "use no cloud" if cloud == "none" else f"are on {cloud}"
        yield "cloud", "infrastructure.cloud", f"it runs on {' or '.join(bound)} only, and you say that you {yours}"
    supported, used = tool.names("frameworks"), answers.names("use_case.frameworks")
    if supported and used and not set(supported) & set(used):
        words = f"it supports {', '.join(supported)} only, and you name {', '.join(used)}"
        yield "frameworks", "use_case.frameworks", words
    needed = tool.text("gpu")
    if needed and answers["infrastructure.gpu"] != needed:
        yield "gpu", "infrastructure.gpu", f"it needs GPUs of {needed}, and yours are: {answers['infrastructure.gpu']}"


def _hosting(tool: Tool, answers: Answers) -> Iterator[tuple[str, str, str]]:
    ways, hosting = {mode.hosting for mode in tool.modes}, answers.text("infrastructure.hosting")
    if ways == {"managed"} and hosting == "self-hosted-only":
        yield "hosting", "infrastructure.hosting", "it exists as a managed service only, and you may only self-host"
    if ways == {"self-hosted"} and hosting == "managed-only":
        yield "hosting", "infrastructure.hosting", "it exists self-hosted only, and you may only use managed services"
    if tool.modes and all(mode.kubernetes for mode in tool.modes) and answers["infrastructure.kubernetes"] == "none":
        yield "kubernetes", "infrastructure.kubernetes", "it needs Kubernetes, and you say that none is there"


def _licence_and_price(tool: Tool, answers: Answers) -> Iterator[tuple[str, str, str]]:
    wanted, kind = answers.text("infrastructure.licences"), tool.text("licence_kind")
    if kind and wanted != "any" and kind not in ("open-source", wanted):
        accepted = "open-source" if wanted == "open-source-only" else f"{wanted} or open-source"
        yield "licences", "infrastructure.licences", f"its licence is {kind}, and you accept {accepted} licences only"
    budget = answers.number("organization.budget_usd_per_year")
    prices = [price_of(mode, answers) for mode in tool.modes]
    if prices and min(price.floor for price in prices) > budget:
        least = min(prices, key=lambda price: price.floor)
        amount = f"at least ${least.low:,.0f} a year{'' if least.known else ' (assumed: no source gives its price)'}"
        words = f"it costs {amount}, and the budget is ${budget:,.0f}"
        yield "budget", "organization.budget_usd_per_year", words
