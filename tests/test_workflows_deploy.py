"""From a commit to an image, from the image to an app on Heroku, and back: GitHub and Heroku are on loopback."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from host.ports import free_port
from tests.clones import git
from tests.conftest import ROOT, wait_until
from tests.workflow_tools import App, GitHub, Heroku, Step, served
from workflows import candidate, smoke_test
from workflows.errors import ServiceError
from workflows.service import AwayError, NotFoundError, call

NEW, OLD = "sha256:" + "1" * 64, "sha256:old"


@dataclass
class World:
    """A clone of this repository, and everything that a deployment meets."""

    repository: Path
    step: Step
    app: App
    container: App
    heroku: Heroku
    github: GitHub

    def run(self, module: str, *words: str, **env: str) -> subprocess.CompletedProcess:
        return self.step.run(module, *words, cwd=self.repository, **env)

    def git(self, *words: str) -> str:
        return git(self.repository, *words)

    @property
    def images(self) -> list[str]:
        return [release["image"] for release in self.heroku.releases]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    repository = tmp_path / "repository"
    subprocess.run(["git", "clone", "--quiet", ROOT, repository], check=True)
    commit = smoke_test.MODEL_COMMIT.search((repository / smoke_test.CONFIGURATION).read_text()).group(1)
    app, container, github = App(commit), App(commit), GitHub("github's")
    heroku = Heroku(app, "heroku's")
    folder = tmp_path / "step"
    folder.mkdir()
    with (
        served(heroku.answer) as heroku.address,
        served(github.answer) as github_url,
        served(app.answer) as app_url,
        served(container.answer) as container_url,
    ):
        (folder / "container").write_text(container_url.removeprefix("http://"))
        step = Step(
            folder,
            {
                "GITHUB_REPOSITORY": "Maker/Tiles",
                "GITHUB_ACTOR": "somebody",
                "GITHUB_TOKEN": "github's",
                "GITHUB_API_URL": github_url,
                "HEROKU_API_URL": heroku.address,
                "HEROKU_API_KEY": "heroku's",
                "HEROKU_APP": "tiles-dev",
                "APP_URL": app_url,
            },
        )
        step.install("docker", "skopeo")
        yield World(repository, step, app, container, heroku, github)


def built(world: World) -> str:
    """Build the image of HEAD, and return its name@digest."""
    done = world.run("image")
    assert 0 == done.returncode, done.stderr
    return json.loads((world.repository / "image.json").read_text())["image"]


def passed_on_dev(world: World) -> str:
    """Build the image of HEAD and deploy it, as dev's workflow does; from then on, the app is production's."""
    reference = built(world)
    done = world.run("deploy", "--built")
    assert 0 == done.returncode, done.stderr
    assert [OLD, NEW] == world.images
    del world.heroku.releases[1:]
    return reference


def test_a_built_image_is_pushed_and_a_file_names_its_digest(world: World) -> None:
    reference = built(world)

    assert reference.startswith("ghcr.io/maker/tiles@sha256:")
    assert reference in world.step.said("summary")
    assert "ghcr.io github's\n" == world.step.said("logins")
    assert "github's" not in world.step.said("calls")


def test_the_digest_of_an_image_that_passed_on_dev_stands_in_a_release(world: World) -> None:
    reference = passed_on_dev(world)

    ((tag, release),) = world.github.releases.items()
    assert json.loads((world.repository / "image.json").read_text())["release"] == tag
    assert f"    {reference}\n" in release["body"]
    assert f"commit {world.git('rev-parse', 'HEAD')}:" in release["body"]
    assert "target_commitish" not in release  # GitHub would refuse a commit that changes a workflow
    assert release["prerelease"]


def test_an_image_that_failed_on_dev_never_reaches_production(world: World) -> None:
    built(world)
    world.app.bad.add(NEW)
    assert 1 == world.run("deploy", "--built").returncode
    world.app.bad.clear()

    done = world.run("deploy")

    assert 1 == done.returncode
    assert "no image of these sources was tested on dev" in done.stderr
    assert {} == world.github.releases


def test_only_an_image_of_the_checked_out_sources_counts_as_just_built(world: World) -> None:
    built(world)
    (world.repository / "proxy/new.py").write_text("")
    world.git("add", "proxy")
    world.git("commit", "--quiet", "--message", "after the build")

    done = world.run("deploy", "--built")

    assert 1 == done.returncode
    assert "image.json names no image of these sources: run `python -m workflows.image` first" in done.stderr
    assert [OLD] == world.images


def test_an_image_is_labelled_by_its_commit_and_its_repository(world: World) -> None:
    built(world)

    (build,) = [words for words in world.step.calls("docker") if words[0] == "build"]
    assert f"--build-arg=REVISION={world.git('rev-parse', 'HEAD')}" in build
    assert "--build-arg=SOURCE=https://github.com/Maker/Tiles" in build


def test_an_image_is_built_once_for_the_same_sources(world: World) -> None:
    reference = passed_on_dev(world)
    world.git("commit", "--quiet", "--allow-empty", "--message", "nothing that the image holds")

    assert reference == built(world)
    assert 1 == len([words for words in world.step.calls("docker") if words[0] == "build"])


def test_an_image_of_uncommitted_sources_is_refused(world: World) -> None:
    (world.repository / "proxy/new.py").write_text("")

    done = world.run("image")

    assert 1 == done.returncode
    assert "proxy/new.py" in done.stderr
    assert {} == world.github.releases


def test_the_image_of_dev_reaches_production_by_its_digest_whatever_the_merge(world: World) -> None:
    reference = passed_on_dev(world)
    world.git("checkout", "--quiet", "--orphan", "merged")
    world.git("commit", "--quiet", "--message", "a squash of dev")

    done = world.run("deploy")

    assert 0 == done.returncode, done.stderr
    assert [OLD, NEW] == world.images
    copies = [words[-2:] for words in world.step.calls("skopeo") if words[:2] == ["copy", "--preserve-digests"]]
    assert [[f"docker://{reference}", "docker://registry.heroku.com/tiles-dev/web"]] * 2 == copies  # dev, production
    assert 1 == len([words for words in world.step.calls("docker") if words[0] == "build"])
    assert "release v2" in world.step.said("summary")
    assert "heroku's" not in world.step.said("calls")


def test_sources_that_dev_never_built_are_not_deployed(world: World) -> None:
    passed_on_dev(world)
    (world.repository / "proxy/new.py").write_text("")
    world.git("add", "proxy")
    world.git("commit", "--quiet", "--message", "straight to main")

    done = world.run("deploy")

    assert 1 == done.returncode
    assert "no image of these sources was tested on dev" in done.stderr
    assert [OLD] == world.images


def test_an_image_that_fails_here_never_reaches_the_app(world: World) -> None:
    built(world)
    world.container.bad.add(world.container.serves)

    done = world.run("deploy", "--built")

    assert 1 == done.returncode
    assert "Dice of 0.000" in done.stderr
    assert "what the container said" in done.stderr
    assert [] == world.heroku.posts
    assert ["rm", "--force", "c0ffee"] == world.step.calls("docker")[-1]


def test_an_app_that_fails_its_smoke_test_is_rolled_back(world: World) -> None:
    built(world)
    world.app.bad.add(NEW)

    done = world.run("deploy", "--built")

    assert 1 == done.returncode
    assert [OLD, NEW, OLD] == world.images
    assert ("POST", "/apps/tiles-dev/releases", {"release": "r-1"}) == world.heroku.posts[-1]
    assert "tiles-dev is back on v1 and passes the smoke test" in world.step.said("summary")
    assert "State changed from starting to up" in done.stderr


def test_a_request_to_heroku_that_fails_once_rolls_nothing_back(world: World) -> None:
    built(world)
    world.heroku.is_away_once |= {"/releases", "/dynos"}

    done = world.run("deploy", "--built")

    assert 0 == done.returncode, done.stderr
    assert [OLD, NEW] == world.images
    assert set() == world.heroku.is_away_once


def test_an_image_that_the_app_runs_already_is_tested_in_it_even_if_its_dyno_sleeps(world: World) -> None:
    built(world)
    world.heroku.releases[0]["image"], world.heroku.dyno_state = NEW, "idle"

    done = world.run("deploy", "--built")

    assert 0 == done.returncode, done.stderr
    assert [NEW] == world.images


def test_an_app_of_which_it_is_not_known_what_it_runs_is_rolled_back(world: World) -> None:
    built(world)
    world.heroku.breaks = True

    done = world.run("deploy", "--built")

    assert 1 == done.returncode
    assert [OLD, NEW, OLD] == world.images
    assert "tiles-dev is back on v1" in world.step.said("summary")


def test_another_model_than_the_commits_is_rolled_back(world: World) -> None:
    built(world)
    world.app.model_commit = "0ldc0de"

    done = world.run("deploy", "--built")

    assert 1 == done.returncode
    assert "the service answers with the model of commit 0ldc0de" in done.stderr
    assert [OLD, NEW, OLD] == world.images


def test_a_rollback_that_fails_calls_a_person_with_the_command(world: World) -> None:
    built(world)
    world.app.bad |= {NEW, OLD}

    done = world.run("deploy", "--built")

    assert 1 == done.returncode
    assert "By hand: heroku releases:rollback v1 --app tiles-dev" in done.stderr


def test_a_wrong_key_of_heroku_is_told_as_its_answer(world: World) -> None:
    built(world)

    done = world.run("deploy", "--built", HEROKU_API_KEY="another")

    assert 1 == done.returncode
    assert "answered 401" in done.stderr
    assert "another" not in done.stderr


def test_a_missing_variable_is_named(world: World) -> None:
    done = world.run("deploy", HEROKU_APP="")

    assert 1 == done.returncode
    assert "HEROKU_APP is not set: docs/workflows.md" in done.stderr


def test_a_laptop_builds_and_deploys_with_the_variables_that_the_document_exports(world: World) -> None:
    exported = re.findall(r"^export (.+)$", (ROOT / "docs/workflows.md").read_text(), re.MULTILINE)
    names = {word.partition("=")[0] for words in exported for word in words.split()}

    assert set() == world.step.env.keys() - {"GITHUB_API_URL", "HEROKU_API_URL"} - names


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (401, {}, ServiceError),
        (404, {}, NotFoundError),
        (429, {}, AwayError),
        (503, {}, AwayError),
        (200, {"Content-Length": "100"}, AwayError),  # and the answer breaks off
    ],
)
def test_a_service_that_is_away_is_told_from_one_that_refuses(
    status: int, headers: dict[str, str], kind: type[ServiceError]
) -> None:
    with served(lambda *_: (status, headers, b"busy")) as address, pytest.raises(ServiceError) as raised:
        call("GET", address, {})

    assert kind is raised.type


def test_an_image_is_made_of_what_the_dockerfile_copies() -> None:
    words = [line.split() for line in (ROOT / "Dockerfile").read_text().splitlines()]
    ours = [line[1:-1] for line in words if line[:1] == ["COPY"] and not line[1].startswith("--from")]
    copied = {path for line in ours for path in line if not path.startswith("--")}
    whole = {path for path in copied if not any(Path(path).is_relative_to(other) for other in copied - {path})}

    assert whole | {"Dockerfile", ".dockerignore"} == set(candidate.SOURCES)


@pytest.mark.slow
def test_the_real_service_passes_the_smoke_test(start_service, tmp_path: Path) -> None:
    port = free_port()
    service = start_service(
        "launch",
        PORT=str(port),
        TRITON_HTTP_PORT=str(free_port()),
        TRITON_METRICS_PORT=str(free_port()),
        MODEL_INSTANCES="1",
    )
    wait_until(lambda: "open http" in service.said, service)

    done = Step(tmp_path).run("smoke", f"http://127.0.0.1:{port}")

    assert 0 == done.returncode, done.stderr
    assert "30 images analysed" in (tmp_path / "summary").read_text()
