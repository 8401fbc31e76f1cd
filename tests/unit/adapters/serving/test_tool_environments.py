"""The model servers of foreign tools compute with the same library as ours, so that the numbers are the same."""

import re
from pathlib import Path

import pytest

from stackproof.envs.locking import Locks

LOCK = Path(__file__).parents[4] / "requirements.lock"


@pytest.mark.parametrize("tool", ["bentoml", "mlserver"])
def test_its_environment_asks_for_the_releases_of_xgboost_that_our_lock_names(tool: str) -> None:
    ours = re.findall(r"^(xgboost-cpu==.*?)\s*\\$", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    theirs = [asked for asked in Locks().recipe(tool).also if asked.startswith("xgboost")]
    assert [asked.replace(" ", "") for asked in theirs] == [asked.replace(" ", "") for asked in ours]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("tool", ["bentoml", "mlserver"])
def test_its_lock_holds_the_release_that_its_recipe_asks_for(tool: str, python: str) -> None:
    older, newer = (asked.partition(";")[0] for asked in Locks().recipe(tool).also[-2:])
    asked = older if python == "3.11" else newer
    assert f"\n{asked} " in Locks().find(tool, python).text
