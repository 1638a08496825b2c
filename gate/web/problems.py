"""A refusal as a problem document (RFC 9457): the slug, the status, and never a byte that came from outside."""

import orjson
from aiohttp import web

from gate.core.errors import Reason, RefusalError, problem_document

_ENDS = frozenset({Reason.BAD_REQUEST, Reason.METHOD_NOT_ALLOWED, Reason.REQUEST_TIMEOUT, Reason.TOO_LARGE})


def problem(
    reason: Reason,
    detail: str = "",
    *,
    status: int | None = None,
    retry_after: int | None = None,
    close: bool = False,
) -> web.Response:
    """The answer for a refusal; `retry_after` in whole seconds, `close` ends the connection after it."""
    status = status or reason.status
    body = problem_document(reason, detail, status)
    headers = {"Cache-Control": "no-store", "Content-Type": "application/problem+json", "Server": "gate"}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    answer = web.Response(status=status, body=orjson.dumps(body), headers=headers)
    if close:
        answer.force_close()
    return answer


def refusal(error: RefusalError) -> web.Response:
    """The answer for a raised refusal; one that could not be understood, waited for or taken in ends the connection."""
    ends = error.reason in _ENDS
    return problem(error.reason, error.detail, retry_after=error.retry_after, close=ends)
