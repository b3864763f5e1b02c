"""`python -m client provenance`: from a picture back to the training run, in a clone of this repository."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from client.__main__ import main
from client.analysis import read_analysis
from client.pictures import draw_pictures
from client.png_file import END
from tests.clones import clone
from tests.conftest import ROOT
from tests.contract_service import MODEL, answer, defective, png
from tests.crafted import chunk

CONFIG = (ROOT / "model_repository/segmenter/config.pbtxt").read_text()


def parameter(name):
    return re.search(rf'"model\.{name}" value: {{ string_value: "([^"]*)"', CONFIG)[1]


def published_model():
    """The model of this repository as an answer describes it."""
    said = {name: parameter(name) for name in ("sha256", "commit")}
    return MODEL | said | {"data": parameter("data_digest"), "dirty": parameter("commit_dirty") == "true"}


@pytest.fixture
def analysis():
    return read_analysis(answer(defective(), published_model(), {"part": "Grün 7"}))


@pytest.fixture
def mask(tmp_path, analysis):
    path = tmp_path / "mask.png"
    path.write_bytes(draw_pictures(png(defective()), analysis).mask)
    return path


def mask_by(model):
    return draw_pictures(png(defective()), read_analysis(answer(defective(), model, {}))).mask


def test_it_says_what_was_found_by_which_model(mask, capsys):
    assert 0 == main(["provenance", str(mask)])

    said = capsys.readouterr().out
    for fact in (
        "part      Grün 7",
        "verdict   defect, type Blowhole, score 0.91",
        "judged    by alarm score 0.8, threshold 0.2509",
        f"model     segmenter/1, sha256 {parameter('sha256')}",
        f"trained   at commit {parameter('commit')}, without uncommitted changes",
        f"data      digest {parameter('data_digest')}",
    ):
        assert fact in said.splitlines()


def test_an_overlay_says_the_same(mask, tmp_path, analysis, capsys):
    overlay = tmp_path / "overlay.png"
    overlay.write_bytes(draw_pictures(png(defective()), analysis).overlay)
    main(["provenance", str(mask)])
    expected = capsys.readouterr().out.replace(str(mask), str(overlay))

    main(["provenance", str(overlay)])

    assert expected == capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_lead_to_the_code_the_run_and_the_graph_in_a_clone(mask, tmp_path, capsys):
    repository = clone(ROOT, tmp_path / "clone")
    main(["provenance", str(mask)])
    commands = capsys.readouterr().out.partition("\n\n")[2]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    done = subprocess.run(
        ["bash", "-euc", commands],
        cwd=repository,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"commit {parameter('commit')}" in done.stdout  # git show
    assert "dice_pooled" in done.stdout  # dvc exp show
    graph = (repository / "published/1/model.onnx").read_bytes()
    assert parameter("sha256") == hashlib.sha256(graph).hexdigest()
    run = json.loads((repository / "trained/segmenter.json").read_text())
    assert (parameter("commit"), parameter("data_digest")) == (run["commit"], run["data_digest"])
    assert (repository / "trained/segmenter.safetensors").stat().st_size > 1_000_000


def test_a_dirty_tree_is_told(tmp_path, capsys):
    path = tmp_path / "mask.png"
    path.write_bytes(mask_by(MODEL | {"dirty": True}))

    main(["provenance", str(path)])

    assert f"commit {MODEL['commit']}, with changes that this commit lacks" in capsys.readouterr().out


def test_a_model_that_says_less_has_fewer_commands(tmp_path, capsys):
    path = tmp_path / "mask.png"
    path.write_bytes(mask_by(MODEL | {"sha256": None, "data": None}))

    main(["provenance", str(path)])

    said = capsys.readouterr().out
    assert "git show" in said
    assert "dvc" not in said
    assert "sha256 unknown" in said


def test_a_picture_of_another_program_is_refused(tmp_path, capsys):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    Image.new("1", (4, 4)).save(tmp_path / "plain.png")
    plain = (tmp_path / "plain.png").read_bytes()
    (tmp_path / "odd.png").write_bytes(plain.removesuffix(END) + chunk(b"zTXt", b"Comment\0\1x") + END)

    for name, why in (
        ("photo.jpg", "no PNG file"),
        ("odd.png", "no PNG file"),
        ("plain.png", "does not say which model"),
        ("gone.png", "No such file"),
    ):
        assert 2 == main(["provenance", str(tmp_path / name)])
        assert why in capsys.readouterr().err


def test_any_name_is_printed_in_any_locale(mask):
    name = mask.with_name(os.fsdecode(b"gr\xff\xc3\xbcn.png"))
    mask.rename(name)

    done = subprocess.run(
        [sys.executable, "-m", "client", "provenance", name],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )

    assert "gr\\udcffün.png" in done.stdout.decode()
    assert "Grün 7" in done.stdout.decode()


def test_text_that_is_no_commit_reaches_no_shell(tmp_path, capsys):
    chunks = PngInfo()
    for key, value in {"Model": "a;b/1", "Model-Commit": "$(touch x)", "Model-Sha256": "`y`"}.items():
        chunks.add_text(key, value)
    Image.new("1", (4, 4)).save(tmp_path / "mask.png", pnginfo=chunks)

    main(["provenance", str(tmp_path / "mask.png")])

    said = capsys.readouterr().out
    assert "git show --stat --end-of-options '$(touch x)'" in said
    assert "-S '`y`' -- 'model_repository/a;b'" in said


def test_text_of_a_stranger_adds_no_line_and_moves_no_cursor(tmp_path, capsys):
    chunks = PngInfo()
    for key, value in {"Model": "a/1", "Model-Commit": "c0", "Part": "7\nrm -r ~", "Verdict": "\x1b[2Jok"}.items():
        chunks.add_text(key, value)
    Image.new("1", (4, 4)).save(tmp_path / "mask.png", pnginfo=chunks)

    main(["provenance", str(tmp_path / "mask.png")])

    said = capsys.readouterr().out
    assert r"part      '7\nrm -r ~'" in said
    assert "\x1b" not in said
