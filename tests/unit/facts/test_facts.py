"""The shipped facts are complete and sound, and faults in a folder of facts are said with their place."""

import shutil
import tomllib
from pathlib import Path

import pytest

from stackproof.errors import RefusedInput
from stackproof.facts import Facts, load_facts
from stackproof.facts.loader import FOLDERS, SHIPPED
from stackproof.facts.model import DEAD
from stackproof.roles import ROLES

NAMED_BY_THE_DOCUMENTS = """
mlflow databricks-mlflow wandb neptune tensorboard sagemaker-experiments vertex-experiments feast tecton hopsworks
sagemaker-fs vertex-fs azureml-fs databricks-fs redis seldon-core kserve bentoml torchserve tf-serving
sagemaker-endpoints vertex-endpoints azureml-endpoints vllm tensorrt-llm tgi onnxruntime tflite flask-fastapi
cloud-functions kubeflow-pipelines airflow mwaa cloud-composer metaflow dagster prefect step-functions flyte cron
vertex-pipelines evidently arize phoenix prometheus grafana langsmith fiddler nannyml shap alibi cloudwatch optuna
ray-tune wandb-sweeps katib great-expectations deepchecks dvc lakefs mlem git h2o-automl auto-sklearn spark
sagemaker-platform vertex-platform azureml-platform
"""


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load_facts()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped facts, to break."""
    copy = tmp_path / "facts"
    for part in FOLDERS:
        shutil.copytree(SHIPPED / part, copy / part)
    for file in SHIPPED.glob("*.toml"):
        shutil.copy(file, copy)
    return copy


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text("utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), "utf-8")


def faults_of(folder: Path) -> tuple[str, ...]:
    with pytest.raises(RefusedInput) as refused:
        load_facts(folder)
    return refused.value.faults


def test_every_system_of_the_documents_has_a_file_of_its_own(facts: Facts) -> None:
    assert set(facts.tools) >= set(NAMED_BY_THE_DOCUMENTS.split())
    assert {file.stem for file in (SHIPPED / "tools").glob("*.toml")} == set(facts.tools)
    assert all((SHIPPED / "tools" / f"{tool.id}.toml").exists() for tool in facts.tools.values())


def test_the_shipped_facts_fit_their_schemas(folder: Path, facts: Facts) -> None:
    assert load_facts(folder) == facts


def test_every_fact_has_a_source_and_every_release_a_date(facts: Facts) -> None:
    for tool in facts.tools.values():
        assert all(fact.source for fact in tool.facts.values()), tool.id
        release = tool.facts.get("release")
        assert release is None or release.date is not None, tool.id


def test_what_is_not_verified_says_so_wherever_it_stands(facts: Facts) -> None:
    for tool in facts.tools.values():
        for fact in tool.facts.values():
            if fact.value in ("not_verified", "not verified"):
                assert not fact.verified, (tool.id, fact.key)
    unverified = {tool.id for tool in facts.tools.values() if not tool.status.verified}
    assert unverified == {"databricks-mlflow", "sagemaker-fs"}


def test_the_systems_that_are_gone_are_known_to_be_gone(facts: Facts) -> None:
    dead = {tool.id for tool in facts.tools.values() if tool.status.value in DEAD}
    assert dead == {"neptune", "torchserve", "tgi", "mlem", "auto-sklearn", "mlserver"}
    assert all(facts.tools[name].replaced_by for name in dead)


def test_each_of_the_nine_roles_has_rules_and_a_living_open_source_tool(facts: Facts) -> None:
    assert set(facts.trees) == set(ROLES)
    for role in ROLES:
        living = [
            tool.id
            for tool in facts.tools.values()
            if (role in tool.roles or role in tool.parts)
            and tool.status.value not in DEAD
            and tool.text("licence_kind") == "open-source"
        ]
        assert living, role


def test_every_priority_of_the_questions_has_its_branch(facts: Facts) -> None:
    for key, question in facts.questions.items():
        section, _, role = key.partition(".")
        if section == "priorities" and role in ROLES:
            named = {branch.priority for branch in facts.trees[role].branches}
            assert set(question.allowed) <= named, key


def test_the_digest_changes_with_any_byte(folder: Path, facts: Facts) -> None:
    edit(folder, "tools/mlflow.toml", '"3.18.0"', '"3.18.1"')
    assert load_facts(folder).digest != facts.digest


def test_a_wrong_value_is_said_with_file_line_key_and_what_is_allowed(folder: Path) -> None:
    edit(folder, "tools/mlflow.toml", 'value = "active"', 'value = "activ"')
    text = (folder / "tools/mlflow.toml").read_text("utf-8").splitlines()
    line = next(number for number, content in enumerate(text, 1) if "activ" in content)
    (fault,) = faults_of(folder)
    assert fault.startswith(f"tools/mlflow.toml, line {line}: facts.status.value: got 'activ'; did you mean 'active'?")
    assert "archived" in fault


def test_an_unknown_key_is_said_with_the_one_that_was_probably_meant(folder: Path) -> None:
    edit(folder, "tools/feast.toml", "confidence =", "confidense =")
    found = faults_of(folder)
    assert any("unknown key; did you mean 'confidence'?" in fault for fault in found)
    assert any("the key 'confidence' is missing" in fault for fault in found)


def test_all_faults_of_all_files_are_said_together(folder: Path) -> None:
    edit(folder, "tools/mlflow.toml", 'licence_kind]\nvalue = "open-source"', 'licence_kind]\nvalue = "free"')
    edit(folder, "trees/serving.toml", 'kind = "tree"', 'kind = "bush"')
    edit(folder, "votes.toml", "tree = 3.0", "tree = -1")
    found = faults_of(folder)
    assert {fault.split(",")[0].split(":")[0] for fault in found} == {
        "tools/mlflow.toml",
        "trees/serving.toml",
        "votes.toml",
    }


def test_a_file_that_is_no_toml_is_said_with_its_line(folder: Path) -> None:
    edit(folder, "gates.toml", "[[gates]]", "[[gates")
    (fault,) = faults_of(folder)
    assert fault.startswith("gates.toml: this is not TOML:")
    assert "line 3" in fault


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("trees/tracking.toml", 'tool = "mlflow"', 'tool = "mlfow"', "no tool named 'mlfow'; did you mean 'mlflow'?"),
        ("gates.toml", '"use_case.stage"', '"use_case.stag"', "did you mean 'use_case.stage'?"),
        ("tools/neptune.toml", 'replaced_by = ["mlflow"', 'replaced_by = ["mlfow"', "did you mean 'mlflow'?"),
        ("trees/serving.toml", 'source = "000_1', 'source = "00_1', "no source named"),
        ("trees/serving.toml", 'aspect = "llm"', 'aspect = "lm"', "did you mean 'llm'?"),
    ],
)
def test_a_name_that_names_nothing_is_a_fault(folder: Path, name: str, old: str, new: str, said: str) -> None:
    edit(folder, name, old, new)
    assert any(said in fault and fault.startswith(name) for fault in faults_of(folder))


def test_a_missing_file_is_refused_and_named(folder: Path) -> None:
    (folder / "votes.toml").unlink()
    with pytest.raises(RefusedInput, match=r"votes\.toml"):
        load_facts(folder)


def test_the_questions_have_the_documented_defaults(facts: Facts) -> None:
    defaults = {
        "organization.people": 12,
        "organization.budget_usd_per_year": 0,
        "infrastructure.hosting": "either",
        "use_case.workloads": ("batch",),
        "use_case.frameworks": ("sklearn",),
        "needs.lock_in": "avoid",
        "needs.alerting": True,
        "readiness.trace": "no",
        "current.tracking": None,
    }
    assert {key: facts.questions[key].default for key in defaults} == defaults


def test_every_default_is_an_allowed_value(facts: Facts) -> None:
    for question in facts.questions.values():
        if question.type == "choice" and question.default is not None:
            assert question.default in question.allowed, question.key


def test_every_tool_file_is_named_by_its_id(facts: Facts) -> None:
    for file in (SHIPPED / "tools").glob("*.toml"):
        assert tomllib.loads(file.read_text("utf-8"))["id"] == file.stem
