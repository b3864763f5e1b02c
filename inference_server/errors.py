"""Why Triton does not serve; each text is one line that names the mend.

The tree, with the exit status of `python -m inference_server`:

    ServingError                    exit status 1
    ├── SettingError                2: an environment variable has a wrong value
    ├── UnsupportedMachineError     3: no tritonserver can run here outside a container
    ├── PortInUseError              4: somebody else listens there
    ├── ModelRepositoryError        5: there is no model to serve
    ├── StartError                  6: Triton ended, or was not ready in time
    ├── OutOfMemoryError            7: the kernel ended one of its processes for want of memory
    └── StopAskedError              0: a signal asked to stop before it was ready
"""


class ServingError(Exception):
    """It does not serve; the message says why and what to do."""

    exit_status = 1


class SettingError(ServingError):
    """An environment variable has a value that means nothing here."""

    exit_status = 2


class UnsupportedMachineError(ServingError):
    """The wheel has no tritonserver for this machine or this Python."""

    exit_status = 3


class PortInUseError(ServingError):
    """The address cannot be listened on."""

    exit_status = 4


class ModelRepositoryError(ServingError):
    """The folder holds no model."""

    exit_status = 5


class StartError(ServingError):
    """The process ended or was not ready in time."""

    exit_status = 6


class OutOfMemoryError(ServingError):
    """The kernel ended one of the processes for want of memory."""

    exit_status = 7


class StopAskedError(ServingError):
    """Somebody asked to stop while it was starting."""

    exit_status = 0
