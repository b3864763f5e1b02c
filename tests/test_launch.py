"""`python -m launch` serves with Triton and the proxy, and ends with both; the demonstration draws the samples."""

import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Service, answers, command_name, descendants, runs, wait_until
from other_users import closed, not_root, open_folder
from PIL import Image

from host.environment import help_text, rows
from host.ports import free_port
from inference_server import launcher
from inference_server.child import child, first_of
from inference_server.errors import OutOfMemoryError, PortInUseError, SettingError, StartError, StopAskedError
from inference_server.settings import Settings as TritonSettings
from launch import demo
from launch.demo import AnalysedSample, analyse, show, table
from launch.samples import SampleError, find_samples
from launch.settings import Settings, _Grace, triton_beside
from launch.together import Proxy, _running_proxy, _wait_until_answered
from proxy.settings import Settings as ProxySettings
from tiles.pictures import FOUND, SHEET_CELL, SHEET_COLUMNS, TRUTH, overlay, overview, side_by_side

MODELS = os.environ.get("MODEL_REPOSITORY", str(ROOT / "model_repository"))
SIZES = {"MT_Blowhole": (40, 30), "MT_Free": (33, 64)}  # width and height of the samples below


def ports() -> dict[str, str]:
    return {name: str(free_port()) for name in ("PORT", "TRITON_HTTP_PORT", "TRITON_METRICS_PORT")}


@pytest.fixture
def start_launch(start_service: Callable[..., Service]) -> Callable[..., tuple[Service, str]]:
    """start_launch(NAME="value") → the service, ready, and the address of its proxy."""

    def start(**env: str) -> tuple[Service, str]:
        numbers = ports()
        service = start_service("launch", MODEL_REPOSITORY=MODELS, **numbers, **env)
        wait_until(lambda: "Ctrl-C ends it" in service.said, service)
        return service, f"http://127.0.0.1:{numbers['PORT']}"

    return start


def proxy_of(service: Service) -> int:
    (proxy,) = (pid for pid in descendants(service.pid) if b"proxy" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return proxy


def tritonserver_of(service: Service) -> int:
    (server,) = (pid for pid in descendants(service.pid) if command_name(pid) == "tritonserver")
    return server


def write_samples(folder: Path) -> Path:
    for name, size in SIZES.items():
        images = folder / name / "Imgs"
        images.mkdir(parents=True)
        Image.new("L", size, 90).save(images / "one.jpg")
        Image.new("L", size, 0).save(images / "one.png")
    return folder


# ── serving ──


def analyze(url: str, width: int, height: int) -> np.ndarray:
    image = io.BytesIO()
    Image.new("L", (width, height), 90).save(image, "PNG")
    headers = {"Content-Type": "image/png", "Accept": "application/json"}
    request = urllib.request.Request(f"{url}/analyze", image.getvalue(), headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return np.array(json.load(response)["pred"])


def has_a_batch_at_triton(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
        return "proxy_batches_in_flight 1.0" in response.read().decode()


def test_a_stop_signal_ends_both_with_status_0_after_the_requests_under_way_are_answered(
    start_launch: Callable[..., tuple[Service, str]],
) -> None:
    service, url = start_launch()
    processes = descendants(service.pid)

    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(analyze, url, 900, 800)
        wait_until(lambda: has_a_batch_at_triton(url), service)
        status = service.stop(signal.SIGINT)

    assert (800, 900) == under_way.result().shape
    assert 0 == status, service.said
    assert [] == [pid for pid in processes if runs(pid)]


@pytest.mark.parametrize(
    ("killed", "name", "said"),
    [
        (proxy_of, "the proxy", "the proxy ended by itself"),
        (tritonserver_of, "Triton", "Triton, or one of its instances, ended by itself"),
    ],
)
def test_what_dies_is_started_again_while_the_other_serves_on(
    start_launch: Callable[..., tuple[Service, str]], killed: Callable[[Service], int], name: str, said: str
) -> None:
    """Pass figure: an image is answered again within 10 s."""
    service, url = start_launch()
    other = next(pid for pid in (proxy_of(service), tritonserver_of(service)) if pid != killed(service))

    os.kill(killed(service), signal.SIGKILL)
    wait_until(lambda: f"{name} is ready again" in service.said, service, timeout_s=10)
    wait_until(lambda: answers(f"{url}/health/ready"), service, timeout_s=10)

    assert (40, 50) == analyze(url, 50, 40).shape
    assert runs(other)
    assert f"launch: {said}; the reason is in the output above; starting {name} again" in service.said


@pytest.mark.parametrize("killed", [proxy_of, tritonserver_of])
def test_where_nothing_is_started_again_the_death_of_one_ends_the_other(
    start_launch: Callable[..., tuple[Service, str]], killed: Callable[[Service], int]
) -> None:
    service, _ = start_launch(RESTARTS="0")
    processes = descendants(service.pid)

    os.kill(killed(service), signal.SIGKILL)

    assert 1 == service.process.wait(40)
    assert "It is not started again: that was end number 1 in a row (RESTARTS)" in service.said
    assert [] == [pid for pid in processes if runs(pid)]


def test_of_kept_open_connections_none_loses_a_request_when_it_is_stopped(
    start_launch: Callable[..., tuple[Service, str]],
) -> None:
    """Pass figure: 16 clients in a loop, 0 requests without an answer, each told by `Connection: close`, in 23 s."""
    service, url = start_launch()
    image = io.BytesIO()
    Image.new("L", (64, 64), 90).save(image, "PNG")
    begun = threading.Barrier(17)

    def ask_until_told_to_close() -> list[int]:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        statuses = []
        while True:
            connection.request("POST", "/analyze", image.getvalue(), {"Content-Type": "image/png"})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
            if len(statuses) == 1:
                begun.wait(60)
            if answer.headers["Connection"] == "close":
                connection.close()
                return statuses

    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask_until_told_to_close) for _ in range(16)]
        begun.wait(60)
        began_s = time.monotonic()
        status = service.stop()
        answered = [each.result() for each in asked]

    assert 0 == status, service.said
    assert {200} == {each for statuses in answered for each in statuses}
    assert time.monotonic() - began_s < 23


def test_idle_connections_keep_a_stopped_proxy_for_3_s_at_most(
    start_launch: Callable[..., tuple[Service, str]],
) -> None:
    service, url = start_launch()
    idle = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    idle.request("GET", "/health/live")
    idle.getresponse().read()
    proxy, began_s = proxy_of(service), time.monotonic()

    service.process.terminate()
    wait_until(lambda: not runs(proxy), timeout_s=4)

    assert time.monotonic() - began_s > 2, "it had its chance"
    assert 0 == service.process.wait(40)
    idle.close()


@pytest.mark.parametrize(
    ("host", "triton_host", "shown"),
    [("::1", "::1", "[::1]"), ("::", "127.0.0.1", "[::1]"), ("localhost", "localhost", None)],
)
def test_it_serves_at_addresses_of_ip_version_6_and_at_names(
    start_launch: Callable[..., tuple[Service, str]], host: str, triton_host: str, shown: str | None
) -> None:
    service, url = start_launch(HOST=host, TRITON_HOST=triton_host)
    (told,) = re.findall(r"open (http://\S+) in a browser", service.said)

    assert shown is None or told == url.replace("127.0.0.1", shown)
    assert (40, 50) == analyze(told, 50, 40).shape


@pytest.mark.parametrize("variable", ["HOST", "TRITON_HOST"])
def test_a_name_that_nobody_knows_is_refused_at_once(start_service: Callable[..., Service], variable: str) -> None:
    """Pass figure: status 2 within 10 s, of which a resolver gets 2 s."""
    service = start_service("launch", MODEL_REPOSITORY=MODELS, **ports(), **{variable: "nobody.invalid"})

    assert 2 == service.process.wait(10)
    assert f"{variable} is 'nobody.invalid', which no address is known for (" in service.said
    assert 1 == service.said.count("launch: ") + service.said.count("inference_server: ") - (variable != "HOST")


@pytest.mark.parametrize(
    "environment", [{"SHUTDOWN_GRACE_S": "30"}, {"SHUTDOWN_GRACE_S": "31.5"}, {"PROXY_STOP_S": "20"}]
)
def test_a_grace_that_the_kill_would_cut_short_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SettingError, match="give PROXY_STOP_S more"):
        Settings.from_environment(environment)


def test_the_proxys_grace_is_declared_as_in_the_proxy() -> None:
    (ours,), (theirs,) = (
        [row for row in rows(each) if row.name == "SHUTDOWN_GRACE_S"] for each in (_Grace, ProxySettings)
    )

    assert (theirs.default, theirs.allowed) == (ours.default, ours.allowed)


def test_a_folder_for_metrics_of_several_processes_is_not_used(
    start_launch: Callable[..., tuple[Service, str]], tmp_path: Path
) -> None:
    _, url = start_launch(PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "missing"), prometheus_multiproc_dir=str(tmp_path))

    assert answers(f"{url}/metrics")
    assert [] == list(tmp_path.iterdir())


def test_a_misspelled_variable_is_told_with_the_name_that_is_nearest(start_service: Callable[..., Service]) -> None:
    service = start_service("launch", MODEL_REPOSITORY="/nowhere", MODEL_INSTANCE="3", **ports())

    assert 5 == service.process.wait(20)
    assert "launch: MODEL_INSTANCE is not read by anything here: did you mean MODEL_INSTANCES?\n" in service.said


def test_a_port_in_use_is_told_before_triton_starts(start_service: Callable[..., Service]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        service = start_service("launch", MODEL_REPOSITORY=MODELS, **(ports() | {"PORT": port}))

        assert 4 == service.process.wait(30)
    expected = f"launch: cannot listen on 127.0.0.1:{port} (Address already in use): set PORT to a free port\n"
    assert expected == service.said


def test_an_address_of_another_machine_is_told_by_its_variable(start_service: Callable[..., Service]) -> None:
    service = start_service("launch", MODEL_REPOSITORY=MODELS, **(ports() | {"HOST": "192.0.2.1"}))

    assert 4 == service.process.wait(30)
    assert "(Cannot assign requested address): set HOST to an address of this machine\n" in service.said


@pytest.mark.parametrize(
    ("port", "tritons"), [(8080, ("8000", "8002")), (8000, ("9000", "8002")), (8002, ("8000", "9002"))]
)
def test_a_default_port_of_tritons_steps_aside_for_the_proxys(port: int, tritons: tuple[str, str]) -> None:
    settings = triton_beside(port, {})

    assert tritons == (str(settings.http_port), str(settings.metrics_port))


@pytest.mark.parametrize("variable", ["TRITON_HTTP_PORT", "TRITON_METRICS_PORT"])
def test_a_port_that_is_set_twice_is_refused(variable: str) -> None:
    with pytest.raises(SettingError, match=f"PORT and {variable} are both 8000"):
        triton_beside(8000, {variable: "8000"})


def test_a_proxy_that_refuses_to_start_takes_triton_along(start_service: Callable[..., Service]) -> None:
    service = start_service("launch", MODEL_REPOSITORY=MODELS, MAX_PIXELS="many", **ports())

    assert 6 == service.process.wait(60)
    assert "MAX_PIXELS" in service.said
    assert "launch: the proxy ended while it started" in service.said


def test_a_proxy_that_is_not_ready_in_time_is_told_with_the_variable_to_raise() -> None:
    with (
        nobody_asks_to_stop() as stop,
        child(["sleep", "600"], grace_s=5) as process,
        pytest.raises(StartError, match=r"the proxy was not ready after 0\.1 s.*PROXY_START_S"),
    ):
        _wait_until_answered(Proxy(process, 0), f"127.0.0.1:{free_port()}", "/health/ready", 0.1, stop)


@contextmanager
def nobody_asks_to_stop() -> Iterator[socket.socket]:
    stop, other_end = socket.socketpair()
    with stop, other_end:
        yield stop


class Ready(BaseHTTPRequestHandler):
    """Answers 200 to everything, as another proxy at the port would."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()


def test_another_server_that_took_the_port_meanwhile_is_not_taken_for_the_proxy() -> None:
    with nobody_asks_to_stop() as stop, ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        settings = Settings(port=server.server_port)
        environment = os.environ | {"HOST": settings.host, "PORT": str(settings.port)}
        try:
            with (
                pytest.raises(PortInUseError, match="set PORT to a free port"),
                _running_proxy(settings, environment, "/health/live", stop),
            ):
                pass
        finally:
            server.shutdown()
            thread.join()


def test_a_proxy_ended_for_want_of_memory_only_if_it_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "memory_kills", lambda: 1)  # the kernel has killed one of Triton's

    with child(["false"], grace_s=5) as process:
        assert first_of([process], timeout_s=10) is process
        assert "the proxy ended by itself" in str(Proxy(process, 0).why_ended())
    with child(["sleep", "600"], grace_s=5) as process:
        process.kill()
        assert first_of([process], timeout_s=10) is process
        with pytest.raises(OutOfMemoryError):
            Proxy(process, 0).why_ended()


@pytest.mark.parametrize("module", ["inference_server", "launch"])
def test_help_lists_every_variable_and_any_other_argument_is_refused(module: str) -> None:
    asked = [
        subprocess.run([sys.executable, "-m", module, word], cwd=ROOT, capture_output=True, text=True, check=False)
        for word in ("--help", "--port=8080")
    ]

    assert [0, 2] == [run.returncode for run in asked]
    settings = [TritonSettings] if module == "inference_server" else [Settings, TritonSettings]
    for run in asked:
        assert all(help_text(each) in run.stdout for each in settings)


# ── the demonstration ──


def test_the_demonstration_draws_every_sample_and_leaves_no_process(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    samples, pictures = write_samples(tmp_path / "samples"), tmp_path / "pictures"
    words = ["launch.demo", "--once", "--samples", str(samples), "--pictures", str(pictures)]

    service = start_service(*words, MODEL_REPOSITORY=MODELS, **ports())
    processes: set[int] = set()
    wait_until(lambda: bool(processes.update(descendants(service.pid))) or service.process.poll() is not None)

    assert 0 == service.process.returncode, service.said
    assert ["MT_Blowhole_one.png", "MT_Free_one.png", "overview.png"] == sorted(p.name for p in pictures.iterdir())
    assert "true type" in service.said
    assert [] == [pid for pid in processes if runs(pid)]


def test_a_folder_without_samples_is_told_before_anything_starts(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = start_service("launch.demo", "--once", "--samples", str(tmp_path), **ports())

    assert 1 == service.process.wait(30)
    assert f"launch: {tmp_path} has no MT_<Type>/Imgs/<stem>.jpg" in service.said


def test_samples_are_found_in_the_published_layout(tmp_path: Path) -> None:
    samples = write_samples(tmp_path)

    assert [samples / "MT_Blowhole/Imgs/one.jpg", samples / "MT_Free/Imgs/one.jpg"] == find_samples(samples)


def test_a_sample_without_its_mask_is_named(tmp_path: Path) -> None:
    mask = write_samples(tmp_path) / "MT_Free/Imgs/one.png"
    mask.unlink()

    with pytest.raises(SampleError, match=r"MT_Free/Imgs/one\.jpg has no mask one\.png beside it"):
        find_samples(mask.parents[2])


def test_a_sample_that_is_no_image_is_named(tmp_path: Path) -> None:
    sample = write_samples(tmp_path) / "MT_Free/Imgs/one.jpg"
    sample.write_bytes(b"no image")

    with pytest.raises(SampleError, match=r"MT_Free/Imgs/one\.jpg or its mask cannot be read: the file is not"):
        analyse(sample, "http://127.0.0.1:9")


class Busy(BaseHTTPRequestHandler):
    """Refuses the first request, as the proxy does when the images before it would take too long."""

    refusals = 1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status = 503 if self.refusals else 200
        type(self).refusals = max(0, self.refusals - 1)
        body = json.dumps({"type": None, "score": 0.1, "verdict": "ok", "pred": [[0]]}).encode()
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize("refusals", [1, 1000])
def test_a_sample_that_a_busy_service_refuses_is_sent_again_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    sample = write_samples(tmp_path) / "MT_Free/Imgs/one.jpg"
    monkeypatch.setattr(Busy, "refusals", refusals)
    monkeypatch.setattr(demo, "TIMEOUT_S", 5 if refusals == 1 else 0.5)
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            if refusals == 1:
                assert 0.1 == analyse(sample, url).score
            else:
                with pytest.raises(SampleError, match=r"one\.jpg: POST .* answered 503: "):
                    analyse(sample, url)
        finally:
            server.shutdown()


def test_samples_that_this_user_cannot_open_are_named() -> None:
    with open_folder() as folder:
        images = write_samples(folder / "samples") / "MT_Free/Imgs"
        with closed(images, 0o444), not_root():  # it may be listed, but nothing in it opened
            samples = find_samples(folder / "samples")
            with pytest.raises(SampleError, match=r"MT_Free/Imgs/one\.jpg or its mask cannot be read: .*Permission"):
                analyse(samples[-1], "http://127.0.0.1:9")


def test_a_folder_that_pictures_cannot_be_written_to_is_told_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    expected = r"file/pictures cannot be written to \(Not a directory\): free some space, or name another .* --pictures"

    with nobody_asks_to_stop() as stop, pytest.raises(SampleError, match=expected):
        show(find_samples(write_samples(tmp_path)), "http://127.0.0.1:9", tmp_path / "file/pictures", stop)


def test_a_picture_that_cannot_be_written_is_told_with_the_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pictures/MT_Crack_a.png").mkdir(parents=True)
    tile, empty = np.full((4, 4), 100, np.uint8), np.zeros((4, 4), bool)
    monkeypatch.setattr(
        demo, "analyse", lambda *_: AnalysedSample("MT_Crack_a", "Crack", None, 0.5, tile, empty, empty)
    )

    with nobody_asks_to_stop() as stop, pytest.raises(SampleError, match=r"pictures cannot be written to \(Is a"):
        show(find_samples(write_samples(tmp_path)), "http://127.0.0.1:9", tmp_path / "pictures", stop)


def test_once_a_stop_is_asked_for_no_further_sample_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sent: list[Path] = []
    monkeypatch.setattr(demo, "analyse", lambda sample, _: sent.append(sample))
    asked, ask = socket.socketpair()
    ask.close()

    with asked, pytest.raises(StopAskedError):
        show(find_samples(write_samples(tmp_path)), "http://127.0.0.1:9", tmp_path / "pictures", asked)
    assert [] == sent


def analysis(truth: np.ndarray, found: np.ndarray) -> AnalysedSample:
    tile = np.full(truth.shape, 100, np.uint8)
    return AnalysedSample("MT_Crack_a", "Crack", "Crack" if found.any() else None, 0.5, tile, truth, found)


def test_dice_counts_what_both_masks_share_and_is_1_where_both_are_empty() -> None:
    upper, left, empty = np.zeros((3, 4, 4), bool)
    upper[:2], left[:, :2] = True, True

    scores = [analysis(*masks).dice for masks in ((upper, upper), (upper, left), (upper, empty), (empty, empty))]

    assert [1.0, 0.5, 0.0, 1.0] == scores


def test_the_table_has_a_line_for_each_image() -> None:
    empty = np.zeros((4, 4), bool)

    assert table([analysis(empty, empty)]).splitlines() == [
        "file        true type found type   Dice",
        "MT_Crack_a  Crack     -            1.00",
    ]
    for_review = replace(analysis(empty, empty), for_review=True)
    assert "MT_Crack_a  Crack     review       1.00" == table([for_review]).splitlines()[1]


# ── pictures ──


def test_an_overlay_colours_the_mask_and_nothing_else() -> None:
    tile, mask = np.full((4, 6), 100, np.uint8), np.zeros((4, 6), bool)
    mask[1, 2] = True

    drawn = np.asarray(overlay(tile, mask, FOUND))

    assert np.array_equal(mask, (drawn != 100).any(axis=2))
    assert drawn[1, 2, 0] > drawn[1, 2, 2], "orange has more red than blue"


@pytest.mark.parametrize("width", [8, 103, 632])
def test_a_picture_shows_truth_and_prediction_whole_and_in_their_own_colours(width: int) -> None:
    tile, everywhere = np.full((20, width), 77, np.uint8), np.ones((20, width), bool)
    captions = ["a", "b", "a caption longer than a narrow tile"]

    drawn = np.asarray(side_by_side(tile, everywhere, everywhere, captions)).reshape(-1, 3).tolist()

    for colour in (TRUTH, FOUND):
        laid_over = np.asarray(overlay(tile, everywhere, colour))[0, 0].tolist()
        assert tile.size == drawn.count(laid_over)


def test_the_overview_has_room_for_every_picture() -> None:
    pictures = [Image.new("RGB", (2000, 500), (9, 9, 9)) for _ in range(SHEET_COLUMNS + 1)]

    sheet = np.asarray(overview(pictures))

    assert SHEET_COLUMNS * SHEET_CELL[0] == sheet.shape[1]
    whole = (SHEET_CELL[0] - 8) * round(500 * (SHEET_CELL[0] - 8) / 2000)
    assert len(pictures) * whole == int((sheet == 9).all(axis=2).sum())
