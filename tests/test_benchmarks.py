"""The benchmarks read their tools' output correctly, and docs/performance.md holds the records' figures alone."""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from benchmarks import analyze, inference, load, record, report
from benchmarks.answers import differing_pixels
from benchmarks.errors import LoadError, ToolMissingError
from benchmarks.load import SCRIPT, closed_loop, fixed_work, open_loop, read_summary
from benchmarks.peers.__main__ import summary
from benchmarks.peers.contenders import Contender, Result
from benchmarks.peers.rounds import Choice
from benchmarks.perf_analyzer import perf_analyzer, read_table
from benchmarks.processes import cpu_s, memory_mib, memory_mib_by_role
from benchmarks.replicas import FEWEST, TARGET_UTILISATION, core_seconds, replicas
from benchmarks.samples import canvases_by_size, files_of_one_canvas_size, image_files, kserve_bodies, photographs
from benchmarks.servers import repository
from benchmarks.tools import run_tool
from proxy.app import CPU_BATCH_PIXELS

# Captured from k6 1.1.0, an open loop of 3 s that was partly refused; shortened to what is read.
SUMMARY = {
    "http_reqs": {"type": "counter", "contains": "default", "values": {"count": 481, "rate": 39.438}},
    "in_time": {"type": "counter", "contains": "default", "values": {"count": 97, "rate": 7.953}},
    "answered_ms": {
        "type": "trend",
        "contains": "time",
        "values": {
            "p(95)": 100.8907366,
            "p(99)": 103.73753968,
            "max": 104.26606,
            "count": 97,
            "avg": 76.7370398556701,
            "min": 35.940094,
            "p(50)": 79.508404,
        },
    },
    "refused_ms": {
        "type": "trend",
        "contains": "time",
        "values": {
            "count": 82,
            "avg": 3.5114024634146364,
            "min": 1.028895,
            "p(50)": 2.3534075,
            "p(95)": 7.90132695,
            "p(99)": 12.737989929999964,
            "max": 25.798063,
        },
    },
    "stage_infer_ms": {
        "type": "trend",
        "contains": "time",
        "values": {
            "count": 97,
            "avg": 31.926597938144337,
            "min": 29.61,
            "p(50)": 31.1,
            "p(95)": 35.54,
            "p(99)": 38.852,
            "max": 39.86,
        },
    },
}
# Captured from perf_analyzer 2.60.0.
TABLE = """\
Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,Server Compute Input,\
Server Compute Infer,Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency
2,49.0913,146,385,104,26,39300,177,154,40597,46471,48320,69422

"""


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty folder of results."""
    folder = tmp_path / "results"
    monkeypatch.setattr(record, "RESULTS", folder)
    return folder


def test_a_record_names_command_commit_and_machine(results, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks/speed.py", "--seconds", "5"])
    path = record.write_record("speed", figures={"images_s": 17.5}, settings={"seconds": 3})
    found = json.loads(path.read_text())

    assert results / "speed.json" == path
    assert [path] == list(results.iterdir())
    command = "make bench-speed ARGS='--seconds 5'"
    assert ("speed", command, {"images_s": 17.5}, {"seconds": 3}) == tuple(
        found[key] for key in ("name", "command", "figures", "settings")
    )
    assert {"commit", "dirty", "date", "machine", "packages"} < found.keys()
    assert {"cpu", "usable_cores", "memory_mib", "kernel", "python"} == found["machine"].keys()
    assert np.__version__ in {versions.get("numpy") for versions in found["packages"].values()}
    assert found == record.read_record("speed")


def test_a_record_tells_the_versions_of_the_serving_environment_that_was_chosen(tmp_path, monkeypatch) -> None:
    installed = tmp_path / "chosen/lib/python3.12/site-packages/aiohttp-1.2.3.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: aiohttp\nVersion: 1.2.3\n")
    monkeypatch.setenv("SERVING_PYTHON", str(tmp_path / "chosen/bin/python"))
    packages = record.make_record("speed", "make bench-speed", {})["packages"]

    assert {"aiohttp": "1.2.3"} == packages["chosen"]
    assert ".venv-serving" not in packages


@pytest.mark.usefixtures("results")
def test_a_benchmark_that_was_not_run_has_no_record() -> None:
    assert record.read_record("speed") is None


def test_k6s_summary_is_read() -> None:
    load = read_summary(SUMMARY, seconds=3)

    assert (97, 82, 0) == (load.answered, load.refused, load.failed)
    assert 32.333 == load.answered_s
    assert {"p50": 79.51, "p95": 100.89, "p99": 103.74, "mean": 76.74, "max": 104.27} == load.latency_ms
    assert 2.35 == load.refusal_ms["p50"]
    assert {"infer"} == load.stages_ms.keys()


def test_arrivals_that_k6_left_out_are_an_error() -> None:
    dropped = SUMMARY | {"dropped_iterations": {"type": "counter", "contains": "default", "values": {"count": 4}}}

    with pytest.raises(LoadError, match="could not send 4 requests in time"):
        read_summary(dropped, seconds=3)


def test_nothing_answered_is_no_latency() -> None:
    load = read_summary({}, seconds=3)

    assert (0, 0.0, {}) == (load.answered, load.answered_s, load.latency_ms)


def test_perf_analyzers_table_is_read_in_milliseconds() -> None:
    point = read_table(TABLE)

    assert (2, 49.091) == (point.concurrency, point.images_s)
    assert {"p50": 40.6, "p95": 48.32, "p99": 69.42} == point.latency_ms
    assert {"queue": 0.1, "input": 0.03, "infer": 39.3, "output": 0.18, "network": 0.39} == point.stages_ms


def test_a_table_without_a_line_is_an_error() -> None:
    with pytest.raises(LoadError, match="raise --seconds"):
        read_table(TABLE.splitlines()[0])


def test_a_missing_perf_analyzer_says_where_to_get_it(monkeypatch) -> None:
    monkeypatch.setenv("PERF_ANALYZER", "/no/such/perf_analyzer")

    with pytest.raises(ToolMissingError, match="pip install perf-analyzer"):
        perf_analyzer()


@pytest.mark.parametrize(("cores", "shares"), [(1, [(1, 1)]), (2, [(1, 2), (2, 1), (2, 2)])])
def test_no_way_to_divide_the_cores_is_measured_twice(cores, shares) -> None:
    assert shares == inference.configurations(cores)


@pytest.mark.parametrize(("benchmark", "option"), [(inference, "--concurrencies"), (analyze, "--clients")])
def test_what_the_page_tells_of_one_alone_must_be_measured(benchmark, option, monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["benchmark", option, "2", "4"])

    with pytest.raises(SystemExit):
        benchmark.main()
    assert f"{option} lacks 1: add it" in capsys.readouterr().err


def test_the_load_tools_script_reads_what_it_is_given_and_nothing_else(monkeypatch) -> None:
    runs: list[dict[str, str]] = []

    def k6(*_, variables: dict[str, str], **__) -> str:
        runs.append(variables)
        Path(variables["SUMMARY"]).write_text(json.dumps({"spent_ms": 1000}))
        return ""

    monkeypatch.setattr(load, "find_tool", lambda *_: "k6")
    monkeypatch.setattr(load, "run_tool", k6)
    closed_loop("url", [], clients=3, seconds=5)
    open_loop("url", [], rate=2, seconds=5)
    fixed_work("url", [], clients=3, cycles=1)
    closed, opened, fixed = runs
    script = SCRIPT.read_text()

    assert {*closed, *opened, *fixed} == {*re.findall(r"__ENV\.(\w+)", script)}
    assert {*closed, *opened, *fixed} == {*re.findall(r"^//   ([A-Z_]+) ", script, flags=re.MULTILINE)}
    assert ("2.000", "5", "25") == (opened["RATE"], opened["DELAY_S"], opened["WARM_UP_S"])
    assert str(load.FIXED_WORK_S) == fixed["LONGEST_S"]


def test_the_three_sizes_ascend_and_each_is_of_one_shape() -> None:
    sizes = canvases_by_size()

    assert ["small", "median", "large"] == list(sizes)
    assert [1, 1, 1] == [len({canvas.shape for canvas in found}) for found in sizes.values()]
    areas = [found[0].size for found in sizes.values()]
    assert sorted(set(areas)) == areas


def test_images_of_one_canvas_size_are_some_of_the_samples() -> None:
    assert 1 < len(files_of_one_canvas_size()) < len(image_files())


def test_peers_and_the_client_get_every_published_photograph_where_the_dataset_is_at_hand_and_the_samples_otherwise(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("benchmarks.samples.PUBLISHED", tmp_path)
    assert image_files() == photographs()
    published = [tmp_path / f"{number}.jpg" for number in range(100)]
    for path in published:
        path.touch()
    assert set(published) == set(photographs())
    assert published != photographs() == photographs(), "in random order, always the same"


def test_an_inference_request_is_header_then_pixels(tmp_path) -> None:
    canvas = np.arange(32 * 64, dtype=np.uint32).astype(np.uint8).reshape(1, 32, 64)
    (body,) = kserve_bodies(tmp_path, [canvas])
    length = int(body.headers["Inference-Header-Content-Length"])
    data = body.path.read_bytes()

    assert [1, 1, 32, 64] == json.loads(data[:length])["inputs"][0]["shape"]
    assert canvas.tobytes() == data[length:]


def test_a_repository_can_get_another_largest_batch() -> None:
    with repository(max_batch_size=3) as folder:
        config = (folder / "segmenter/config.pbtxt").read_text()
        graph = folder / "segmenter/1/model.onnx"
        assert "\nmax_batch_size: 3\n" in config
        assert (ROOT / "model_repository/segmenter/1/model.onnx").stat().st_size == graph.stat().st_size
    assert not folder.exists()


def test_differing_pixels_are_a_share_of_all() -> None:
    one, other = np.zeros((2, 5), bool), np.zeros((2, 5), bool)
    other[0, 0] = True

    assert 0.0 == differing_pixels([one], [one])
    assert 0.05 == differing_pixels([one, one], [one, other])


def test_a_process_has_memory_and_its_peak_is_not_below_it() -> None:
    found = memory_mib(os.getpid())

    assert 0 < found["proportional"] <= found["resident"] <= found["peak"]


def test_a_role_is_a_process_with_its_words_in_the_command_line() -> None:
    waiting = [sys.executable, "-c", "input()", "the role's words"]
    with subprocess.Popen(waiting, stdin=subprocess.PIPE) as process:
        found = memory_mib_by_role(os.getpid(), {"waiting": "the role's words"})
        process.communicate(b"\n")

    assert 1 == found["waiting"]["processes"] <= found["rest"]["processes"]  # other tests may have left some
    assert 0 < found["waiting"]["resident"] < found["rest"]["resident"]


def test_processor_time_includes_the_processes_below() -> None:
    before_s = cpu_s(os.getpid())
    busy = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(busy) as process:
        while cpu_s(process.pid) < 0.2:
            pass
        spent_s = cpu_s(os.getpid()) - before_s
        process.kill()

    assert 0.2 <= spent_s


def test_a_tool_that_fails_is_an_error_with_its_last_line() -> None:
    with pytest.raises(LoadError, match="failed with status 3: no such option"):
        run_tool(
            [sys.executable, "-c", "import sys; print('no such option', file=sys.stderr); sys.exit(3)"], timeout_s=60
        )


def test_a_tool_that_does_not_end_is_an_error() -> None:
    with pytest.raises(LoadError, match=r"did not end within 0\.1 s"):
        run_tool([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.1)


def test_a_load_needs_its_core_seconds_at_the_target_utilisation() -> None:
    assert 20 == replicas(100, core_s=0.24, cores=2) == round(100 * 0.24 / (2 * TARGET_UTILISATION))
    assert 21 == replicas(101, core_s=0.24, cores=2)
    assert FEWEST == replicas(1, core_s=0.24, cores=2)


def test_tritons_core_seconds_are_what_the_proxy_leaves() -> None:
    peers = {"machine": {"usable_cores": 2}, "figures": {"contenders": {"ours_json": {"images_s": 50.0}}}}
    found = core_seconds(peers, {"figures": {"json": {"cpu_us": 2000.0}}})

    assert {"triton": pytest.approx(0.038), "proxy": 0.002} == found


def test_a_peers_latency_is_the_median_of_its_rounds_as_its_images_a_second_are() -> None:
    runtime, ours = (Contender(name, name, name, (), lambda _: None) for name in ("onnxruntime", "ours"))
    rounds = {
        "onnxruntime": [Result(images_s) for images_s in (10.0, 10.0, 20.0)],
        "ours": [Result(images_s, {"p50": p50, "p99": 9.0}) for images_s, p50 in ((5.0, 4.0), (9.0, 2.0), (8.0, 7.0))],
    }
    choice = Choice({}, 4, 8.0, 0.0)

    alone, found = (summary(contender, choice, rounds) for contender in (runtime, ours))

    assert ({}, []) == (alone["latency_ms"], alone["rounds_p50_ms"])
    assert {"p50": 4.0, "p99": 9.0} == found["latency_ms"]
    assert (8.0, [4.0, 2.0, 7.0]) == (found["images_s"], found["rounds_p50_ms"])


LATENCY = {"p50": 4.25, "p95": 50.0, "p99": 60.0, "mean": 12.0, "max": 61.0}
POINT = {"answered": 90, "refused": 9, "failed": 1, "answered_s": 30.0, "latency_ms": LATENCY, "refusal_ms": {}}
CLOSED = [{"clients": 4, **POINT, "stages_ms": {}}, {"clients": 1, **POINT, "stages_ms": {"infer": LATENCY}}]
MEASURED = {"concurrency": 1, "images_s": 25.0, "latency_ms": LATENCY}
SHARED_OUT = {"instances": 2, "threads": 1}
CONTENDER = {"variant": {"workers": 2}, "clients": 8, "differing_pixels": 0.0, "latency_ms": LATENCY}
BATCHED = {"traffic": "mixture", "clients": 16, "latency_ms": LATENCY}
OPENED = {"traffic": "one size", "rate_s": 29.2, "latency_ms": LATENCY}
CEILING = {"requests_s_per_core": 400.0, "cpu_us": 2500.0, "cpu_us_range": [2400.0, 2610.0], "loads": [{}] * 5}
FIGURES = {
    "proxy": {"png": CEILING, "json": CEILING, "stages_us": {"encode_png": 65.0}},
    "analyze": {
        "closed_loop": {"image/png": CLOSED, "application/json": CLOSED},
        "capacity_s": 30.0,
        "open_loop": [{"share": 3.0, "rate_s": 90.0, **POINT}],
        "left_out": {},
    },
    "triton": {
        "sizes": {
            "small": {
                "canvas": [320, 128],
                "points": [{**MEASURED, "concurrency": 4, "latency_ms": {**LATENCY, "p50": 9.5}}, MEASURED],
            }
        },
        "analysis": [
            {**SHARED_OUT, **MEASURED, "concurrency": concurrency, "images_s": images_s}
            for images_s in (25.0, 24.0, 99.0)
            for concurrency in (1, 16)
        ],
    },
    "peers": {
        "contenders": {
            name: {
                "what": what, "kind": "ours", "images_s": 24.0,
                "to_limit": {"median": 0.96, "min": 0.94, "max": 0.97}, **CONTENDER,
            }
            for name, what in {
                "ours": "this project", "ours_json": "this project, JSON out", "fastapi": "FastAPI + ONNX Runtime",
            }.items()
        },
        "left_out": {"bentoml": "it exited before it was ready"},
        "ours_to_best_peer": {"peer": "fastapi", "median": 1.125, "min": 1.1, "max": 1.2},
        "latency_alone": {
            "network_ms": [16.0, 15.0, 17.0], "service_ms": [18.0, 17.5, 19.0],
            "ratio": {"median": 1.125, "min": 1.118, "max": 1.167},
        },
    },
    "batching": {
        "cpu": [
            {**BATCHED, "max_batch_size": 1, "answered_s": 17.0, "batch_mean": 1.0},
            {**BATCHED, "max_batch_size": 8, "answered_s": 16.0, "batch_mean": 2.5},
        ],
        "flat": [
            {**OPENED, "max_batch_size": 1, "answered_s": 29.0, "batch_mean": 1.0},
            {**OPENED, "max_batch_size": 8, "answered_s": 29.0, "batch_mean": 1.5},
        ],
    },
    "memory": {
        "points": [
            {"images": 0, "resident": 380.0, "proportional": 300.0, "peak": 380.0},
            {"images": 10000, "resident": 880.0, "proportional": 800.0, "peak": 890.0},
        ],
        "by_role": {"proxy": {"processes": 1, "resident": 75.0, "proportional": 60.0, "peak": 80.0}},
    },
    "client": {
        "files": 1000,
        "photographs": "the 30 samples",
        "rounds": [{"closed_loop_s": 100.0, "client_s": 96.0, "running_s": 98.0}],
        "share": {"median": 0.96, "min": 0.955, "max": 0.97},
    },
    "train": {
        "training": {"images_s": 6.5, "step_ms": 1540.0, "loader_ms": 61.6, "loader_share": 0.04},
        "prediction": {"images": 100, "images_s": 8.0},
    },
    "gpu": {
        "batches": {"canvas": [352, 288], "points": [{"batch": 1, "images_s": 400.4, "batch_ms": 2.5}]},
        "left_out": {"fold": "OSError: no room"},
    },
}  # fmt: skip


def record_of(name: str) -> dict:
    return {
        "name": name,
        "command": f"make bench-{name}",
        "commit": "0123456789abcdef",
        "dirty": False,
        "date": "2025-11-25T12:00:00+00:00",
        "machine": {"cpu": "A CPU", "usable_cores": 2, "memory_mib": 24105, "kernel": "Linux 6", "python": "3.11.7"},
        "packages": {},
        "settings": {
            "flat_ms": {"a": 23.0, "b": 4.4}, "gpu": "H100", "steps": 20,
            "versions": {"torch": "2.11.0", "timm": "1.0"},
        },
        "figures": FIGURES[name],
    }  # fmt: skip


def test_a_page_without_records_says_what_to_run() -> None:
    page = report.render({})

    for name in report.RECORDS:
        target = "gpu-check" if name == "gpu" else f"bench-{name}"
        assert f"*Not measured yet: `make {target}`.*" in page
    assert "not measured" in page.partition("## On a GPU")[2]


def test_a_formula_that_lacks_one_of_its_two_records_says_what_to_run() -> None:
    page = report.render({"peers": record_of("peers")})
    section = page.partition("## How many replicas")[2].partition("## Training")[0]

    assert "`make bench-proxy`" in section
    assert "`make bench-peers`" not in section


def test_the_page_gives_figures_with_where_they_come_from() -> None:
    page = re.sub(" +", " ", report.render({name: record_of(name) for name in FIGURES}))

    for line in (
        "| answer | requests/s that one core can serve | processor time of a request, ms (least–most of 5 runs) |",
        "| PNG | 400 | 2.50 (2.40–2.61) |",
        "| encode png | 0.07 |",
        "| infer | 4.2 | 4.2 |",
        "| JSON, 4 | 30.0 | 4.2 | 50 | 60 | 10 |",
        "| 3 | 90.0 | 30.0 | 9.0 % | 1.0 % | 4.2 | 50 | 60 | – |",
        "| small | 128 × 320 | 4.2 | 40 | 1.02 |",
        "| instances × threads | alone, p50, ms | 16 at once, images/s | 16 at once, p50, ms | 16 at once, p99, ms |",
        "| 2 × 1 | 4.2 | 25.0 | 4.2 | 60 |",
        "Each figure is the median of 3 measurements; differences below a tenth mean nothing.",
        "| this project | 24.0 | **0.96** (0.94–0.97) | 4.2 | workers 2 | 8 | 0.0 % |",
        "PNG out, serves **1.12** (1.10–1.20) times the images/s of FastAPI + ONNX Runtime, the fastest peer.",
        "gets it after 18.0 ms. That is\n**1.12** (1.12–1.17) times the 16.0 ms of one ONNX Runtime session",
        "Left out: bentoml, because it exited before it was ready.",
        "There a batch also has at most 327,680 pixels, which is 5 images of *one size*:",
        "| mixture, clients: 16 | 17.0 | 16.0 | 4.2 | 4.2 | 2.5 |",
        "| one size, arrivals/s: 29.2 | 29.0 | 29.0 | 4.2 | 4.2 | 1.5 |",
        "| 10,000 | 880 | 800 | 890 |",
        "Measured with 20 steps and 100 images.",
        "| their share of all time | 4.0 % |",
        "| seconds of a core per image | 0.0808 | 0.0025 |",
        "| 1,000 | 68 | 5 | 141 |",
        "| images/s of the graph, by batch size | 1: 400 |",
        "| training: crops/s; ms of a step | not measured |",
        "GPU (name, driver, memory): H100. Packages: torch 2.11.0, timm 1.0.",
        "Left out: fold, because OSError: no room.",
    ):
        assert line in page
    assert (
        "*`make bench-peers` at 0123456789, 2025-11-25; A CPU, 2 cores, 24 GiB, Linux 6, Python 3.11.7. "
        "[All figures](../benchmarks/results/peers.json).*"
    ) in page


def test_the_page_tells_the_proxys_limit_for_a_batch_on_cpus() -> None:
    assert CPU_BATCH_PIXELS == report.CPU_BATCH_PIXELS


def test_the_page_tells_of_an_older_record_that_its_latency_is_the_last_rounds() -> None:
    older, newer = record_of("peers"), copy.deepcopy(record_of("peers"))
    for contender in newer["figures"]["contenders"].values():
        contender["rounds_p50_ms"] = [4.25]

    assert [True, False] == ["*p50* is the last round's" in report.render({"peers": each}) for each in (older, newer)]


def test_the_page_in_the_repository_is_made_of_its_records() -> None:
    records = {name: record.read_record(name) for name in report.RECORDS}

    assert report.render(records) == (ROOT / "docs/performance.md").read_text()
