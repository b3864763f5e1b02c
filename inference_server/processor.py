"""Whether this processor computes an int8 model as exactly as the one that it was measured on.

Source: ONNX Runtime's documentation of quantization: x86 processors with AVX2 or AVX-512 but without VNNI sum the
products of 8-bit numbers in 16 bits, which overflow and saturate.
"""

import re
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
EXACT = ("avx512_vnni", "avx_vnni")  # Linux's names of the instructions that sum in 32 bits


def advice(repository: Path, cpu_info: Path = CPU_INFO) -> str:
    """Return a warning if an int8 model of this repository may give other masks here, otherwise an empty text."""
    configs = [config.read_text(encoding="utf-8") for config in sorted(repository.glob("*/config.pbtxt"))]
    if not any(re.search(r'key: "model\.precision" value: \{ string_value: "int8" \}', text) for text in configs):
        return ""
    flags = (
        re.search(r"^flags\s*:(.*)$", cpu_info.read_text(encoding="utf-8"), re.MULTILINE) if cpu_info.exists() else None
    )
    if flags is None or set(EXACT) & set(flags[1].split()):  # only x86 processors have `flags`
        return ""
    return (
        "this processor has no VNNI, so its int8 sums saturate and masks may differ from the measured ones: "
        "`dvc exp run -S quantize.serve=fp32` publishes the float32 model"
    )
