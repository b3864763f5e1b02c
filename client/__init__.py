"""The service's client: `Client.analyze(bytes) -> Analysis`, and `python -m client` for whole folders.

It knows the service by its HTTP interface alone, and no other folder of this repository: copy the folder to the machine
that has the photographs, and install Pillow and tqdm. numpy is not needed; an `Analysis.mask` becomes an array
by `numpy.asarray`.
"""

from client.analysis import Analysis, Box, Defect, ImageWarning, Model, Point
from client.errors import ClientError, InputError, RefusedError, ServiceAwayError, WrongAnswerError
from client.mask import Mask
from client.service import Client
from client.verdict import TileVerdict, judge_tile

__all__ = [
    "Analysis",
    "Box",
    "Client",
    "ClientError",
    "Defect",
    "ImageWarning",
    "InputError",
    "Mask",
    "Model",
    "Point",
    "RefusedError",
    "ServiceAwayError",
    "TileVerdict",
    "WrongAnswerError",
    "judge_tile",
]
