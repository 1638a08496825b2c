"""Logs: one JSON line per decision that matters on a pipe, a readable line on a terminal.

A record's extras are the fields; `reason` is always a slug of `core/errors.py`. Nothing here may print a token, a
cookie, an address or a query: callers hand over positions, rooms and reasons, and a traceback is cut to its types.
"""

import logging
import sys
import time
from typing import Any, TextIO

import orjson

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}


def start_logging(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send all logs to `stream` (standard error by default), in the form that suits it."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_TerminalFormatter() if stream.isatty() else _JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("gate").setLevel(level)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = {key: value for key, value in record.__dict__.items() if key not in _OWN}
    if record.exc_info and record.exc_info[1] is not None:
        fields["fault"] = _where(record.exc_info[1])
    return fields


def _where(error: BaseException) -> str:
    """The type of an error and the lines it came through; never its text, which may repeat what was sent."""
    steps = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        steps.append(f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(error).__name__} at {' > '.join(steps[-6:])}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One JSON object a line."""
        head = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("gate."),
            "event": record.getMessage(),
        }
        return orjson.dumps(head | _fields(record), default=str).decode()


class _TerminalFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Time, event, fields."""
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "  ".join(f"{key}={value}" for key, value in _fields(record).items())
        colour = _COLOURS.get(record.levelname, "")
        return f"\x1b[2m{moment}\x1b[0m  {colour}{record.getMessage():<14}\x1b[0m {fields}"
