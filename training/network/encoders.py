"""Is train.encoder one that the segmenter can stand on? Asked without weights, memory or the network."""

import difflib

import timm
import torch
from segmentation_models_pytorch.encoders import encoders

from training.errors import ParamsError
from training.network.segmenter import build_network
from training.params import NetworkParams

TIMM = "tu-"  # smp's prefix for timm's models
SIDE = 64  # pixels: two places at the encoder's last stride


def refuse_unfit_encoder(params: NetworkParams) -> None:
    """Build the network and pass an image through, on torch's device `meta`, which computes shapes alone.

    A few encoders compute their depths with tensors, which `meta` cannot; those are built on the CPU.

    Raises: ParamsError, when the encoder or its weights do not exist, the decoder cannot stand on it, or it has no
    stochastic depth.
    """
    refuse_unknown_encoder(params)
    if params.drop_path and not params.encoder.startswith(TIMM):
        raise ParamsError(
            f"train.drop_path: {params.encoder} has no stochastic depth: set train.drop_path to 0, or take an "
            f"encoder of timm, whose name begins with {TIMM}"
        )
    try:
        found = _mask_size(params, "meta") or _mask_size(params, "cpu")
    except (RuntimeError, TypeError, ValueError, AttributeError, AssertionError, LookupError) as error:
        raise ParamsError(
            f"train.encoder: a U-Net cannot be built on {params.encoder} ({error}): take a convolutional encoder with "
            f"features at the strides 2, 4, 8, 16 and 32{_or_without_depth(error)}"
        ) from None
    if found != (SIDE, SIDE):
        raise ParamsError(
            f"train.encoder: with {params.encoder} an image of {SIDE} x {SIDE} pixels gets a mask of the size {found}: "
            "take an encoder with features at the strides 2, 4, 8, 16 and 32"
        )


def _or_without_depth(error: Exception) -> str:
    return ", or set train.drop_path to 0" if "drop_path_rate" in str(error) else ""


def _mask_size(params: NetworkParams, device: str) -> tuple[int, ...]:
    """Return height and width of a square image's mask; nothing where `meta` cannot tell."""
    try:
        with torch.device(device):
            return tuple(build_network(params, pretrained=False)(torch.zeros(2, 1, SIDE, SIDE)).shape[-2:])
    except RuntimeError as error:
        if device == "meta" and "meta tensors" in str(error):
            return ()
        raise


def refuse_unknown_encoder(params: NetworkParams) -> None:
    """Check that there are an encoder and weights of these names.

    Raises: ParamsError, with names that look alike.
    """
    name = params.encoder.removeprefix(TIMM)
    known = timm.is_model(name) if name != params.encoder else name in encoders
    if not known:
        raise ParamsError(
            f"train.encoder: there is no encoder {params.encoder!r}{_suggestion(params.encoder)}. Use a name of "
            f"segmentation-models-pytorch, or {TIMM} followed by a name of timm.list_models()"
        )
    if params.encoder_weights and not _has_weights(params, name):
        raise ParamsError(
            f"train.encoder_weights: there are no {params.encoder_weights} weights of {params.encoder}: take another "
            "encoder, or null"
        )


def _suggestion(encoder: str) -> str:
    """Return the known names that look most alike, as a question."""
    known = [*encoders, *(f"{TIMM}{name}" for name in timm.list_models())]
    alike = difflib.get_close_matches(encoder, known, n=3)
    return f"; did you mean {' or '.join(alike)}?" if alike else ""


def _has_weights(params: NetworkParams, name: str) -> bool:
    if name != params.encoder:
        return bool(timm.is_model_pretrained(name))
    return params.encoder_weights in encoders[name]["pretrained_settings"]
