"""`python -m client analyze`: what it writes, what it sends a second time, what it names, how it ends."""

import csv
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

from client import Client
from client.__main__ import main
from client.errors import InputError
from client.png_file import END
from tests.conftest import ROOT, wait_until
from tests.contract_service import DARK, MODEL, ContractService, defective, png, sound
from tests.crafted import chunk


@pytest.fixture
def service():
    with ContractService() as service:
        yield service


@pytest.fixture
def photos(tmp_path):
    """Three tiles of two exposures, the second defective, and what is no image."""
    folder = tmp_path / "photos"
    for tile in range(3):
        (folder / f"line {tile}").mkdir(parents=True)
        for exposure in range(2):
            pixels = defective(tile * 2 + exposure) if tile == 1 else sound(tile * 2 + exposure)
            (folder / f"line {tile}/tile{tile}_exp{exposure}.png").write_bytes(png(pixels))
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def analyze(service, photos, tmp_path, capsys):
    """analyze(option, …) → (exit status, rows of results.csv by file, standard error)."""

    def run(*options, sources=(photos,), out="out"):
        words = [str(each) for each in (*sources, "--out", tmp_path / out, "--url", service.url, *options)]
        status = main(["analyze", *words])
        return status, table(tmp_path / out / "results.csv", "file"), capsys.readouterr().err

    return run


def table(path, key):
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


def test_a_folder_becomes_masks_overlays_and_a_row_each(analyze, photos, tmp_path):
    status, rows, said = analyze("--wait", "5")

    names = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    assert (0, names) == (status, list(rows))
    assert "6 images: 2 defect, 4 ok, 0 without an answer; 6 were sent now" in said
    for name, row in rows.items():
        pixels = np.asarray(Image.open(photos / name))
        with (
            Image.open(tmp_path / "out" / row["mask"]) as mask,
            Image.open(tmp_path / "out" / row["overlay"]) as overlay,
        ):
            assert ("1", "P") == (mask.mode, overlay.mode)
            assert (pixels < DARK).tolist() == np.asarray(mask).tolist()
            assert pixels.shape == overlay.size[::-1]
    row = rows["line 1/tile1_exp0.png"]
    columns = (
        "status", "verdict", "type", "score", "defect_pixels", "defects", "familiar", "warnings", "model", "error",
    )  # fmt: skip
    assert ("answered", "defect", "Blowhole", "0.91", "27", "1", "true", "exif-orientation", "segmenter/1", "") == (
        tuple(row[column] for column in columns)
    )


def test_links_to_files_are_followed_and_links_to_folders_are_not(analyze, photos, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "one.png").write_bytes(png(sound(50)))
    (photos / "linked.png").symlink_to(elsewhere / "one.png")
    (photos / "linked").symlink_to(elsewhere)

    _, rows, _ = analyze()

    assert 7 == len(rows)
    assert "answered" == rows["linked.png"]["status"]


def test_the_pictures_carry_what_the_services_pictures_carry(analyze, tmp_path):
    analyze("--part-from", r"tile\d")

    for folder in ("masks", "overlays"):
        with Image.open(tmp_path / f"out/{folder}/line 1/tile1_exp0.png.png") as picture:
            assert {
                "Verdict": "defect",
                "Defective": "true",
                "Defect-Pixels": "27",
                "Defects": "1",
                "Score": "0.91",
                "Alarm-Score": "0.8",
                "Threshold": "0.2509",
                "Type": "Blowhole",
                "Familiar": "true",
                "Novelty": "3.25",
                "Warnings": "exif-orientation",
                "Part": "tile1",
                "Model": "segmenter/1",
                "Model-Sha256": MODEL["sha256"],
                "Model-Commit": MODEL["commit"],
                "Model-Dirty": "false",
                "Model-Data": MODEL["data"],
            } == picture.text


def test_a_second_run_sends_nothing_and_writes_the_same_table(analyze, service, tmp_path):
    analyze()
    first = (tmp_path / "out/results.csv").read_bytes()
    service.posts.clear()

    status, _, said = analyze()

    assert (0, []) == (status, service.posts)
    assert "0 were sent now" in said
    assert first == (tmp_path / "out/results.csv").read_bytes()


def test_a_second_run_needs_no_service(analyze, service):
    analyze()
    service.go()

    status, rows, said = analyze()

    assert (0, 6) == (status, len(rows))
    assert "earlier answers are kept" in said


def test_a_service_that_refuses_to_name_its_model_is_told_of(analyze, service):
    analyze()
    service.health_refusal = (403, "Forbidden")

    status, _, said = analyze()

    assert 0 == status
    assert "earlier answers are kept, whichever model gave them: Forbidden (403)" in said


def test_an_end_before_the_first_image_leaves_the_earlier_table(analyze, tmp_path, monkeypatch):
    analyze()
    first = (tmp_path / "out/results.csv").read_bytes()

    def end(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "served_model", end)

    assert 130 == analyze()[0]
    assert first == (tmp_path / "out/results.csv").read_bytes()


def test_a_run_without_tiles_leaves_no_table_of_tiles(analyze, tmp_path):
    analyze("--tile-from", r"tile\d")
    assert (tmp_path / "out/tiles.csv").exists()

    analyze()

    assert not (tmp_path / "out/tiles.csv").exists()


def test_what_was_renamed_is_not_sent_again_and_a_lost_picture_is_drawn_again(analyze, service, photos, tmp_path):
    analyze()
    service.posts.clear()
    (photos / "line 0/tile0_exp0.png").rename(photos / "line 0/renamed.png")
    (tmp_path / "out/masks/line 1/tile1_exp0.png.png").unlink()

    _, rows, _ = analyze()

    assert [] == service.posts
    assert "line 0/renamed.png" in rows
    for row in rows.values():
        assert (tmp_path / "out" / row["mask"]).exists()
        assert (tmp_path / "out" / row["overlay"]).exists()


def test_a_changed_file_another_operating_point_and_another_part_are_sent_again(analyze, service, photos):
    analyze()

    def sent(*options):
        service.posts.clear()
        analyze(*options)
        return len(service.posts)

    (photos / "line 0/tile0_exp0.png").write_bytes(png(sound(99)))
    assert [1, 0] == [sent(), sent()]
    assert [6, 0] == [sent("--threshold", "0.5"), sent("--threshold", "0.5")]
    assert [6, 6] == [sent("--alarm-score", "0.95"), sent("--part-from", "tile.")]


def test_after_another_threshold_the_pictures_are_again_those_of_the_table(analyze, service, tmp_path):
    mask = tmp_path / "out/masks/line 1/tile1_exp0.png.png"
    analyze()
    first = mask.read_bytes()
    analyze("--threshold", "0.5")
    assert first != mask.read_bytes()  # its text says the threshold

    service.posts.clear()
    analyze()

    assert (first, []) == (mask.read_bytes(), service.posts)


def test_another_model_gets_all_images_again(analyze, service):
    analyze()
    service.posts.clear()
    service.model["sha256"] = "d" * 64

    _, rows, _ = analyze()

    assert 6 == len(service.posts)
    assert {"d" * 64} == {row["model_sha256"] for row in rows.values()}


def test_failures_are_named_have_rows_and_are_not_sent_again_unless_told(analyze, service, photos):
    (photos / "damaged.png").write_bytes(png(sound())[:100])
    (photos / "text.jpg").write_text("no image")
    (photos / "empty.jpg").touch()

    status, rows, said = analyze()

    assert (1, 9) == (status, len(rows))
    errors = {
        "damaged.png": "Damaged image (422): because of damaged image",
        "text.jpg": "Unsupported upload (415): because of unsupported upload",
        "empty.jpg": "the file is empty",
    }
    assert errors == {name: row["error"] for name, row in rows.items() if row["status"] == "failed"}
    assert all(f"{name}: {error}\n" in said for name, error in errors.items())
    service.posts.clear()
    assert 1 == analyze()[0]
    assert [] == service.posts
    assert 1 == analyze("--again")[0]
    assert 2 == len(service.posts)


def with_a_chunk_that_pillow_refuses(image):
    """A PNG that the service decodes: it ignores the text behind the pixels, whose compression is unknown."""
    return image.removesuffix(END) + chunk(b"zTXt", b"Comment\0\1x") + END


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no image", "Unsupported upload"),
        (b"", "the file is empty"),
        (with_a_chunk_that_pillow_refuses(png(sound())), "it was answered, but cannot be drawn: Unknown compression"),
    ],
)
def test_a_file_without_a_result_fails_alone_and_keeps_no_pictures_of_its_earlier_content(
    analyze, photos, tmp_path, content, why
):
    analyze()
    (photos / "line 1/tile1_exp0.png").write_bytes(content)

    status, rows, _ = analyze()

    assert (1, ["line 1/tile1_exp0.png"]) == (status, [name for name, row in rows.items() if row["status"] == "failed"])
    assert rows["line 1/tile1_exp0.png"]["error"].startswith(why)
    assert [] == list((tmp_path / "out").rglob("tile1_exp0*"))


def test_hidden_folders_are_left_out_unless_they_are_named(analyze, photos):
    (photos / "line 1/.Trash-1000").mkdir()
    (photos / "line 1/.Trash-1000/tile1_exp2.png").write_bytes(png(sound(9)))

    assert 6 == len(analyze()[1])
    assert 1 == len(analyze(sources=[photos / "line 1/.Trash-1000"], out="named")[1])


def test_a_name_that_no_file_can_have_fails_alone(analyze, photos, tmp_path):
    long = f"{'x' * 245}.png"  # its pictures' names would be too long
    for name in (long, "a.png", "a.png.png/z.png"):  # the mask of the second has the name of the third's folder
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(png(sound(1)))

    status, rows, _ = analyze("--at-once", "1")

    assert (1, 9) == (status, len(rows))
    failed = {name: row["error"] for name, row in rows.items() if row["status"] == "failed"}
    assert "File name too long" in failed.pop(long)
    assert ["a.png.png/z.png"] == list(failed)
    assert [] == list((tmp_path / "out").rglob(".*"))


@pytest.mark.slow
def test_a_thousand_files_of_which_three_are_corrupt_give_a_thousand_rows(service, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(1000):
        content = png(defective(number) if number % 5 == 0 else sound(number))
        (photos / f"{number:04}.png").write_bytes(content[:90] if number in (3, 500, 999) else content)
    command = [sys.executable, "-m", "client", "analyze", photos, "--out", tmp_path / "out", "--url", service.url]

    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)

    rows = table(tmp_path / "out/results.csv", "file")
    assert (1, 1000, 1000) == (done.returncode, len(rows), len(service.posts))
    assert "1000 images: 199 defect, 798 ok, 3 without an answer; 1000 were sent now" in done.stderr
    for name in ("0003.png", "0500.png", "0999.png"):
        assert f"\n{name}: Damaged image (422)" in done.stderr
        assert "failed" == rows[name]["status"]
    assert 997 == len(list((tmp_path / "out/masks").iterdir())) == len(list((tmp_path / "out/overlays").iterdir()))


def test_exposures_of_one_tile_get_one_verdict(analyze, photos, tmp_path):
    (photos / "line 2/tile2_exp1.png").write_bytes(b"corrupt")
    (photos / "line 2/tile2_exp2.png").write_bytes(png(defective()))
    (photos / "tile3_exp1.png").write_bytes(b"corrupt")

    status, rows, said = analyze("--tile-from", r"(tile\d)_exp")

    tiles = table(tmp_path / "out/tiles.csv", "tile")
    shown = ("verdict", "score", "alarm_score", "type", "images", "failed")
    assert {
        "tile0": ("ok", "0.05", "0.5", "", "2", "0"),
        "tile1": ("defect", "0.91", "0.5", "Blowhole", "2", "0"),
        "tile2": ("ok", "0.48", "0.5", "Blowhole", "2", "1"),
        "tile3": ("", "", "", "", "0", "1"),
    } == {name: tuple(row[column] for column in shown) for name, row in tiles.items()}
    assert "no photograph of it was answered" == tiles["tile3"]["error"]
    assert (1, "tile1") == (status, rows["line 1/tile1_exp0.png"]["tile"])
    assert "4 tiles, 1 with a defect" in said


def test_the_tiles_alarm_score_can_be_chosen(analyze, tmp_path):
    analyze("--tile-from", r"tile\d", "--tile-alarm-score", "0.95")

    tiles = table(tmp_path / "out/tiles.csv", "tile")
    assert {("ok", "0.95")} == {(row["verdict"], row["alarm_score"]) for row in tiles.values()}


def test_a_tile_whose_photographs_two_models_analysed_has_no_verdict_until_the_next_run(analyze, service, tmp_path):
    def new_model_for_the_rest():
        if 4 == len(service.posts):
            service.model = service.model | {"sha256": "d" * 64}

    service.on_post = new_model_for_the_rest
    _, _, said = analyze("--tile-from", "(.)", "--at-once", "1")
    assert "by 2 models" in table(tmp_path / "out/tiles.csv", "tile")["l"]["error"]
    assert "2 models answered: run the command again" in said

    service.posts.clear()
    analyze("--tile-from", "(.)")

    assert 3 == len(service.posts)
    assert "ok" == table(tmp_path / "out/tiles.csv", "tile")["l"]["verdict"]


@pytest.mark.parametrize(("words", "most"), [(("--at-once", "3"), 3), ((), 8)])
def test_several_images_are_under_way_at_once_and_no_more_than_asked_for(analyze, service, photos, words, most):
    for seed in range(30):
        (photos / f"{seed}.png").write_bytes(png(sound(seed)))
    service.wait_for = most

    analyze(*words)

    assert most == service.most_at_once


def test_a_busy_service_is_waited_for(analyze, service):
    service.refusals = [(503, "Queue full", 1)] * 4

    status, rows, _ = analyze()

    assert (0, 6, 10) == (status, len(rows), len(service.posts))


@pytest.mark.parametrize(("at_once", "hint"), [("2", "; --at-once 1 leaves the whole line to each image"), ("1", "")])
def test_an_upload_that_was_too_slow_beside_others_names_the_option_that_mends_it(analyze, service, at_once, hint):
    service.refusals = [(408, "Upload too slow")]

    _, rows, said = analyze("--at-once", at_once)

    expected = f"Upload too slow (408): because of upload too slow{hint}"
    assert [expected] == [row["error"] for row in rows.values() if row["status"] == "failed"]
    assert f": {expected}\n" in said


def test_a_service_that_goes_away_during_the_run_and_comes_back_loses_nothing(analyze, service, photos):
    for seed in range(60):
        (photos / f"{seed}.png").write_bytes(png(sound(seed)))

    def restart():
        service.go()
        service.come()

    def away():
        if 20 == len(service.posts):
            threading.Thread(target=restart).start()

    service.on_post = away

    status, rows, _ = analyze()

    assert (0, 66) == (status, len(rows))
    assert {"answered"} == {row["status"] for row in rows.values()}


def test_a_service_that_stays_away_ends_the_run_and_the_next_run_goes_on(analyze, service):
    service.on_post = lambda: 3 == len(service.posts) and service.go_soon()

    status, rows, said = analyze("--at-once", "1", "--wait", "1")

    statuses = [row["status"] for row in rows.values()]
    assert (1, 6) == (status, len(rows))
    assert {"answered", "failed", "not sent"} == set(statuses)
    assert 1 == statuses.count("failed")
    assert "stopped: " in said
    service.on_post = lambda: None
    service.posts.clear()
    service.come()
    assert 0 == analyze()[0]
    assert 6 - statuses.count("answered") == len(service.posts)


def test_an_image_that_a_ready_service_never_answers_fails_alone(analyze, service, photos):
    first = "line 0/tile0_exp0.png"
    service.dropped = {(photos / first).read_bytes()}

    status, rows, said = analyze("--at-once", "1", "--wait", "0")

    assert (1, [first]) == (status, [name for name, row in rows.items() if row["status"] == "failed"])
    assert {"failed", "answered"} == {row["status"] for row in rows.values()}
    assert "could not be reached" in rows[first]["error"]
    assert "stopped" not in said


def test_a_refused_key_ends_the_run_at_once(analyze, service, tmp_path, monkeypatch):
    service.api_key = "secret"

    status, rows, said = analyze("--at-once", "1")
    assert (1, 6, 1) == (status, len(rows), len(service.posts))
    assert "stopped: Unknown key (401)" in said

    (tmp_path / "key").write_text("secret\n")
    assert 0 == analyze("--api-key-file", tmp_path / "key")[0]
    monkeypatch.setenv("CLIENT_API_KEY", "secret\r\n")
    assert 0 == analyze(out="other")[0]


@pytest.mark.parametrize("stop", ["refused key", "away"])
def test_where_a_run_stops_the_earlier_answers_count(analyze, service, photos, tmp_path, stop):
    words = ("--at-once", "1", "--wait", "0", "--tile-from", r"tile\d")
    analyze(*words)
    tiles = (tmp_path / "out/tiles.csv").read_text()
    (photos / "0.png").write_bytes(png(sound(50)))
    (photos / "line 2/z.png").write_bytes(png(sound(51)))
    service.posts.clear()
    if stop == "away":
        service.go()
    else:
        service.api_key = "secret"

    status, rows, said = analyze("--at-once", "1", "--wait", "0", "--tile-from", r"tile\d|^0|z")

    assert (1, 8) == (status, len(rows))
    assert {"0.png": "failed", "line 2/z.png": "not sent"} == {
        name: row["status"] for name, row in rows.items() if row["status"] != "answered"
    }
    assert len(service.posts) <= 1
    assert "stopped: " in said
    judged = (tmp_path / "out/tiles.csv").read_text().splitlines()
    assert {*tiles.splitlines()} <= {*judged}


def test_a_proxy_that_wants_a_login_ends_the_run_at_once(analyze, service):
    service.refusals = [(407, "Proxy login required")]
    status, _, said = analyze("--at-once", "1")
    assert (1, 1) == (status, len(service.posts))
    assert "stopped: Proxy login required (407)" in said


def test_a_key_that_no_header_can_have_is_not_shown(analyze, service, monkeypatch):
    monkeypatch.setenv("CLIENT_API_KEY", "sec\nret")

    status, _, said = analyze()

    assert (2, []) == (status, service.posts)
    assert "the API key has characters that a header cannot have" in said
    assert "sec" not in said


def test_an_interrupted_run_keeps_its_answers_and_the_next_goes_on(service, photos, tmp_path):
    for seed in range(100, 300):
        (photos / f"{seed}.png").write_bytes(png(sound(seed)))
    words = ["analyze", photos, "--out", tmp_path / "out", "--url", service.url]
    command = [sys.executable, "-m", "client", *map(str, words)]
    service.on_post = lambda: 20 < len(service.posts) and time.sleep(0.1)  # the signal comes before the end
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: 20 < len(service.posts))
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    service.on_post = lambda: None
    rows = table(tmp_path / "out/results.csv", "file")
    answered = sum(row["status"] == "answered" for row in rows.values())
    unanswered = {(row["status"], row["error"]) for row in rows.values() if row["status"] != "answered"}
    assert {("not sent", "the run was interrupted before")} == unanswered

    assert 130 == process.returncode
    assert "interrupted: run the command again" in said
    assert 206 == len(rows)
    assert 0 < answered < 206
    service.posts.clear()
    assert 0 == subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, check=False).returncode
    assert len({digest for digest, _ in service.posts}) <= 206 - answered


def test_a_killed_run_leaves_no_half_file_and_the_next_goes_on(service, photos, tmp_path):
    for seed in range(100, 300):
        (photos / f"{seed}.png").write_bytes(png(sound(seed)))
    words = ["analyze", photos, "--out", tmp_path / "out", "--url", service.url]
    command = [sys.executable, "-m", "client", *map(str, words)]
    service.on_post = lambda: 20 < len(service.posts) and time.sleep(0.1)  # it is killed before the end
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: 20 < len(service.posts))
        process.kill()
    service.on_post = lambda: None
    with (tmp_path / "out/journal.jsonl").open("a") as journal:
        journal.write('{"key": "broken')
    for picture in (tmp_path / "out").rglob("*.png"):
        Image.open(picture).load()
    answered = (tmp_path / "out/journal.jsonl").read_text().count("\n")
    assert answered < 206
    service.posts.clear()

    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, check=True, text=True)

    assert 206 - answered == len({digest for digest, _ in service.posts})
    assert "206 images" in done.stderr
    assert [] == list((tmp_path / "out").rglob("*.new"))


def test_results_inside_the_folder_are_no_photographs(analyze, service):
    analyze(out="photos/results")
    service.posts.clear()

    _, rows, _ = analyze(out="photos/results")

    assert (6, []) == (len(rows), service.posts)


def test_pictures_of_an_earlier_run_are_no_photographs(analyze):
    analyze(out="photos/results")

    _, rows, _ = analyze(out="photos/others")

    assert 6 == len(rows)


def test_an_error_that_ends_the_run_is_why_the_rest_was_not_sent(analyze, monkeypatch):
    def end(*_, **__):
        raise InputError("no certificate")

    monkeypatch.setattr(Client, "ask", end)

    status, rows, _ = analyze()

    assert 2 == status
    assert {("not sent", "no certificate")} == {(row["status"], row["error"]) for row in rows.values()}


def test_results_that_cannot_be_written_end_the_run_with_the_file_and_the_mend(service, photos, tmp_path, capsys):
    (tmp_path / "out/results.csv").mkdir(parents=True)

    assert 2 == main(["analyze", str(photos), "--out", str(tmp_path / "out"), "--url", service.url])

    assert f"{tmp_path / 'out/results.csv'} cannot be used: Is a directory; make room" in capsys.readouterr().err


def test_results_that_a_link_leads_to_are_no_photographs(analyze, service, photos, tmp_path):
    (photos / "results").mkdir()
    (tmp_path / "link").symlink_to(photos / "results")
    analyze(out="link")
    service.posts.clear()

    _, rows, _ = analyze(out="link")

    assert (6, []) == (len(rows), service.posts)


def test_results_have_a_folder_of_their_own(analyze):
    status, _, said = analyze(out="photos")

    assert 2 == status
    assert "no image is there outside of --out" in said


@pytest.mark.skipif(os.name != "posix", reason="a folder is closed by its mode")
@pytest.mark.parametrize("source", [".", "line 1/tile1_exp0.png"])
def test_a_folder_that_cannot_be_read_ends_the_run(photos, source):
    (photos / "line 1").chmod(0)
    code = "import os, sys; from client.__main__ import main; os.getuid() or os.setuid(65534); sys.exit(main())"
    command = [sys.executable, "-c", code, "analyze", source, "--out", "out"]

    done = subprocess.run(
        command, cwd=photos, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )

    (photos / "line 1").chmod(0o755)
    assert 2 == done.returncode
    assert "line 1" in done.stderr
    assert "cannot be used: Permission denied" in done.stderr


def test_files_and_several_folders_are_named_below_the_folder_that_they_share(analyze, photos):
    _, rows, _ = analyze(sources=(photos / "line 0", photos / "line 1/tile1_exp0.png"))

    assert ["line 0/tile0_exp0.png", "line 0/tile0_exp1.png", "line 1/tile1_exp0.png"] == list(rows)


def test_a_file_may_have_any_name(analyze, photos, tmp_path):
    names = ["Grün, 7.png", "=1+1.png", "a b\n.png", "a\r.png", os.fsdecode(b"\xff.png")]
    for name in names:
        (photos / name).write_bytes(png(sound()))

    status, _, _ = analyze("--pattern", "[!t]*")

    assert 0 == status
    for name in names:
        assert (tmp_path / f"out/masks/{name}.png").exists()
    assert {"Grün, 7.png", "=1+1.png", "a b\n.png", "a\r.png", "\\udcff.png"} == table(
        tmp_path / "out/results.csv", "file"
    ).keys()
    assert "0 were sent now" in analyze("--pattern", "[!t]*")[2]


def test_a_pattern_chooses_files(analyze):
    _, rows, _ = analyze("--pattern", "*exp0*")

    assert 3 == len(rows)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tile-from", "("], "is no regular expression"),
        (["--tile-from", "a{99999999999999999999}"], "is no regular expression"),
        (["--tile-from", "(" * 5000], "is no regular expression"),
        (["--at-once", "0"], "0 is not from 1 to 256"),
        (["--at-once", "100000"], "100000 is not from 1 to 256"),
    ],
)
def test_a_wrong_option_is_a_usage_error(analyze, capsys, options, said):
    with pytest.raises(SystemExit) as ended:
        analyze(*options)

    assert 2 == ended.value.code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tile-from", r"tile[01]"], "finds nothing in 2 of 6 names, such as 'line 2/tile2_exp0.png'"),
        (["--threshold", "64"], "--threshold is 64.0: give a number from 0 to 1"),
        (["--tile-alarm-score", "-1"], "--tile-alarm-score"),
        (["--wait", "nan"], "--wait is nan: give 0 or more seconds"),
        (["--wait", "-1"], "--wait is -1.0: give 0 or more seconds"),
        (["--pattern", "*.gif"], "no image is there"),
        (["--api-key-file", "/no/such/file"], "cannot be read"),
        (["--url", "nowhere"], "give the service's address"),
    ],
)
def test_what_cannot_be_used_ends_the_run_before_anything_is_sent(analyze, service, options, said):
    status, _, told = analyze(*options)

    assert (2, []) == (status, service.posts)
    assert said in told


def test_a_missing_folder_is_named(analyze, tmp_path):
    assert "gone does not exist" in analyze(sources=(tmp_path / "gone",))[2]
    assert "File name too long" in analyze(sources=(tmp_path / ("x" * 300),))[2]


def test_an_out_that_is_no_folder_is_named(analyze, tmp_path):
    (tmp_path / "file").touch()

    status, _, said = analyze(out="file")

    assert 2 == status
    assert "file cannot be used" in said


def test_help_names_every_option():
    said = subprocess.run(
        [sys.executable, "-m", "client", "analyze", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    for option in ("--out", "--url", "--part-from", "--tile-from", "--threshold", "--at-once", "--api-key-file"):
        assert option in said
