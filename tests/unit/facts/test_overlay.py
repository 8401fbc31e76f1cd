"""A folder of the user's own is laid over the facts entry by entry, and everything it brings says so."""

import copy
import datetime
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackproof.errors import RefusedInput
from stackproof.facts.loader import SHIPPED
from stackproof.facts.overlay import VARIABLE, lay_over, merge, own_folders, refreshed_folder

FACTS: dict[str, dict[str, Any]] = {
    "tools/wandb.toml": {
        "id": "wandb",
        "name": "Weights & Biases",
        "roles": ["tracking"],
        "parts": ["tuning"],
        "sources": {"page": {"text": "a page", "date": datetime.date(2026, 11, 21)}},
        "facts": {
            "status": {"value": "active", "source": "page", "confidence": "high"},
            "licence": {"value": "MIT", "source": "page", "confidence": "high"},
        },
        "modes": [{"hosting": "managed", "cost": "quote", "source": "page", "confidence": "low"}],
        "ratings": [
            {"criterion": "collaboration", "value": "high", "source": "page", "confidence": "high"},
            {"criterion": "ease", "value": "low", "role": "tuning", "source": "page", "confidence": "high"},
        ],
        "cautions": [{"text": "Data leaves", "source": "page"}],
    },
    "criteria/common.toml": {
        "criteria": [{"id": "cost", "weight": 2, "name": "Cost", "source": "a table", "changes": [{"weight": 9}]}]
    },
    "criteria/tracking.toml": {
        "criteria": [{"id": "ease", "role": "tracking", "weight": 3, "name": "Ease", "source": "a matrix"}]
    },
    "gates.toml": {"gates": [{"id": "none-run", "role": "tracking", "text": "wait", "source": "a document"}]},
    "trees/tracking.toml": {
        "role": "tracking",
        "branches": [{"id": "open", "text": "take it", "source": "a document", "place": "page 1"}],
    },
    "pairs/monitoring.toml": {"pairs": [{"tools": ["grafana", "prometheus"], "kind": "integrates", "source": "x"}]},
    "operation.toml": {
        "source": "an assumption",
        "skill": {"none": 2.0, "strong": 1.0},
        "classes": [{"id": "library", "hours_per_month": [0, 1], "source": "an assumption", "text": "a library"}],
    },
    "scales.toml": {"words": {"quality": {"good": [0.6, 0.8], "poor": [0.0, 0.2]}}},
    "sources.toml": {"sources": [{"file": "a document", "title": "A document"}]},
}

Laying = Callable[[str, str], dict[str, dict[str, Any]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    acme = tmp_path / "acme"
    acme.mkdir()
    return acme


@pytest.fixture
def lay(folder: Path) -> Laying:
    """Write one file of the user's folder and lay it over `FACTS`."""

    def laying(file: str, text: str) -> dict[str, dict[str, Any]]:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text, "utf-8")
        return lay_over(FACTS, folder).documents

    return laying


def faults_of(lay: Laying, file: str, text: str) -> str:
    with pytest.raises(RefusedInput) as refused:
        lay(file, text)
    return "\n".join(refused.value.faults)


def test_one_fact_of_a_tool_is_replaced_and_the_rest_stays(lay: Laying) -> None:
    tool = lay("tools/wandb.toml", '[facts.licence]\nvalue = "our contract"\ndate = 2026-10-01\n')["tools/wandb.toml"]
    assert tool["facts"]["licence"] == {
        "value": "our contract",
        "date": datetime.date(2026, 10, 1),
        "confidence": "high",
        "source": "yours: acme/tools/wandb.toml",
    }
    assert tool["facts"]["status"] == FACTS["tools/wandb.toml"]["facts"]["status"]
    assert tool["name"] == "Weights & Biases"
    assert tool["modes"] == FACTS["tools/wandb.toml"]["modes"]


def test_a_source_of_your_own_keeps_its_words_and_its_date_and_says_that_it_is_yours(lay: Laying) -> None:
    text = (
        '[sources]\noffer = { text = "Offer 17", date = 2026-09-01 }\n[facts.price]\nvalue = "1500"\nsource = "offer"\n'
    )
    tool = lay("tools/wandb.toml", text)["tools/wandb.toml"]
    cited = tool["sources"][tool["facts"]["price"]["source"]]
    assert cited == {"text": "Offer 17 (yours: acme/tools/wandb.toml)", "date": datetime.date(2026, 9, 1)}
    assert tool["sources"]["page"] == FACTS["tools/wandb.toml"]["sources"]["page"]


@pytest.mark.parametrize(("read", "value"), [("2026-11-20", "3.0"), ("2026-11-21", "2.0"), ("2026-11-22", "2.0")])
def test_a_release_read_earlier_than_the_one_that_is_there_does_not_replace_it(
    folder: Path, read: str, value: str
) -> None:
    tool = copy.deepcopy(FACTS["tools/wandb.toml"])
    tool["facts"]["release"] = {"value": "3.0", "source": "page", "confidence": "high"}
    (folder / "tools").mkdir()
    (folder / "tools" / "wandb.toml").write_text(f'[facts.release]\nvalue = "2.0"\ndate = {read}\n', "utf-8")
    merged = lay_over({"tools/wandb.toml": tool}, folder).documents
    assert merged["tools/wandb.toml"]["facts"]["release"]["value"] == value


def test_modes_are_replaced_as_a_whole_when_given(lay: Laying) -> None:
    text = (
        '[[modes]]\nhosting = "managed"\ncost = "per-seat"\nusd_per_seat_year = [1500, 1500]\nconfidence = "medium"\n'
    )
    (mode,) = lay("tools/wandb.toml", text)["tools/wandb.toml"]["modes"]
    assert mode["usd_per_seat_year"] == [1500, 1500]
    assert mode["source"] == "yours: acme/tools/wandb.toml"
    assert mode["confidence"] == "medium"


def test_a_rating_without_a_role_replaces_all_of_its_criterion(lay: Laying) -> None:
    text = '[[ratings]]\ncriterion = "ease"\nvalue = "high"\n'
    ratings = lay("tools/wandb.toml", text)["tools/wandb.toml"]["ratings"]
    assert [(r["criterion"], r.get("role"), r["value"]) for r in ratings] == [
        ("collaboration", None, "high"),
        ("ease", None, "high"),
    ]


def test_a_rating_for_one_role_leaves_the_other_roles_theirs(lay: Laying) -> None:
    text = '[[ratings]]\ncriterion = "collaboration"\nrole = "tracking"\nvalue = "poor"\n'
    ratings = lay("tools/wandb.toml", text)["tools/wandb.toml"]["ratings"]
    rated = {(r["criterion"], r.get("role")): r["value"] for r in ratings}
    assert rated[("collaboration", "tracking")] == "poor"
    assert rated[("collaboration", "tuning")] == "high"
    assert rated[("ease", "tuning")] == "low"
    assert len(ratings) == 3


def test_a_caution_with_the_same_words_is_replaced_and_another_is_added(lay: Laying) -> None:
    text = '[[cautions]]\ntext = "Data leaves"\nwhen = []\n[[cautions]]\ntext = "Ask Ana"\n'
    cautions = lay("tools/wandb.toml", text)["tools/wandb.toml"]["cautions"]
    assert [c["text"] for c in cautions] == ["Data leaves", "Ask Ana"]
    assert cautions[0]["source"].startswith("yours: ")
    assert "confidence" not in cautions[1]


def test_a_tool_of_your_own_is_added_whole(lay: Laying) -> None:
    text = 'name = "Inhouse"\nroles = ["tracking"]\n[facts.status]\nvalue = "active"\n[[modes]]\nhosting = "managed"\n'
    tool = lay("tools/inhouse.toml", text)["tools/inhouse.toml"]
    assert tool["id"] == "inhouse"
    assert tool["facts"]["status"]["source"] == "yours: acme/tools/inhouse.toml"


def test_your_weight_holds_whatever_would_have_changed_it(lay: Laying) -> None:
    (cost,) = lay("criteria/common.toml", '[[criteria]]\nid = "cost"\nweight = 8\n')["criteria/common.toml"]["criteria"]
    assert cost == {
        "id": "cost",
        "weight": 8,
        "name": "Cost",
        "source": "a table (yours: acme/criteria/common.toml)",
    }


def test_a_criterion_takes_its_role_from_the_name_of_its_file(lay: Laying) -> None:
    merged = lay("criteria/tracking.toml", '[[criteria]]\nid = "ease"\nweight = 1\n')
    (ease,) = merged["criteria/tracking.toml"]["criteria"]
    assert (ease["weight"], ease["role"]) == (1, "tracking")


def test_a_criterion_of_every_role_is_refused_in_the_file_of_one(lay: Laying) -> None:
    told = faults_of(lay, "criteria/tracking.toml", '[[criteria]]\nid = "cost"\nweight = 1\n')
    assert told.startswith("acme/criteria/tracking.toml, line 2: criteria[0].id: 'cost' is a criterion of every role")
    assert "criteria/common.toml" in told


def test_a_branch_and_a_gate_are_replaced_by_id_or_added_with_a_document_of_your_own(lay: Laying) -> None:
    text = (
        '[[branches]]\nid = "open"\ntext = "ours"\nplace = "minutes of May"\n[[branches]]\nid = "new"\ntext = "more"\n'
    )
    merged = lay("trees/tracking.toml", text)
    tree = merged["trees/tracking.toml"]
    assert [(b["id"], b["text"], b["place"]) for b in tree["branches"]] == [
        ("open", "ours", "minutes of May"),
        ("new", "more", "a rule of your own"),
    ]
    assert {b["source"] for b in tree["branches"]} == {"yours: acme/trees/tracking.toml"}
    assert "yours: acme/trees/tracking.toml" in [source["file"] for source in merged["sources.toml"]["sources"]]
    merged = lay("gates.toml", '[[gates]]\nid = "none-run"\nrole = "tracking"\nsource = "minutes"\n')
    (gate,) = merged["gates.toml"]["gates"]
    assert (gate["place"], gate["source"]) == ("minutes", "yours: acme/gates.toml")


def test_a_pair_is_the_same_pair_in_either_order_and_from_any_file(lay: Laying) -> None:
    text = '[[pairs]]\ntools = ["prometheus", "grafana"]\nkind = "conflicts"\ntext = "here"\n'
    merged = lay("pairs/ours.toml", text)
    (pair,) = merged["pairs/monitoring.toml"]["pairs"]
    assert (pair["kind"], pair["source"]) == ("conflicts", "yours: acme/pairs/ours.toml")
    assert "pairs/ours.toml" not in merged


def test_a_new_pair_stays_in_its_own_file(lay: Laying) -> None:
    merged = lay("pairs/ours.toml", '[[pairs]]\ntools = ["mlflow", "grafana"]\nkind = "conflicts"\n')
    assert len(merged["pairs/ours.toml"]["pairs"]) == 1
    assert merged["pairs/monitoring.toml"] == FACTS["pairs/monitoring.toml"]


def test_numbers_are_replaced_one_by_one(lay: Laying) -> None:
    operation = lay(
        "operation.toml", '[skill]\nnone = 3\n[[classes]]\nid = "library"\nhours_per_month = [1, 2]\n'
    )["operation.toml"]  # fmt: skip
    assert operation["skill"] == {"none": 3, "strong": 1.0}
    assert operation["classes"] == [
        {
            "id": "library",
            "hours_per_month": [1, 2],
            "text": "a library",
            "source": "an assumption (yours: acme/operation.toml)",
        }
    ]
    words = lay("scales.toml", "[words.quality]\ngood = [0.5, 0.6]\n")["scales.toml"]["words"]
    assert words["quality"] == {"good": [0.5, 0.6], "poor": [0.0, 0.2]}


def test_an_install_that_you_tested_replaces_ours(lay: Laying) -> None:
    merged = lay("installs.toml", '[[installs]]\ntool = "mlflow"\nworks = false\n')
    assert merged["installs.toml"]["installs"] == [{"tool": "mlflow", "works": False}]


def test_it_says_which_documents_differ_and_by_which_file(lay: Laying, folder: Path) -> None:
    lay("pairs/ours.toml", '[[pairs]]\ntools = ["prometheus", "grafana"]\nkind = "conflicts"\n')
    (folder / "README.md").write_text("not TOML at all [")
    laid = lay_over(FACTS, folder)
    assert laid.touched == {"pairs/monitoring.toml": "acme/pairs/ours.toml"}
    assert list(laid.texts) == ["acme/pairs/ours.toml"]


@pytest.mark.parametrize(
    ("line", "sound"),
    [
        ("", True),
        ('package = "wandb"', True),
        ("package = 3", False),
        ('packge = "wandb"', False),
        ('confidence = "sure"', False),
        ("date = 2026-11-21T10:00:00", False),
    ],
)
def test_only_a_sound_release_needs_no_schema(folder: Path, line: str, sound: bool) -> None:
    (folder / "tools").mkdir()
    text = f'[facts.release]\nvalue = "2.0"\nsource = "the index"\n{line}\n'
    (folder / "tools" / "wandb.toml").write_text(text, "utf-8")
    assert bool(lay_over(FACTS, folder).touched) is not sound
    (folder / "tools" / "unknown.toml").write_text(text, "utf-8")
    assert "tools/unknown.toml" in lay_over(FACTS, folder).touched


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("tool/wandb.toml", "", "acme/tool/wandb.toml: there is no folder 'tool'; did you mean 'tools'?"),
        ("questions.toml", "", "acme/questions.toml: this file can't be laid over the facts"),
        ("gate.toml", "", "did you mean 'gates.toml'?"),
        ("tools/wandb.toml", "value = ", "acme/tools/wandb.toml: this is not TOML"),
        ("tools/wandb.toml", 'id = "mlflow"', "acme/tools/wandb.toml, line 1: id: got 'mlflow'. Allowed: 'wandb'"),
        ("tools/wandb.toml", "facts = 3", "line 1: facts: got 3. Allowed: tables"),
        ("tools/wandb.toml", "[facts]\nprice = 3", "Allowed: tables, [facts.<name>]"),
        ("tools/wandb.toml", 'modes = ["x"]', "Allowed: a list of tables, [[modes]]"),
        ("tools/wandb.toml", '[[ratings]]\nvalue = "high"', "ratings[0]: the key 'criterion' is missing"),
        ("tools/wandb.toml", "[sources]\npage = {}", "sources.page: the key 'text' is missing"),
        ("tools/wandb.toml", "[[modes]]\nusd_per_year = [0, inf]", "line 2: modes[0].usd_per_year[1]: got inf"),
        ("criteria/common.toml", '[[criteria]]\nid = "cost"\nweight = nan', "line 3: criteria[0].weight: got nan"),
        ("gates.toml", '[[gates]]\ntext = "x"', "gates[0]: the key 'id' is missing"),
        ("gates.toml", '[[gates]]\nid = "x"\n[[gates]]\nid = "x"', "gates[1].id: 'x' stands here twice"),
        ("gates.toml", '[[gates]]\nid = ["x"]', "gates[0].id: got ['x']. Allowed: a single value"),
        ("pairs/a.toml", '[[pairs]]\ntools = ["x"]', "pairs[0].tools: got ['x']. Allowed: a list of two tools"),
    ],
)
def test_a_fault_names_file_line_key_and_what_is_allowed(lay: Laying, file: str, text: str, told: str) -> None:
    assert told in faults_of(lay, file, text)


def test_a_file_that_is_not_utf_8_is_refused(folder: Path) -> None:
    (folder / "gates.toml").write_bytes(b'x = "\xff"')
    with pytest.raises(RefusedInput, match="not UTF-8"):
        lay_over(FACTS, folder)


def test_folders_come_in_order_the_refreshed_one_the_environments_and_those_given(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    environ = {"XDG_DATA_HOME": str(tmp_path / "data"), VARIABLE: f"{one}:{two}:"}
    for made in (one, two, three):
        made.mkdir()
        (made / "votes.toml").touch()
    assert own_folders([three], environ) == (one, two, three)
    home = refreshed_folder(environ)
    home.mkdir(parents=True)
    assert home == tmp_path / "data" / "stackproof" / "facts"
    assert own_folders([three], environ) == (home, one, two, three)
    assert own_folders((), {"XDG_DATA_HOME": str(tmp_path / "none")}) == ()


def test_a_named_folder_without_any_facts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedInput, match="holds no facts"):
        own_folders([tmp_path], {"XDG_DATA_HOME": str(tmp_path)})


def test_a_folder_that_there_is_not_is_refused_and_says_where_it_was_named(tmp_path: Path) -> None:
    environ = {"XDG_DATA_HOME": str(tmp_path)}
    with pytest.raises(RefusedInput, match="no such folder of facts\\."):
        own_folders([tmp_path / "gone"], environ)
    with pytest.raises(RefusedInput, match=f"from {VARIABLE}"):
        own_folders([], {**environ, VARIABLE: str(tmp_path / "gone")})


def test_an_empty_folder_changes_nothing_of_the_shipped_facts(folder: Path) -> None:
    shipped = {
        file.relative_to(SHIPPED).as_posix(): tomllib.loads(file.read_text("utf-8"))
        for file in SHIPPED.rglob("*.toml")
    }  # fmt: skip
    assert lay_over(shipped, folder).documents == shipped


words = st.sampled_from(["a", "b", "c"])
ratings = st.fixed_dictionaries(
    {"criterion": st.sampled_from(["collaboration", "ease"]), "value": words},
    optional={"role": st.sampled_from(["tracking", "tuning"]), "source": st.sampled_from(["page", "else"])},
)
facts = st.dictionaries(st.sampled_from(["status", "licence", "price"]), st.fixed_dictionaries({"value": words}))
entries = st.lists(st.fixed_dictionaries({"id": words, "text": words}), unique_by=lambda entry: str(entry["id"]))
overlays = st.fixed_dictionaries(
    {},
    optional={
        "tools/wandb.toml": st.fixed_dictionaries({}, optional={"facts": facts, "ratings": st.lists(ratings)}),
        "tools/new.toml": st.fixed_dictionaries({"facts": facts}),
        "gates.toml": st.fixed_dictionaries({"gates": entries}),
        "trees/tracking.toml": st.fixed_dictionaries({"branches": entries}),
        "operation.toml": st.fixed_dictionaries({"classes": entries, "source": words}),
        "criteria/tracking.toml": st.fixed_dictionaries({"criteria": entries}),
    },
)


@given(own=overlays)
def test_laying_the_same_folder_over_twice_changes_nothing_more_and_never_the_input(own: dict[str, Any]) -> None:
    before = copy.deepcopy(FACTS)
    once = merge(FACTS, own, "acme")
    assert before == FACTS
    assert merge(once, own, "acme") == once


@given(own=overlays)
def test_what_the_folder_does_not_name_stays_as_it_was(own: dict[str, Any]) -> None:
    merged = merge(FACTS, own, "acme")
    for file in FACTS.keys() - own.keys() - {"sources.toml"}:
        assert merged[file] == FACTS[file]
    kept = FACTS["tools/wandb.toml"]["facts"].keys() - own.get("tools/wandb.toml", {}).get("facts", {}).keys()
    for key in kept:
        assert merged["tools/wandb.toml"]["facts"][key] == FACTS["tools/wandb.toml"]["facts"][key]
