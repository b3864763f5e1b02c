"""Where training computes, and how precisely: bfloat16 where the hardware has it, float32 elsewhere."""

import contextlib

import torch


def pick_device() -> torch.device:
    """Return the GPU when there is one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return automatic mixed precision for the device; on one without fast bfloat16 it does nothing."""
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bfloat16()
    return torch.autocast(device.type, torch.bfloat16) if fast else contextlib.nullcontext()


def _cpu_has_bfloat16() -> bool:
    return bool(torch.cpu.get_capabilities().get("avx512_bf16")) or bool(torch.cpu.get_capabilities().get("amx_bf16"))
