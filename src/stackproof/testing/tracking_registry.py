"""The part of the tracking contract that is the model registry; `stackproof.testing.tracking` includes it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stackproof.errors import Corrupted, NotFound
from stackproof.roles.tracking import ModelVersion
from stackproof.testing.conformance import Conformance, needs

RUN, OTHER = "run:01", "run:02"
MARK = b"bytes that are found again in the adapter's own files "


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the calls in as many threads; the first error is raised."""
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
        return [future.result() for future in futures]


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def damage(home: Path, mark: bytes) -> bool:
    """Change one byte in every file below `home` that holds `mark`. False when there is none."""
    found = [path for path in home.rglob("*") if path.is_file() and mark in path.read_bytes()]
    for path in found:
        data = bytearray(path.read_bytes())
        data[data.index(mark)] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)
    return bool(found)


def make_package(folder: Path, data: bytes) -> Path:
    """A folder with a nested and an empty file."""
    (folder / "näme").mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_bytes(data)
    (folder / "näme" / "meta.json").write_text("{}", encoding="utf-8")
    (folder / "näme" / "empty").write_bytes(b"")
    return folder


class RegistryConformance(Conformance):
    """Capability "registry"."""

    def test_versions_count_from_one_and_equal_content_from_one_run_is_one_version(
        self, adapter: Any, tmp_path: Path
    ) -> None:
        register = self._registry(adapter, tmp_path)
        first = register(b"one", RUN)
        assert (first.name, first.version, first.run_id, first.aliases) == ("delay", 1, RUN, ())
        assert first.id == "model:delay@1"
        assert register(b"one", RUN) == first
        assert register(b"two", RUN).version == 2
        assert register(b"one", OTHER).version == 3
        assert register(b"one", OTHER).digest == first.digest
        assert register(b"one", RUN, name="another").version == 1

    def test_models_are_listed_by_name_then_version(self, adapter: Any, tmp_path: Path) -> None:
        register = self._registry(adapter, tmp_path)
        assert adapter.list_models() == []
        for name, data in [("b", b"1"), ("a", b"1"), ("b", b"2"), ("a", b"2")]:
            register(data, RUN, name=name)
        listed = [(model.name, model.version) for model in adapter.list_models()]
        assert listed == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]

    def test_an_alias_points_at_one_version_and_moves(self, adapter: Any, tmp_path: Path) -> None:
        register = self._registry(adapter, tmp_path)
        register(b"one", RUN)
        register(b"two", RUN)
        adapter.set_alias("delay", "champion", 1)
        adapter.set_alias("delay", "größte", 1)
        assert adapter.get_model("delay", "champion").version == 1
        assert set(adapter.get_model("delay", 1).aliases) == {"champion", "größte"}
        adapter.set_alias("delay", "champion", 2)
        adapter.set_alias("delay", "champion", 2)
        assert adapter.get_model("delay", "champion").version == 2
        assert adapter.get_model("delay", 1).aliases == ("größte",)

    def test_a_model_version_or_alias_that_is_not_there_is_not_found(self, adapter: Any, tmp_path: Path) -> None:
        register = self._registry(adapter, tmp_path)
        register(b"one", RUN)
        missing: list[Callable[[], object]] = [
            lambda: adapter.get_model("none", 1),
            lambda: adapter.get_model("delay", 2),
            lambda: adapter.get_model("delay", 0),
            lambda: adapter.get_model("delay", "champion"),
            lambda: adapter.get_model("delay", "1"),
            lambda: adapter.set_alias("delay", "champion", 2),
            lambda: adapter.fetch_model("delay", 2, tmp_path / "into"),
            lambda: register(b"one", "run:none"),
            lambda: adapter.register_model("delay", tmp_path / "none", run_id=RUN),
        ]
        for call in missing:
            with pytest.raises(NotFound):
                call()
        assert not (tmp_path / "into").exists()

    def test_a_package_comes_back_as_it_was_after_a_restart(self, adapter: Any, home: Path, tmp_path: Path) -> None:
        register = self._registry(adapter, tmp_path)
        version = register(b"one", RUN)
        second = self.make(home)
        try:
            assert second.get_model("delay", 1) == version
            fetched = second.fetch_model("delay", 1, tmp_path / "deep" / "into")
            assert fetched == tmp_path / "deep" / "into"
            assert content(fetched) == content(make_package(tmp_path / "again", b"one"))
        finally:
            second.close()

    def test_a_damaged_package_is_reported_and_leaves_nothing_behind(
        self, adapter: Any, home: Path, tmp_path: Path
    ) -> None:
        register = self._registry(adapter, tmp_path)
        register(MARK * 100, RUN)
        if not damage(home, MARK):
            pytest.skip("the package's bytes are not below the home")
        with pytest.raises(Corrupted):
            adapter.fetch_model("delay", 1, tmp_path / "into")
        assert not (tmp_path / "into").exists()

    def test_versions_registered_at_once_have_no_holes(self, adapter: Any, tmp_path: Path) -> None:
        self._registry(adapter, tmp_path)
        packages = [make_package(tmp_path / str(n), f"content {n % 6}".encode()) for n in range(12)]
        made = at_once([partial(adapter.register_model, "delay", package, run_id=RUN) for package in packages])
        assert sorted({model.version for model in made}) == [1, 2, 3, 4, 5, 6]
        assert [model.version for model in adapter.list_models()] == [1, 2, 3, 4, 5, 6]

    def _registry(self, adapter: Any, folder: Path) -> Callable[..., ModelVersion]:
        needs(adapter, "registry")
        for run_id in (RUN, OTHER):
            adapter.start_run("delays", run_id=run_id)

        def register(data: bytes, run_id: str, name: str = "delay") -> ModelVersion:
            package = make_package(folder / f"package-{data[:20].hex()}", data)
            version: ModelVersion = adapter.register_model(name, package, run_id=run_id)
            return version

        return register
