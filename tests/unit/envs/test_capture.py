"""An environment is recorded with hashes, and built again from the record alone."""

import subprocess
from pathlib import Path

import pytest

from stackproof.envs.build import build_environment
from stackproof.envs.capture import Environment, capture_environment
from stackproof.errors import Unavailable
from stackproof.store import Blobs


@pytest.mark.slow
def test_an_environment_built_from_its_record_is_recorded_as_the_same(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    recorded = capture_environment(blobs, tmp_path / "locks")
    python = build_environment(recorded, tmp_path / "environment", blobs)
    script = (
        "from pathlib import Path; from stackproof.store import Blobs; "
        "from stackproof.envs.capture import capture_environment; "
        "print(capture_environment(Blobs(Path('other')), Path('locks')).digest)"
    )
    done = subprocess.run([str(python), "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == recorded.digest
    assert recorded.hashed


def test_the_digest_changes_with_a_version_and_with_local_code() -> None:
    one = Environment("3.11.7", "x86_64 Linux", "polars==2.1.0\n", False, ())
    assert one.digest != Environment("3.11.7", "x86_64 Linux", "polars==2.1.1\n", False, ()).digest
    assert one.digest != Environment("3.12.1", "x86_64 Linux", "polars==2.1.0\n", False, ()).digest


@pytest.mark.slow
def test_what_can_t_be_had_any_more_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    import platform

    gone = Environment(platform.python_version(), "x86_64 Linux", "no-such-distribution-at-all==9.9.9\n", False, ())
    with pytest.raises(Unavailable, match="could not be built"):
        build_environment(gone, tmp_path / "environment", Blobs(tmp_path / "blobs"))
    assert not (tmp_path / "environment").exists()
