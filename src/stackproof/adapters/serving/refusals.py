"""Why a request gets no 200: the HTTP status, the reason that the metrics count, the words."""

from collections.abc import Mapping

from stackproof.errors import StackproofError

RETRY_AFTER_SECONDS = "1"


class Refusal(Exception):
    """Ends the handling of a request with this status and {"error": message}."""

    def __init__(self, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.headers = headers
        super().__init__(message)


def malformed(error: StackproofError) -> Refusal:
    return Refusal(400, "malformed", str(error))


def unavailable(reason: str, message: str) -> Refusal:
    return Refusal(503, reason, message, {"Retry-After": RETRY_AFTER_SECONDS})


def too_large(limit: int) -> Refusal:
    message = f"The request body is too large. Allowed: at most {limit} bytes."
    return Refusal(413, "too_large", message, {"Connection": "close"})


def too_many(limit: int) -> Refusal:
    message = f"Too many requests are under way. Allowed: {limit} at once. Next: try again"
    return Refusal(429, "too_many", message, {"Retry-After": RETRY_AFTER_SECONDS})
