"""Why Triton does not serve; each text is one line that says what to do.

The tree, with the exit status of `python -m inference_server`:

    ServingError                    exit status 1
    ├── SettingError                2: an environment variable has a wrong value
    ├── UnsupportedMachineError     3: no tritonserver can run here outside a container
    ├── PortInUseError              4: the address cannot be listened on
    ├── ModelRepositoryError        5: there is no model to serve
    ├── StartError                  6: Triton ended, or was not ready in time
    ├── OutOfMemoryError            7: the kernel killed one of its processes because memory ran out
    ├── LimitError                  8: the machine gives too little of something
    └── StopAskedError              0: a signal asked to stop before it was ready
"""


class ServingError(Exception):
    """Triton does not serve; the message says why and what to do."""

    exit_status = 1


class SettingError(ServingError):
    """An environment variable has a value that is not allowed."""

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
    """The process ended while it started, or was not ready in time."""

    exit_status = 6


class OutOfMemoryError(ServingError):
    """The kernel killed one of the processes because memory ran out."""

    exit_status = 7


class LimitError(ServingError):
    """The machine gives too little of something that serving needs: room, shared memory, threads, descriptors."""

    exit_status = 8


class StopAskedError(ServingError):
    """A signal asked to stop before everything was ready."""

    exit_status = 0
