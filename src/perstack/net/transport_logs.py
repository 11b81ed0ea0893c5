"""Keeps what the HTTP client says of each exchange out of the program's logs.

At DEBUG it writes down every header of an answer and every line that is no HTTP, at
INFO the status line: whatever the server chose to say, the key it was sent included.
"""

from __future__ import annotations

import logging

LOGGERS = (
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "httpcore2.socks",
)
"""A logger's filter sees its own records and none of its children's, so each has one."""


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def quiet() -> None:
    """Drop the client's records below WARNING, in this whole process. May be called again.

    The loggers belong to the process, and a record does not say whose request it is
    about, so another user of the same client loses its DEBUG records as well. That is
    the smaller harm: a program that turns DEBUG on for everything did not ask for keys.
    No other logger, level or handler is touched.
    """
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_is_warning)  # the same filter is added once
