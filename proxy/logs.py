"""Log lines: one line of key=value pairs (logfmt) for each event, on standard output."""

import logging
import sys
import warnings

import structlog

ORDER = ("timestamp", "level", "logger", "event")


def configure_logs(level: str) -> None:
    """Write events of this level and above, those of the libraries too, which use Python's own logging."""
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.LogfmtRenderer(key_order=ORDER, bool_as_flag=False),
            ],
        )
    )
    logging.basicConfig(level=level, handlers=[handler])
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn of a client's bad input, which our answer explains already
