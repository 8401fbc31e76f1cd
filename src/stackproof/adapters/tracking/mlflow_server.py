"""The MLflow server that `stackproof up` starts, on the store that the adapter writes without one."""

from pathlib import Path

from stackproof.adapters.tracking.mlflow_library import ALWAYS
from stackproof.roles.adapter import PORT, ServerSpec

ADDRESS = f"http://127.0.0.1:{PORT}"


def server_on(uri: str, artifacts: str, folder: Path, python: Path, port: int) -> ServerSpec:
    """`uri`: of the database. `artifacts`: where new experiments keep theirs.

    While it runs the adapter talks to it. Both on one SQLite file would make its tables at the same time, and
    nothing would keep a change in the UI out of the midst of one of ours. Artifacts stay where the adapter finds
    them without a server too, so a client writes them there itself.
    """
    return ServerSpec(
        name="mlflow",
        arguments=(
            *(str(python), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", PORT),
            *("--workers", "1", "--no-serve-artifacts"),
        ),
        folder=folder,
        url=ADDRESS,
        health=f"{ADDRESS}/health",
        # An address may hold a password, which must not be among the arguments.
        variables={
            **ALWAYS,
            "MLFLOW_BACKEND_STORE_URI": uri,
            "MLFLOW_REGISTRY_STORE_URI": uri,
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifacts,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        options={"uri": ADDRESS},
        port=port,
        start_s=180.0,
    )
