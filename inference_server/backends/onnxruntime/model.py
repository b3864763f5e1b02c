"""Triton's backend `onnxruntime`, written for its Python backend.

It replaces NVIDIA's native backend where Triton has only the Python backend, and follows the same config.pbtxt;
signature.py compares that file with the model, identity.py the model with what was published, sessions.py chooses the
threads. It runs in Triton's stub process, one for each instance; watchdog.py ends Triton when an answer could reach the
wrong request.

Source: Triton's documentation of Python-based backends.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import identity  # type: ignore[import-not-found]  # beside this file, in a folder that Triton puts on the path
import numpy as np
import sessions  # type: ignore[import-not-found]
import signature  # type: ignore[import-not-found]
import triton_python_backend_utils as triton
import watchdog  # type: ignore[import-not-found]

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where Triton and its stub exchange tensors
END_SERVER = "end_server"  # a request with this parameter found a wrong answer; the parameter's text says which


class TritonPythonModel:
    """One instance of a model. Triton calls these methods by their names."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model, or refuse it with a text that names what is wrong."""
        self._watchdog = watchdog.Watchdog(_shared_memory())
        config = json.loads(args["model_config"])
        try:
            path = Path(args["model_repository"]) / args["model_version"] / signature.model_filename(config)
            self._sessions = sessions.Sessions(path, identity.read_graph(path, config), config)
            signature.compare(config, self._sessions.own)
            identity.compare_parameters(config, self._sessions.own.get_modelmeta().custom_metadata_map)
        except Exception as error:  # noqa: BLE001  the one exception whose text Triton logs
            raise triton.TritonModelException(f"{args['model_name']}: {error}") from None
        self._inputs = config["input"]
        self._outputs = [output["name"] for output in config["output"]]
        self._batched = config["max_batch_size"] > 0
        self._watchdog.start()

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer the requests in their order; requests of equal shape run together."""
        self._watchdog.check()
        self._end_if_asked(requests)
        tensors = [self._read(request) for request in requests]
        responses: list[Any] = [None] * len(requests)
        with self._sessions.session() as session:
            for group in self._groups(tensors):
                for place, response in zip(group, self._run(session, [tensors[place] for place in group]), strict=True):
                    responses[place] = response
        self._watchdog.check()
        return responses

    def finalize(self) -> None:
        """End this instance."""
        self._sessions.close()

    def _end_if_asked(self, requests: list[Any]) -> None:
        for request in requests:
            reason = json.loads(request.parameters() or "{}").get(END_SERVER)
            if reason is not None:
                self._watchdog.end_server(repr(reason))

    def _read(self, request: Any) -> dict[str, np.ndarray]:
        names = [tensor["name"] for tensor in self._inputs]
        return {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in names}

    def _groups(self, tensors: list[dict[str, np.ndarray]]) -> list[list[int]]:
        """Return the positions of the requests that can be joined along the first axis."""
        if not self._batched:
            return [[place] for place in range(len(tensors))]
        places = defaultdict(list)
        for place, request in enumerate(tensors):
            places[tuple(tensor.shape[1:] for tensor in request.values())].append(place)
        return list(places.values())

    def _run(self, session: Any, requests: list[dict[str, np.ndarray]]) -> list[Any]:
        """Run one group and return a response for each of its requests; if one fails, all fail."""
        try:
            for request in requests:
                signature.check_request(self._inputs, request, batched=self._batched)
            if len(requests) == 1:
                return [self._response(session.run(self._outputs, requests[0]))]
            joined = {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}
            ends = np.cumsum([len(next(iter(request.values()))) for request in requests])[:-1]
            split = [np.split(output, ends) for output in session.run(self._outputs, joined)]
            return [self._response(outputs) for outputs in zip(*split, strict=True)]
        except Exception as error:  # noqa: BLE001  any error of ONNX Runtime becomes this group's answer
            return [triton.InferenceResponse(error=triton.TritonError(str(error))) for _ in requests]

    def _response(self, outputs: list[np.ndarray]) -> Any:
        return triton.InferenceResponse(list(map(triton.Tensor, self._outputs, outputs)))


def _shared_memory() -> list[Path]:
    """Return the memory that Triton shares with this process."""
    own_words = Path("/proc/self/cmdline").read_text(encoding="utf-8").split("\0")
    return [SHARED_MEMORY / word for word in own_words if "_shm_region_" in word]
