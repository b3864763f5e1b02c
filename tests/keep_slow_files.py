"""`python -m tests.keep_slow_files 60` searches for slow uploads for 60 s, and keeps the slowest in tests/corpus."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from hypothesis import HealthCheck, given, settings, target
from test_crafted_images import SMALL, jpegs, loop_s, pngs, tiffs

from proxy.upload_memory import SMALL_BYTES

KEPT = 8
FOLDER = Path(__file__).parent / "corpus"


def search(seconds):
    """Return the slowest files with their times, no two of about the same length."""
    found = {}
    end = time.monotonic() + seconds

    @settings(max_examples=10**6, suppress_health_check=list(HealthCheck), database=None, deadline=None)
    @given(data=jpegs | pngs | tiffs)
    def look(data):
        if time.monotonic() > end:
            return
        spent_s = loop_s(data)
        target(1000 * spent_s)
        key = (data[:2], len(data) // 4096)
        if spent_s > found.get(key, (0, b""))[0]:
            found[key] = (spent_s, data)

    while time.monotonic() < end:
        look()
    return sorted(found.values(), reverse=True)[:KEPT]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for number, (spent_s, data) in enumerate(search(float(sys.argv[1]))):
        print(f"{1000 * spent_s:.2f} ms, {len(data)} bytes")  # noqa: T201
        (FOLDER / f"searched-{number}.bin").write_bytes(data)
    for name, make in SMALL.items():
        if len(data := make()[:SMALL_BYTES]) <= 2**15:
            (FOLDER / f"{name.replace(' ', '-')}.bin").write_bytes(data)
