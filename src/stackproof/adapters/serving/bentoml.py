"""Serving by BentoML: a service of it, its HTTP application and its worker, and the models in its own store."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from stackproof.adapters.installed import installed
from stackproof.adapters.serving.options import ALLOWED_HOSTS, LIMITS, hosts_of, limits_of
from stackproof.adapters.serving.running import RunningServers
from stackproof.roles.adapter import Health, Option, Setting
from stackproof.roles.features import OnlineFeatures
from stackproof.roles.serving import Deployment, PredictionLog

BENTO_LIMITS: Mapping[str, Option] = {
    **LIMITS,
    "timeout": Option("number", "Seconds after which BentoML gives up a request and answers 504", 60.0),
}


class BentoServer:
    """Serves xgboost and ONNX models with BentoML, in the process that calls `run`.

    Each model version is put into the model store below the home folder, which is BentoML's home (`BENTOML_HOME`),
    and is served from there: `bentoml models list` shows it, `bentoml.xgboost.load_model` loads it. The service is
    BentoML's, with its limit of requests at once, its time limit, its metrics and its page, which is at /docs.
    Open Inference Protocol v2 is an application mounted in it, since BentoML does not speak that protocol.
    There is one worker, without BentoML's supervisor: the worker has to reach the prediction log and the features.
    """

    tool: ClassVar[str] = "bentoml"
    capabilities: ClassVar[frozenset[str]] = frozenset({"serve", "canary", "links"})
    deviations: ClassVar[Mapping[str, str]] = {}
    options: ClassVar[Mapping[str, Option]] = {
        **BENTO_LIMITS,
        "access_log": Option("boolean", "Whether BentoML writes a line for each request", False),
        **ALLOWED_HOSTS,
    }

    def __init__(self, setting: Setting) -> None:
        self._home = setting.home
        self._options = {name: option.default for name, option in self.options.items()} | dict(setting.options)
        self._running = RunningServers()

    def health(self) -> Health:
        return installed("bentoml", "BentoML", f"its home, with the model store, is {self._home}")

    def close(self) -> None:
        """Stop what runs, as SIGTERM does."""
        self._running.stop()

    def link(self, identifier: str, ui: str) -> str:
        """See `LinksToItsUi`: what its store says of a model version, as a file; BentoML's page shows no models."""
        from stackproof.adapters.serving.bentoml_store import shown_in

        about = shown_in(self._home, identifier)
        return about.absolute().as_uri() if about else ""

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
        from stackproof.adapters.serving.bentoml_worker import Serving, working

        limits, hosts = limits_of(self._options, BENTO_LIMITS), hosts_of(self._options, host)
        serving = Serving(self._home, limits, hosts, bool(self._options["access_log"]))
        with working(serving, deployment, features, log, host, port, on_ready, updates) as worker:
            self._running.serve(worker)
