"""Each limit of the machine that serving needs is checked before the start, and named with its remedy."""

import errno
import io
import os
import resource
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, wait_until
from doubler import write_model
from other_users import closed, not_root, open_folder
from PIL import Image

from host.memory import MIB, SHARED_MEMORY
from host.ports import free_port
from inference_server import limits, places
from inference_server.errors import LimitError
from inference_server.limits import refuse_limits, threads_allowed, warnings
from inference_server.places import choose_place, why_not
from inference_server.settings import SHARED_BYTES, Settings

READY = "Ctrl-C ends it"


def confined(python: Path, before: str, repository: Path, **env: str) -> tuple[int, str]:
    """Start Triton after shell commands in a mount namespace of its own; stop it once it is ready. Status and words."""
    ports = {"TRITON_HTTP_PORT": str(free_port()), "TRITON_METRICS_PORT": str(free_port())}
    log = repository.parent / "log"
    script = f"""
        {before}
        "{python}" -m inference_server > {log} 2>&1 & server=$!
        while kill -0 $server 2>/dev/null && ! grep -q "{READY}" {log}; do sleep 0.1; done
        kill $server 2>/dev/null
        wait $server
    """
    words = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script]
    ended = subprocess.run(
        words,
        cwd=ROOT,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "MODEL_REPOSITORY": str(repository), **ports, **env},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr + log.read_text()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return write_model(tmp_path / "models")


# ── one that is too small is refused ──


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("ulimit -n 300", "300 open files are allowed, of the 512 needed: raise the limit (`ulimit -n`"),
        ("ulimit -S -f 20480", "files of at most 20 MiB are allowed: raise the limit (`ulimit -f unlimited`)"),
        ("ulimit -f 20480", "files of at most 20 MiB are allowed: raise the limit (`ulimit -f unlimited`)"),
        (
            "mount -t tmpfs -o size=1m tmpfs /dev/shm",
            f"{SHARED_MEMORY} has 1 MiB free, of the 2 MiB needed: start the container with `--shm-size=64m`",
        ),
        ("mount -t tmpfs -o ro tmpfs /dev/shm", f"{SHARED_MEMORY} cannot be written to: mount a tmpfs there"),
    ],
)  # fmt: skip
def test_a_limit_that_is_too_small_is_refused_with_its_remedy(
    serving_python: Path, models: Path, before: str, words: str
) -> None:
    status, said = confined(serving_python, before, models, MODEL_INSTANCES="1")

    assert 8 == status, said
    assert words in said.splitlines()[-1]


def test_too_few_threads_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "threads_allowed", lambda: 100)

    with pytest.raises(LimitError, match=r"100 more threads are allowed, of the 124 needed: .*--pids-limit"):
        refuse_limits(Settings(model_instances=1, model_threads=1))


def test_the_threads_that_a_container_allows_are_those_that_are_left(tmp_path: Path) -> None:
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup/pids.max").write_text("64\n")
    (tmp_path / "cgroup/pids.current").write_text("10\n")
    (tmp_path / "self").write_text("0::/\n")

    assert 54 == threads_allowed(tmp_path / "self", tmp_path / "cgroup")


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one(
    start_triton: Callable[..., object], models: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1000), hard))
    try:
        triton = start_triton(models)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    (line,) = (
        line
        for line in Path(f"/proc/{triton.pid}/limits").read_text().splitlines()
        if line.startswith("Max open files")
    )
    assert min(hard, 2**20) == int(line.split()[3])


# ── shared memory ──


@pytest.mark.parametrize(("mebibytes", "instances"), [(1, 1), (64, 2), (70, 2), (256, 8), (4096, 8)])
def test_there_are_no_more_instances_than_shared_memory_bears(
    monkeypatch: pytest.MonkeyPatch, mebibytes: int, instances: int
) -> None:
    monkeypatch.setattr("inference_server.settings.usable_cores", lambda: 8)
    monkeypatch.setattr("inference_server.settings.memory_limit_bytes", lambda: 2**34)
    monkeypatch.setattr("inference_server.settings.shared_memory_bytes", lambda: mebibytes * MIB)
    monkeypatch.setattr(limits, "shared_memory_bytes", lambda: mebibytes * MIB)

    settings = Settings()
    told = [line for line in warnings(settings) if "--shm-size=256m" in line]

    assert instances == settings.instances
    assert (mebibytes < 256) == bool(told)
    assert all(f"so {instances} instance" in line and "of 8 start, and large images may fail" in line for line in told)
    assert SHARED_BYTES == 32 * MIB


def test_a_number_of_instances_that_is_asked_for_is_not_told_as_a_lower_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "shared_memory_bytes", lambda: 64 * MIB)

    (told,) = (line for line in warnings(Settings(model_instances=8)) if "--shm-size=256m" in line)

    assert "has 64 MiB free, too little for 8 instances, so large images may fail: " in told


def test_short_memory_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "memory_limit_bytes", lambda: 300 * MIB)

    (told,) = warnings(Settings(model_instances=1))

    assert told.startswith("memory is short: 300 MiB, of the 448 MiB that 1 instance may take: give it more, or set ")


# ── the temporary folder ──


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("it's", ""),
        ("noexec", "mount -t tmpfs -o noexec tmpfs {folder}"),
        ("full", "mount -t tmpfs -o size=1m tmpfs {folder}"),
        ("read-only", "mount -t tmpfs -o ro tmpfs {folder}"),
        ("missing/folder", ""),
    ],
)
def test_a_temporary_folder_in_which_triton_cannot_run_is_replaced_by_one_in_which_it_can(
    serving_python: Path, models: Path, tmp_path: Path, name: str, before: str
) -> None:
    """Pass figure: it starts, in the time that it needs elsewhere."""
    folder = tmp_path / name
    if "/" not in name:
        folder.mkdir()

    status, said = confined(serving_python, before.format(folder=folder), models, TMPDIR=str(folder))

    assert (0, True) == (status, READY in said), said
    assert not folder.exists() or [] == list(folder.iterdir())


def test_where_no_folder_does_each_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blank = tmp_path / "a blank"
    blank.mkdir()
    monkeypatch.setattr(places, "_candidates", lambda: [blank, tmp_path / "missing", tmp_path])

    with pytest.raises(LimitError) as refusal:
        choose_place(2**60)

    told = str(refusal.value)
    assert f"{blank} has a blank or another special letter in its path" in told
    assert f"{tmp_path / 'missing'} is no folder" in told
    assert f"{tmp_path} has " in told
    assert told.endswith("set TMPDIR to one that can")


def test_a_folder_that_this_user_cannot_reach_does_not_do_and_the_reason_is_told() -> None:
    with open_folder() as folder:
        (folder / "above/place").mkdir(parents=True)
        with closed(folder / "above"), not_root():
            assert "cannot be used (Permission denied)" == why_not(folder / "above/place", MIB)


def test_a_folder_whose_server_is_away_does_not_do_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def statvfs(_: Path) -> os.statvfs_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "statvfs", statvfs)

    assert "cannot be used (Stale file handle)" == why_not(tmp_path, MIB)


@pytest.mark.parametrize("name", ["with a blank", "mit-ä", "it's"])
def test_a_folder_whose_path_a_shell_would_misread_does_not_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert "has a blank or another special letter in its path" == why_not(tmp_path / name, MIB)


def test_a_folder_with_room_does(tmp_path: Path) -> None:
    assert "" == why_not(tmp_path, MIB)


@pytest.mark.faults
def test_with_dockers_64_mib_of_shared_memory_no_request_fails(serving_python: Path, tmp_path: Path) -> None:
    """Pass figure: 0 of 240 images fail, a sixth of them of 4 megapixels, from 8 clients."""
    port = free_port()
    ports = {"PORT": port, "TRITON_HTTP_PORT": free_port(), "TRITON_METRICS_PORT": free_port()}
    environment = {"PATH": "/usr/bin:/bin", **{name: str(number) for name, number in ports.items()}}
    environment["MAX_WAIT_S"] = "60"  # none is refused because the service is busy
    confine = f'mount -t tmpfs -o size=64m tmpfs {SHARED_MEMORY} && exec "$0" -m launch'
    words = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", confine, str(serving_python)]
    images = [encoded(2048, 2048), *[encoded(640, 384), encoded(160, 320)] * 2, encoded(1024, 1024)]

    def ask(number: int) -> int:
        headers = {"Content-Type": "image/png", "Accept": "image/png"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/analyze", images[number % len(images)], headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    log = tmp_path / "log"
    with log.open("w") as said, subprocess.Popen(words, cwd=ROOT, env=environment, stderr=said, stdout=said) as service:
        wait_until(lambda: READY in log.read_text(), timeout_s=60)
        with ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(ask, range(240)))
        service.terminate()

    assert {200: 240} == statuses, log.read_text()


def encoded(width: int, height: int) -> bytes:
    data = io.BytesIO()
    Image.new("L", (width, height), 90).save(data, "PNG")
    return data.getvalue()
