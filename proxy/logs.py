"""Log lines: one line of key=value pairs (logfmt) for each event, on standard output."""

import contextlib
import logging
import sys
import warnings

import structlog

ORDER = ("timestamp", "level", "logger", "event")


class LineLogger:
    """Writes the proxy's own lines: through Python's logging each would take twice as long. name: the module's."""

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, line: str) -> None:
        """Write a line; as in Python's logging, one that cannot be written costs no answer."""
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    debug = info = warning = error = critical = write  # structlog calls them by these names


def configure_logs(level: str) -> None:
    """Write events of this level and above, those of the libraries too, which use Python's own logging."""
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    line = structlog.processors.LogfmtRenderer(key_order=ORDER, bool_as_flag=False)
    structlog.configure(
        processors=[*before, line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=LineLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, line]
        )
    )
    logging.basicConfig(level=level, handlers=[handler])
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn of a client's bad input, which our answer explains already
