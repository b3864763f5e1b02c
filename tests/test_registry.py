"""docs/experimenting.md, "Release a version": register, assign, roll back, and from a tag to the deployed model."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.pages import code, under

PAGE = (ROOT / "docs/experimenting.md").read_text()
BLOCKS = [block.splitlines() for block in code(under(PAGE, "### Release a version"))]
CONFIG = "model_repository/segmenter/config.pbtxt"
URL = "https://git.example.com/magnetic-tiles.git"

pytestmark = pytest.mark.slow


def run(folder: Path, command: str) -> str:
    """Run a command of the page there, with the training environment on the path."""
    line = f'export PATH="{Path(sys.executable).parent}:$PATH"; {command}'
    done = subprocess.run(["bash", "-euc", line], cwd=folder, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def publish(folder: Path, model: str) -> str:
    """Commit a model; its commit."""
    (folder / CONFIG).write_text(model)
    run(folder, f"git add --all && git commit --quiet -m {model!r}")
    return run(folder, "git rev-parse HEAD").strip()


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A repository in which the page was followed: (folder, what each block said, the commits of both models)."""
    folder = tmp_path_factory.mktemp("registry") / "repository"
    (folder / CONFIG).parent.mkdir(parents=True)
    run(folder, "git init --quiet && git config user.name test && git config user.email test@example.com")
    run(folder, "dvc init --quiet")
    artifacts = {"artifacts": yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(artifacts))
    said, commits = [], []
    for number, block in enumerate(BLOCKS[:3]):
        if number < 2:
            commits.append(publish(folder, ("first", "second")[number]))
        said.append(run(folder, "\n".join(block)))
    return folder, said, commits


def test_the_page_has_the_blocks_that_are_walked_through():
    assert ["gto", "gto", "gto", "version=$(gto", "dvc"] == [block[0].split()[0] for block in BLOCKS]


def test_a_version_is_a_tag_on_the_commit_of_its_model(walked):
    folder, _, commits = walked
    for version, commit in zip(("v0.1.0", "v0.2.0"), commits, strict=True):
        assert commit == run(folder, f"git rev-list -n 1 segmenter@{version}").strip()


def test_promotions_and_the_way_back_are_tags_that_the_history_keeps(walked):
    folder, said, commits = walked
    tags = [f"segmenter#prod#{number}" for number in (1, 2, 3)]
    assert [commits[0], commits[1], commits[0]] == [run(folder, f"git rev-list -n 1 '{tag}'").strip() for tag in tags]
    assert "v0.2.0" in said[1]
    assert "v0.1.0" == run(folder, "gto show 'segmenter#prod' --version").strip()


def test_the_version_that_is_promoted_reaches_the_clusters_init_container(walked, tmp_path):
    folder, _, _ = walked
    rendered = subprocess.run(
        [Path(sys.executable).parent / "kubectl", "kustomize", ROOT / "deploy/kubernetes/overlays/cpu"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (deployment,) = [
        found for found in yaml.safe_load_all(rendered)
        if (found["kind"], found["metadata"]["name"]) == ("Deployment", "magnetic-tiles-triton")
    ]  # fmt: skip
    (tmp_path / "triton.yaml").write_text(yaml.safe_dump(deployment))
    asked, told = BLOCKS[3]
    local = told.replace(" deployment/magnetic-tiles-triton", f" --local -f {tmp_path / 'triton.yaml'} -o yaml")
    assert local != told
    (init,) = yaml.safe_load(run(folder, f"{asked}\n{local}"))["spec"]["template"]["spec"]["initContainers"]
    variables = {variable["name"]: variable["value"] for variable in init["env"]}
    assert "segmenter@v0.1.0" == variables["MODEL_REVISION"]

    (tmp_path / "models").mkdir()
    script = init["args"][0].replace("/models", str(tmp_path / "models"))
    run(tmp_path, f"export MODEL_SOURCE={folder.as_uri()} MODEL_REVISION={variables['MODEL_REVISION']}\n{script}")
    assert "first" == (tmp_path / "models" / CONFIG).read_text()


def test_dvc_fetches_the_promoted_model_without_a_clone(walked, tmp_path):
    folder, _, _ = walked
    fetch, serve = BLOCKS[4]
    run(tmp_path, fetch.replace(URL, str(folder)))
    assert "first" == (tmp_path / "models-of-prod/segmenter/config.pbtxt").read_text()
    assert "MODEL_REPOSITORY=models-of-prod make serve" == serve


def test_the_artifact_is_the_whole_model_that_is_published():
    artifact = yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"]["segmenter"]
    outputs = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["quantize"]["outs"]
    paths = [path for out in outputs for path in out if path.startswith("model_repository")]
    assert len(paths) > 4
    assert all(path.startswith(artifact["path"] + "/") for path in paths)
