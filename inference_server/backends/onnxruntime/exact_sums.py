"""8-bit products summed as exactly on every processor as on the one that an int8 model was measured on.

x86 processors without VNNI sum pairs of them in 16 bits, which saturate. ONNX Runtime can take unsigned weights,
which give the same sums as with VNNI but take as long as float32. It refuses a graph in which convolutions share
a weight: give each its own.
Source: the comment on kOrtSessionOptionsAvx2PrecisionMode in ONNX Runtime's session options.
"""

import re
from pathlib import Path

import onnxruntime

CPU_INFO = Path("/proc/cpuinfo")
VNNI = ("avx512_vnni", "avx_vnni")  # Linux's names of the instructions that sum in 32 bits
OPTION = "session.x64quantprecision"  # with VNNI it would only cost time


def sum_exactly(options: onnxruntime.SessionOptions, cpu_info: Path = CPU_INFO) -> None:
    """Set what a session needs to give the same int8 answers on this processor as on one with VNNI.

    Without VNNI the session has no memory arena.
    """
    text = cpu_info.read_text(encoding="utf-8") if cpu_info.exists() else ""
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)  # only x86 processors have a line of this name
    if flags and not set(VNNI) & set(flags[1].split()):
        options.add_session_config_entry(OPTION, "1")
        options.enable_cpu_mem_arena = False  # convolutions take large buffers then; an arena keeps one for each size
