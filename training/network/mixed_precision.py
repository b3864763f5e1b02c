"""The device that training uses, and the precision: bfloat16 if the hardware has it, float32 otherwise."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn


def pick_device() -> torch.device:
    """Return the GPU when there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return automatic mixed precision for the device; on one without fast bfloat16 it does nothing."""
    return torch.autocast(device.type, torch.bfloat16) if has_bfloat16(device) else contextlib.nullcontext()


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device computes fast in bfloat16."""
    return _gpu_has_bfloat16() if device.type == "cuda" else _cpu_has_bfloat16()


@contextlib.contextmanager
def whole_float32() -> Iterator[None]:
    """Compute float32 convolutions in float32: by default a GPU rounds their inputs to TF32's 10 bits."""
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = convolutions.fp32_precision
    convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision = before


def keep_depthwise_in_float32(network: nn.Module) -> None:
    """Exclude depthwise convolutions from automatic mixed precision, in place; their outputs keep the inputs' type.

    On a CPU the backward pass of a 5 × 5 or strided one takes 2.5 to 5 times as long in bfloat16 as in float32, which
    doubles the time of a training step.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.forward = partial(_in_float32, module.forward)  # type: ignore[method-assign]


def _in_float32(forward: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    with torch.autocast(image.device.type, enabled=False):
        return forward(image.float()).to(image.dtype)


def _gpu_has_bfloat16() -> bool:
    # a T4 emulates it, and cuDNN has no convolutions of it there
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _cpu_has_bfloat16() -> bool:
    return bool(torch.cpu.get_capabilities().get("avx512_bf16")) or bool(torch.cpu.get_capabilities().get("amx_bf16"))
