"""The client and the real service: its answers, its verdicts, its refusals; the commands of docs/serving.md."""

import csv
import io
import json
import shlex
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request

import numpy as np
import pytest
from PIL import Image

from client import Client, RefusedError, judge_tile
from client.__main__ import main
from client.pictures import draw_pictures, text_chunks
from host.ports import free_port
from tests.conftest import ROOT, answers, wait_until
from tests.pages import code, commands, under

SAMPLES = sorted((ROOT / "samples/tiles").glob("*/Imgs/*.jpg"))
BLOWHOLE = ROOT / "samples/tiles/MT_Blowhole/Imgs/exp1_num_317483.jpg"
PAGE = under((ROOT / "docs/serving.md").read_text(), "## The client")


@pytest.fixture(scope="module")
def start_proxy(start_service, triton):
    def start(port=None, **settings):
        port = port or free_port()
        url = f"http://127.0.0.1:{port}"
        service = start_service("proxy", TRITON_URL=triton.url, PORT=str(port), LOG_LEVEL="WARNING", **settings)
        wait_until(lambda: answers(f"{url}/health/ready"), service)
        return service, url

    return start


@pytest.fixture(scope="module")
def url(start_proxy):
    return start_proxy()[1]


@pytest.fixture(scope="module")
def client(url):
    with Client(url) as client:
        yield client


def post(url, data, **headers):
    request = urllib.request.Request(url, data, {name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.headers, response.read()


def table(path, key="file"):
    with path.open(newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("sample", SAMPLES[::7], ids=lambda path: path.stem)
def test_an_analysis_is_the_services_answer(client, url, sample):
    analysis = client.analyze(sample.read_bytes(), part="A 7")

    expected = json.loads(post(f"{url}/analyze?part=A%207", sample.read_bytes(), Content_Type="image/jpeg")[1])
    assert expected["pred"] == np.asarray(analysis.mask).astype(int).tolist()
    for name in ("part", "width", "height", "verdict", "defective", "defect_pixels", "score", "alarm_score",
                 "threshold", "type", "types", "novelty", "familiar"):  # fmt: skip
        assert expected[name] == getattr(analysis, name), name
    assert [defect["area"] for defect in expected["defects"]] == [defect.area for defect in analysis.defects]
    assert [defect["box"] for defect in expected["defects"]] == [vars(defect.box) for defect in analysis.defects]
    assert {name: expected["model"][name] for name in ("name", "version", "sha256", "commit", "dirty", "data")} == {
        name: getattr(analysis.model, name) for name in ("name", "version", "sha256", "commit", "dirty", "data")
    }


def test_the_masks_text_and_pixels_are_those_of_the_services_mask(client, url):
    analysis = client.analyze(BLOWHOLE.read_bytes(), part="Grün 7")

    _, body = post(
        f"{url}/analyze?part={urllib.parse.quote('Grün 7')}",
        BLOWHOLE.read_bytes(),
        Content_Type="image/jpeg",
        Accept="image/png",
    )

    with (
        Image.open(io.BytesIO(body)) as theirs,
        Image.open(io.BytesIO(draw_pictures(BLOWHOLE.read_bytes(), analysis).mask)) as ours,
    ):
        assert (theirs.mode, theirs.tobytes()) == (ours.mode, ours.tobytes())
        assert theirs.text == ours.text == text_chunks(analysis)


def test_the_overlays_contour_is_that_of_the_services_overlay(client, url):
    analysis = client.analyze(BLOWHOLE.read_bytes())

    body = post(f"{url}/analyze?view=overlay", BLOWHOLE.read_bytes(), Content_Type="image/jpeg", Accept="image/png")[1]

    box = analysis.defects[0].box
    around = (box.x - 1, box.y, box.x + box.width + 1, box.y + box.height)
    theirs, ours = (
        np.asarray(Image.open(io.BytesIO(picture)).convert("RGB").crop(around)).astype(int)
        for picture in (body, draw_pictures(BLOWHOLE.read_bytes(), analysis).overlay)
    )
    coloured = [np.ptp(picture, axis=2) > 0 for picture in (theirs, ours)]
    assert coloured[0].any()
    assert coloured[0].tolist() == coloured[1].tolist()


def test_a_chosen_operating_point_is_used(client):
    none = client.analyze(BLOWHOLE.read_bytes(), alarm_score=1.0, threshold=1.0)
    own = client.analyze(BLOWHOLE.read_bytes())
    shown = client.analyze(BLOWHOLE.read_bytes(), alarm_score=own.alarm_score, threshold=own.threshold)

    assert none.defect_pixels < own.defect_pixels
    assert (own.mask, own.defects) == (shown.mask, shown.defects)


def test_a_tiles_verdict_is_that_of_the_services_route(client, url, tmp_path):
    for number, chosen in enumerate([SAMPLES[:2], SAMPLES[5:11], SAMPLES[-3:]]):
        judged = judge_tile([client.analyze(path.read_bytes()) for path in chosen])

        words = [word for path in chosen for word in ("-F", f"image=@{path}")]
        target = tmp_path / f"{number}.json"
        subprocess.run(
            ["curl", "-sS", *words, "-o", target, f"{url}/analyze/tile?mask=none"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        expected = json.loads(target.read_text())
        assert {name: expected[name] for name in ("verdict", "score", "alarm_score", "type", "familiar")} == {
            name: getattr(judged, name) for name in ("verdict", "score", "alarm_score", "type", "familiar")
        }
        assert len(chosen) == judged.images


@pytest.mark.parametrize(
    ("data", "status"),
    [(BLOWHOLE.read_bytes()[:400], 422), (b"text", 415), (b"RIFF\0\0\0\0WEBP", 415), (b"\x89PNG\r\n\x1a\nrest", 422)],
)
def test_a_file_that_is_no_image_is_refused_with_the_services_words(client, data, status):
    with pytest.raises(RefusedError) as refused:
        client.analyze(data)

    assert status == refused.value.status, refused.value
    assert refused.value.is_about_the_image
    assert data[:4] != b"RIFF" or "magick photo.webp photo.png" in str(refused.value)


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(client):
    with pytest.raises(RefusedError) as refused:
        client.analyze(bytes(2 * 10485760))

    assert 413 == refused.value.status


def test_corrupt_files_among_many_are_named_and_the_others_answered(url, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(57):
        shutil.copy(SAMPLES[number % len(SAMPLES)], photos / f"{number:03}.jpg")
    (photos / "900.jpg").write_bytes(BLOWHOLE.read_bytes()[:500])
    (photos / "901.jpg").write_text("not an image")
    (photos / "902.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    status = main(["analyze", str(photos), "--out", str(tmp_path / "out"), "--url", url])

    rows, said = table(tmp_path / "out/results.csv"), capsys.readouterr().err
    assert (1, 60) == (status, len(rows))
    assert ["900.jpg", "901.jpg", "902.png"] == [name for name, row in rows.items() if row["status"] == "failed"]
    assert all(f"{name}: " in said for name in ("900.jpg", "901.jpg", "902.png"))
    assert "60 were sent now" in said
    assert 1 == main(["analyze", str(photos), "--out", str(tmp_path / "out"), "--url", url])
    assert "0 were sent now" in capsys.readouterr().err


def test_an_overloaded_service_answers_everything_in_the_end(start_proxy, tmp_path, capsys):
    """More images at once than this proxy takes: it refuses with 503 and Retry-After."""
    _, url = start_proxy(QUEUE_LIMIT="1", MAX_WAIT_S="0.05", IN_FLIGHT_BATCHES="1")
    chosen = SAMPLES[:16]

    status = main(["analyze", *map(str, chosen), "--out", str(tmp_path), "--url", url, "--at-once", "16"])

    metrics = urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode()
    assert 'route="/analyze",status="503"' in metrics
    assert (0, len(chosen)) == (status, len(table(tmp_path / "results.csv")))
    assert "0 without an answer" in capsys.readouterr().err


def test_a_service_that_is_restarted_during_a_run_loses_nothing(start_proxy, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(150):
        shutil.copy(SAMPLES[number % len(SAMPLES)], photos / f"{number:03}.jpg")
    service, url = start_proxy()
    words = ["analyze", photos, "--out", tmp_path / "out", "--url", url]
    command = [sys.executable, "-m", "client", *map(str, words)]
    journal = tmp_path / "out/journal.jsonl"
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
        wait_until(lambda: journal.exists() and journal.read_text().count("\n") > 10)
        service.process.kill()
        service.process.wait()
        assert journal.read_text().count("\n") < 150, "it was restarted too late"
        start_proxy(port=urllib.parse.urlsplit(url).port)
        said = run.communicate()[1]

    assert 0 == run.returncode, said
    assert {"answered"} == {row["status"] for row in table(tmp_path / "out/results.csv").values()}


@pytest.mark.slow
def test_the_commands_of_the_page_do_what_it_says(url, tmp_path, serving_python):
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "client").symlink_to(ROOT / "client")
    (tmp_path / ".venv-serving").symlink_to(serving_python.parent.parent)
    (tmp_path / "photos").mkdir()
    for number, path in enumerate(SAMPLES[:4]):
        shutil.copy(path, tmp_path / f"photos/A-{number // 2}_exp{number % 2}.jpg")
    said = []
    for command in commands(PAGE):
        words = shlex.split(command) + (["--url", url] if " analyze " in command else [])
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stderr
        said.append(done.stdout)

    assert 3 == len(said)
    rows = table(tmp_path / "results/results.csv")
    assert len(SAMPLES) == len(rows)
    assert all((tmp_path / "results" / row[name]).exists() for row in rows.values() for name in ("mask", "overlay"))
    tiles = table(tmp_path / "by-tile/tiles.csv", "tile")
    assert ["A-0", "A-1"] == list(tiles)
    assert {"A-0", "A-1"} == {row["part"] for row in table(tmp_path / "by-tile/results.csv").values()}
    assert all(name in said[2] for name in ("git show", "dvc exp show", "dvc get"))


@pytest.mark.slow
def test_the_readmes_python_example_prints_the_defects(url, serving_python):
    (example,) = code((ROOT / "README.md").read_text(), "python")

    done = subprocess.run(
        [serving_python, "-c", example.replace("http://127.0.0.1:8080", url)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout.startswith("(Defect(type='Blowhole', score=")
    assert "" == done.stderr


def test_the_client_needs_nothing_of_the_repository_and_no_numpy(tmp_path):
    shutil.copytree(ROOT / "client", tmp_path / "client")
    code = (
        "import sys, client, client.__main__; "
        "print([name for name in ('numpy', 'host', 'tiles', 'proxy') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()
