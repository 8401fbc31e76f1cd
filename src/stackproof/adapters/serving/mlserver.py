"""Serving by MLServer: its application, its registry of model versions, and a runtime of ours in its repository."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from stackproof.adapters.installed import installed
from stackproof.adapters.serving.options import ALLOWED_HOSTS, LIMITS, hosts_of, limits_of
from stackproof.adapters.serving.running import RunningServers
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.features import OnlineFeatures
from stackproof.roles.serving import Deployment, PredictionLog


class MLServer:
    """Serves xgboost and ONNX models with MLServer, in the process that calls `run`.

    Each model version is a folder of MLServer's model repository, `models` in the home folder, with its
    `model-settings.json`. MLServer's registry holds the versions, its data plane counts and answers the requests, and
    its metrics are at /metrics of the same port. There are no parallel workers and no gRPC: the one worker has to reach
    the prediction log and the features. MLServer's calls that load, unload and stream are left out.
    """

    tool: ClassVar[str] = "mlserver"
    capabilities: ClassVar[frozenset[str]] = frozenset({"serve", "canary", "links"})
    deviations: ClassVar[Mapping[str, str]] = {}
    options: ClassVar[Mapping[str, Option]] = {**LIMITS, **ALLOWED_HOSTS}

    def __init__(self, setting: Setting) -> None:
        self._home = setting.home
        self._options = {name: option.default for name, option in self.options.items()} | dict(setting.options)
        self._running = RunningServers()

    def health(self) -> Health:
        return installed("mlserver", "MLServer", f"its model repository is {self._home / 'models'}")

    def close(self) -> None:
        """Stop what runs, as SIGTERM does."""
        self._running.stop()

    def link(self, identifier: str, ui: str) -> str:
        """See `LinksToItsUi`: the settings of a model version in the repository, as a file."""
        from stackproof.adapters.serving.mlserver_repository import settings_of

        settings = settings_of(self._home, identifier)
        return settings.absolute().as_uri() if settings else ""

    def run(
        self,
        deployment: Deployment,
        *,
        features: OnlineFeatures | None,
        log: PredictionLog,
        host: str,
        port: int,
        on_ready: Callable[[str], None],
        updates: Callable[[], Deployment | None] | None = None,
    ) -> None:
        """See `ModelServer.run`. Also returns after `close`."""
        from stackproof.adapters.serving.mlserver_application import Serving, working

        limits, hosts = limits_of(self._options), hosts_of(self._options, host)
        serving = Serving(self._home, limits, hosts)
        with working(serving, deployment, features, log, host, port, on_ready, updates) as server:
            self._running.serve(server)
