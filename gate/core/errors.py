"""Every reason for which the gate refuses something, and the HTTP status it stands for.

A reason is one word from one enum: it is the problem's `type`, the log's `reason` and the metric's label.
Nothing else in the project spells a status for a refusal.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a request was not simply forwarded; the value is the slug of the problem document (RFC 9457)."""

    MUST_WAIT = "must-wait"
    NOT_YET_SERVED = "not-yet-served"
    TOO_EARLY = "too-early"
    ROOM_FULL = "room-full"
    ROOM_CLOSED = "room-closed"
    TICKET_INVALID = "ticket-invalid"
    TICKET_EXPIRED = "ticket-expired"
    TICKET_LAPSED = "ticket-lapsed"
    TICKET_USED = "ticket-used"
    PASS_INVALID = "pass-invalid"  # noqa: S105  (a slug)
    RATE_LIMITED = "rate-limited"
    STORE_UNAVAILABLE = "store-unavailable"
    ORIGIN_UNREACHABLE = "origin-unreachable"
    ORIGIN_TIMEOUT = "origin-timeout"
    BAD_REQUEST = "bad-request"
    MISDIRECTED = "misdirected"
    TOO_LARGE = "too-large"
    URI_TOO_LONG = "uri-too-long"
    HEADER_TOO_LARGE = "header-too-large"
    REQUEST_TIMEOUT = "request-timeout"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    NOT_IMPLEMENTED = "not-implemented"
    NOT_FOUND = "not-found"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    REVISION_STALE = "revision-stale"
    VERIFICATION_REQUIRED = "verification-required"
    VERIFIER_UNAVAILABLE = "verifier-unavailable"
    INTERNAL = "internal"

    @property
    def status(self) -> int:
        """The HTTP status this reason is answered with."""
        return _STATUS_AND_TITLE[self][0]

    @property
    def sentence(self) -> str:
        """One plain sentence for people who read the problem document."""
        return _STATUS_AND_TITLE[self][1]


_STATUS_AND_TITLE: dict[Reason, tuple[int, str]] = {
    Reason.MUST_WAIT: (429, "There is a line; wait for your turn."),
    Reason.NOT_YET_SERVED: (425, "It is not your turn yet."),
    Reason.TOO_EARLY: (425, "Send this again once the connection is established."),
    Reason.ROOM_FULL: (503, "All places have been handed out."),
    Reason.ROOM_CLOSED: (403, "The line takes no newcomers."),
    Reason.TICKET_INVALID: (429, "This ticket is not good here."),
    Reason.TICKET_EXPIRED: (429, "This ticket has expired."),
    Reason.TICKET_LAPSED: (410, "The turn was not taken in time."),
    Reason.TICKET_USED: (410, "This ticket's visit is over."),
    Reason.PASS_INVALID: (429, "This pass is not good here."),
    Reason.RATE_LIMITED: (429, "Too many requests from here."),
    Reason.STORE_UNAVAILABLE: (503, "The line cannot be reached for the moment; no place is lost."),
    Reason.ORIGIN_UNREACHABLE: (502, "The site behind the gate cannot be reached."),
    Reason.ORIGIN_TIMEOUT: (504, "The site behind the gate did not answer in time."),
    Reason.BAD_REQUEST: (400, "The request cannot be understood in one way only."),
    Reason.MISDIRECTED: (421, "This host is not served here."),
    Reason.TOO_LARGE: (413, "The request is too large."),
    Reason.URI_TOO_LONG: (414, "The address is too long."),
    Reason.HEADER_TOO_LARGE: (431, "The request's header is too large."),
    Reason.REQUEST_TIMEOUT: (408, "The request took too long to arrive."),
    Reason.METHOD_NOT_ALLOWED: (405, "This method is not allowed here."),
    Reason.NOT_IMPLEMENTED: (501, "This method is not known here."),
    Reason.NOT_FOUND: (404, "There is nothing here."),
    Reason.UNAUTHORIZED: (401, "A valid token is needed."),
    Reason.FORBIDDEN: (403, "This may not be done from here, or not with this token."),
    Reason.REVISION_STALE: (412, "The room has changed meanwhile."),
    Reason.VERIFICATION_REQUIRED: (403, "Show that you are a person first."),
    Reason.VERIFIER_UNAVAILABLE: (503, "Who checks that you are a person does not answer; try again in a moment."),
    Reason.INTERNAL: (500, "Something went wrong inside the gate."),
}


# A ticket's turn came and went, or its life did: whoever shows it may join again.
LAPSED = frozenset({Reason.TICKET_LAPSED, Reason.TICKET_USED, Reason.TICKET_EXPIRED})


def problem_document(reason: Reason, detail: str = "", status: int | None = None) -> dict[str, object]:
    """The problem document of a refusal (RFC 9457 section 3); `status` where it is not the reason's own."""
    body: dict[str, object] = {"type": reason.value, "title": reason.sentence, "status": status or reason.status}
    return body | {"detail": detail} if detail else body


class RefusalError(Exception):
    """A request that must be refused; the outermost layer renders it as a problem document.

    `detail` is shown to whoever asked, so it never repeats bytes that came from outside.
    `retry_after` is in whole seconds; `cookies` are `Set-Cookie` values that must reach the visitor all the same.
    """

    def __init__(
        self, reason: Reason, detail: str = "", *, retry_after: int | None = None, cookies: tuple[str, ...] = ()
    ) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.cookies = cookies
