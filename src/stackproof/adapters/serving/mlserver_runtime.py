"""The runtime that the settings of each model version name: MLServer makes it, and hands it the requests."""

import orjson
from mlserver import MLModel, types  # type: ignore[import-not-found]  # it is in MLServer's environment alone
from mlserver.errors import MLServerError  # type: ignore[import-not-found]  # as above
from starlette.requests import Request
from starlette.types import Message

from stackproof.adapters.serving.mlserver_asked import ASKED, SERVED


class Refused(MLServerError):  # type: ignore[misc]  # MLServer has no types here
    """What MLServer answers with this status and {"error": message}."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, status)


class Runtime(MLModel):  # type: ignore[misc]  # as above
    """One model version. Its predictions are in the log before MLServer answers."""

    async def load(self) -> bool:
        """The model was read from this version's folder before MLServer came to it."""
        return self.name in SERVED

    async def metadata(self) -> types.MetadataModelResponse:
        found = await super().metadata()
        found.versions = list(SERVED[self.name].live.versions)
        return found

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        """The request as it came is read, not MLServer's values of it, which lose what is wrong with it."""
        asked = ASKED.get()
        answer = await SERVED[self.name].answer(_posted(asked.body), self.name, asked.version)
        content = orjson.loads(bytes(answer.body))
        if answer.status_code != 200:
            raise Refused(answer.status_code, content["error"])
        payload.id = content["id"]  # MLServer makes one up where the request has none, and answers with it
        return types.InferenceResponse.model_validate(content)


def _posted(body: bytes) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
