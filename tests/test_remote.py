"""DVC's remote as docs/remote.md promises it: this repository's .dvc/config, a small pipeline, a real S3 server."""

import configparser
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import s3fs
from ruamel.yaml import YAML

from tests.certificates import certificate
from tests.conftest import ROOT
from tests.cut_line import Line, line_to
from tests.s3_server import S3Server, credentials, s3_server

DOCS = (ROOT / "docs/remote.md").read_text()
UP_TO_DATE = "Data and pipelines are up to date."
PIPELINE = """\
stages:
  data_load:
    cmd: python load.py
    deps: [load.py]
    outs: [data/tiles]
  data_split:
    cmd: cat data/tiles/* | base64 > data/split.csv
    deps: [data/tiles]
    outs: [data/split.csv]
  train:
    cmd: md5sum < data/split.csv > model.txt
    deps: [data/split.csv]
    outs:
      - model.txt:
          cache: false
"""
# Twelve tiles of 100 kB; the seed stands for the archive
LOAD = """\
import pathlib, random
noise, folder = random.Random({seed}), pathlib.Path("data/tiles")
folder.mkdir(parents=True)
for number in range(12):
    (folder / f"{{number}}.jpg").write_bytes(noise.randbytes(100_000))
"""
CUT_BYTES = 15_000  # DVC goes on where it was, five times: five of these are less than a tile

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Clone:
    """A clone of the small project, and the environment that its commands run in."""

    folder: Path
    env: dict[str, str]

    def start(self, command: str, **env: str) -> subprocess.Popen:
        words, pipe = shlex.split(command), subprocess.PIPE
        return subprocess.Popen(words, cwd=self.folder, env=self.env | env, stdout=pipe, stderr=pipe, text=True)

    def try_to(self, command: str, **env: str) -> subprocess.CompletedProcess:
        process = self.start(command, **env)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def run(self, command: str, **env: str) -> str:
        done = self.try_to(command, **env)
        assert 0 == done.returncode, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def configure(self, **options: str) -> None:
        """Set the remote's options for this clone alone, as `dvc remote modify --local storage …` does."""
        lines = "".join(f"    {name} = {value}\n" for name, value in options.items())
        (self.folder / ".dvc/config.local").write_text(f"['remote \"storage\"']\n{lines}")

    def clone(self, name: str) -> "Clone":
        other = Clone(self.folder.with_name(name), self.env)
        self.run(f"git clone --quiet {self.folder} {other.folder}")
        return other

    def copy(self, name: str) -> "Clone":
        """Copy the cache and the data, too."""
        folder = shutil.copytree(self.folder, self.folder.with_name(name))
        return Clone(folder, self.env)

    def in_cache(self, path: Path) -> Path:
        """Where this clone's cache keeps what a file holds."""
        name = md5(path.read_bytes())
        return self.folder / ".dvc/cache/files/md5" / name[:2] / name[2:]

    def load_another(self, seed: int, message: str) -> None:
        (self.folder / "load.py").write_text(LOAD.format(seed=seed))
        self.run("dvc repro --quiet")
        self.run("git add --all")
        self.run(f"git commit --quiet --message {message}")

    def content(self, *folders: str) -> dict[str, str]:
        """MD5 of each file in these folders, by its path."""
        paths = [path for folder in folders for path in (self.folder / folder).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.folder)): md5(path.read_bytes()) for path in paths}


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def cached(clone: Clone) -> dict[str, str]:
    """What each object of DVC's cache is called, and the MD5 of what it holds; a download's .tmp counts for nothing."""
    objects = clone.content(".dvc/cache/files/md5")
    names = {"".join(path.split("/")[-2:]).removesuffix(".dir"): held for path, held in objects.items()}
    return {name: held for name, held in names.items() if not name.endswith(".tmp")}


def in_bucket(server: S3Server, prefix: str) -> dict[str, str]:
    """What each object below the prefix is called, and the MD5 of what it holds."""
    files = bucket(server)
    paths = files.find(f"{server.bucket}/{prefix}")
    objects = files.cat(paths) if paths else {}
    return {"".join(path.split("/")[-2:]).removesuffix(".dir"): md5(held) for path, held in objects.items()}


def bucket(server: S3Server) -> s3fs.S3FileSystem:
    key, secret = server.credentials.values()
    return s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=server.endpoint, skip_instance_cache=True)


def told(case: str) -> str:
    """The message that docs/remote.md quotes for a case of its table."""
    (quoted,) = re.findall(rf"^\| {case} \| `(.+?)` \|", DOCS, re.MULTILINE)
    return quoted


def policies() -> dict[str, str]:
    """The policy that docs/remote.md shows, for this bucket, and with less and more rights."""
    (shown,) = re.findall(r"^```json\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    writer = shown.replace("your-bucket/dvc/", "tiles/").replace("your-bucket", "tiles")
    put = '"s3:GetObject", "s3:PutObject"'
    assert put in writer
    return {
        "writer": writer,
        "reader": writer.replace(put, '"s3:GetObject"'),
        "cleaner": writer.replace(put, f'{put}, "s3:DeleteObject"'),
    }


def named_by_content(objects: dict[str, str]) -> bool:
    return all(name == held for name, held in objects.items())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3"), policies=policies()) as server:
        yield server


@pytest.fixture
def line(server: S3Server) -> Iterator[Line]:
    with line_to(urlsplit(server.endpoint).port) as line:
        yield line


@pytest.fixture(scope="module")
def pushed(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A project whose remote was replaced by the documented command, and its data pushed."""
    home = tmp_path_factory.mktemp("home")
    project = Clone(tmp_path_factory.mktemp("pushed") / "project", environment(home) | server.credentials)
    (project.folder / ".dvc").mkdir(parents=True)
    for name in ("config", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, project.folder / ".dvc")
    (project.folder / "dvc.yaml").write_text(PIPELINE)
    (project.folder / ".gitignore").write_text("/data/\n")
    project.run("git init --quiet --initial-branch main")
    project.run(f"dvc remote modify storage url s3://{server.bucket}/dvc")
    project.run(f"dvc remote modify storage endpointurl {server.endpoint}")
    project.load_another(seed=1, message="first")
    project.run("dvc push")
    return project


def environment(home: Path) -> dict[str, str]:
    """Nothing of the tester's own, no credentials, AWS files or git configuration; refusals come at the first try."""
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "DVC_SITE_CACHE_DIR": str(home / "dvc"),
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **{f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }


def test_a_clone_pulls_and_has_nothing_to_run(pushed: Clone) -> None:
    other = pushed.clone("pulls")
    assert (other.folder / "model.txt").exists()  # git brought it
    assert not (other.folder / "data").exists()

    other.run("dvc pull")

    assert pushed.content("data") == other.content("data")
    assert UP_TO_DATE in other.run("dvc status")
    assert "Running stage" not in other.run("dvc repro")


def test_the_bucket_holds_the_cached_outputs_by_their_content_and_no_others(pushed: Clone, server: S3Server) -> None:
    objects = in_bucket(server, "dvc")

    assert named_by_content(objects)
    assert len(pushed.content("data")) + 1 == len(objects)  # and the folder's listing
    assert set(pushed.content("data").values()) < objects.keys()
    assert md5((pushed.folder / "model.txt").read_bytes()) not in objects


def test_a_push_of_what_is_there_pushes_nothing(pushed: Clone) -> None:
    assert "Everything is up to date." in pushed.run("dvc push")


def test_a_pull_that_is_cut_leaves_nothing_half_written_and_another_completes_it(pushed: Clone, line: Line) -> None:
    other = pushed.clone("cut")
    other.configure(endpointurl=line.endpoint)
    line.down_bytes = CUT_BYTES

    done = other.try_to("dvc pull")

    assert 1 == done.returncode
    assert told("a pull was cut") in done.stderr
    assert named_by_content(cached(other))
    assert {} == other.content("data")

    line.mend()
    other.run("dvc pull")
    assert pushed.content("data") == other.content("data")


def test_a_cut_pull_of_two_objects_keeps_no_half_of_the_second(pushed: Clone, line: Line) -> None:
    """DVC 3.67 would, and trust it: `verify = true` in .dvc/config is there for this."""
    other = pushed.copy("two")
    shutil.rmtree(other.folder / "data")
    for tile in ("0.jpg", "1.jpg"):
        other.in_cache(pushed.folder / "data/tiles" / tile).unlink()
    other.configure(endpointurl=line.endpoint)
    line.down_bytes = CUT_BYTES

    assert 1 == other.try_to("dvc pull").returncode
    assert named_by_content(cached(other))

    line.mend()
    other.run("dvc pull")
    assert pushed.content("data") == other.content("data")


def test_a_pull_that_is_killed_leaves_nothing_that_counts_and_another_completes_it(pushed: Clone, line: Line) -> None:
    other = pushed.clone("killed")
    other.configure(endpointurl=line.endpoint)
    line.down_bytes = CUT_BYTES
    line.go_on.clear()  # a tile is under way, and no more of it comes

    process = other.start("dvc pull")
    assert line.full.wait(60)
    process.kill()
    process.communicate(timeout=60)

    assert named_by_content(cached(other))
    assert {} == other.content("data")

    line.mend()
    line.go_on.set()
    other.run("dvc pull")
    assert pushed.content("data") == other.content("data")


def test_a_push_that_is_cut_leaves_whole_objects_and_another_completes_it(
    pushed: Clone, line: Line, server: S3Server
) -> None:
    other = pushed.copy("cut-push")
    other.configure(url=f"s3://{server.bucket}/cut-push", endpointurl=line.endpoint)
    line.up_bytes = CUT_BYTES

    done = other.try_to("dvc push")

    assert 1 == done.returncode
    assert told("a push was cut") in done.stderr
    assert named_by_content(in_bucket(server, "cut-push"))

    line.mend()
    other.run("dvc push")
    assert in_bucket(server, "dvc") == in_bucket(server, "cut-push")


def test_a_damaged_object_is_never_taken_for_the_data(pushed: Clone, server: S3Server) -> None:
    other = pushed.copy("damaged")
    other.configure(url=f"s3://{server.bucket}/damaged")
    other.run("dvc push")
    name = md5((other.folder / "data/split.csv").read_bytes())
    path = f"{server.bucket}/damaged/files/md5/{name[:2]}/{name[2:]}"
    bucket(server).pipe(path, b"damaged")
    for folder in ("data", ".dvc/cache"):
        shutil.rmtree(other.folder / folder)

    done = other.try_to("dvc pull")

    assert 1 == done.returncode
    assert told("an object is missing or damaged") in done.stderr
    assert not (other.folder / "data/split.csv").exists()
    assert name not in cached(other)


# What the page shows → the test that runs it, with a bucket and a server that are there
COMMANDS = {
    "dvc remote modify storage url s3://your-bucket/dvc": "the fixture `pushed`",
    "dvc push": "the fixture `pushed`",
    "git clone https://example.com/you/magnetic-tiles.git": "a_clone_pulls",
    "cd magnetic-tiles": "the shell",
    "dvc pull": "a_clone_pulls",
    "dvc status": "a_clone_pulls",
    "dvc remote modify --local storage access_key_id AKIA…": "secrets_of_this_clone",
    "dvc remote modify --local storage secret_access_key …": "secrets_of_this_clone",
    "dvc remote modify storage endpointurl https://s3.example.com": "the fixture `pushed`",
    "dvc remote add --force --default storage gs://your-bucket/dvc": "another_kind_of_remote",
    "dvc remote modify storage verify true": "another_kind_of_remote",
    "git fetch --all --tags": "gc_knows_only",
    "dvc gc --all-commits --cloud --dry": "gc_in_the_cloud, with --workspace",
    "dvc gc --all-commits --cloud": "gc_knows_only, with --force in place of the question",
}


def test_every_command_of_the_page_is_run_here() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)

    assert COMMANDS.keys() == {line for block in blocks for line in block.splitlines()}


def test_every_case_of_the_pages_table_is_brought_about_here() -> None:
    table = DOCS.split("| what is wrong | DVC says | what to do |\n|---|---|---|\n")[1].split("\n\n")[0]
    asked = set(re.findall(r'told\("(.+?)"\)', Path(__file__).read_text())) | REFUSALS.keys()

    assert asked == {row.split("|")[1].strip() for row in table.splitlines()}


# A case of the table in docs/remote.md → what brings it about: variables, options of the remote
REFUSALS = {
    "no credentials": ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, {}),
    "wrong credentials": ({"AWS_SECRET_ACCESS_KEY": "wrong"}, {}),
    "no such bucket": ({}, {"url": "s3://nowhere/dvc"}),
    "no server there": ({}, {"endpointurl": "http://127.0.0.1:9"}),
    "a proxy in between": ({"HTTP_PROXY": "http://127.0.0.1:9"}, {}),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_pull_and_push_say_what_the_page_explains(pushed: Clone, case: str) -> None:
    variables, options = REFUSALS[case]
    puller, pusher = pushed.clone(f"pull-{case.replace(' ', '-')}"), pushed.copy(f"push-{case.replace(' ', '-')}")
    for clone in (puller, pusher):
        clone.configure(**options)

    for done in (puller.try_to("dvc pull", **variables), pusher.try_to("dvc push", **variables)):
        assert done.returncode in (1, 255)
        assert told(case) in done.stderr
    assert {} == cached(puller) == puller.content("data")


def test_gc_in_the_cloud_removes_what_is_no_longer_used_and_nothing_else(pushed: Clone, server: S3Server) -> None:
    other = pushed.copy("gc")
    other.configure(url=f"s3://{server.bucket}/gc")
    other.run("dvc push")
    first = in_bucket(server, "gc")
    other.load_another(seed=2, message="second")
    other.run("dvc push")
    both = in_bucket(server, "gc")

    other.run("dvc gc --workspace --cloud --dry")
    assert both == in_bucket(server, "gc")

    said = other.run("dvc gc --workspace --cloud --force", **credentials("writer"))
    assert f"Removed {len(first)} objects from remote." in said  # it may not delete, and is not told so
    assert both == in_bucket(server, "gc")

    other.run("dvc gc --workspace --cloud --force", **credentials("cleaner"))
    assert both.keys() - first.keys() == in_bucket(server, "gc").keys()


def test_gc_knows_only_the_commits_that_were_fetched(pushed: Clone, server: S3Server) -> None:
    behind, ahead = pushed.copy("behind"), pushed.copy("ahead")
    behind.run(f"git remote add origin {ahead.folder}")
    for clone in (behind, ahead):
        clone.configure(url=f"s3://{server.bucket}/behind")
    behind.run("dvc push")
    first = in_bucket(server, "behind")
    ahead.load_another(seed=2, message="second")
    ahead.run("dvc push")
    both = in_bucket(server, "behind")

    behind.run("git fetch --quiet --all --tags")
    shutil.rmtree(behind.folder / ".dvc/cache")  # so that it knows of the second what git and the remote tell alone
    behind.run("dvc gc --all-commits --cloud --force")
    assert both == in_bucket(server, "behind")

    behind.run("git remote remove origin")
    behind.run("dvc gc --all-commits --cloud --force")
    assert first == in_bucket(server, "behind")


def test_the_documented_policy_is_enough_to_push_and_one_without_put_to_pull(pushed: Clone, server: S3Server) -> None:
    other = pushed.copy("policy")
    other.configure(url=f"s3://{server.bucket}/policy")

    refused = other.try_to("dvc push", **credentials("reader"))
    assert 1 == refused.returncode
    assert told("a right is missing") in refused.stderr
    other.run("dvc push", **credentials("writer"))
    for folder in ("data", ".dvc/cache"):
        shutil.rmtree(other.folder / folder)
    other.run("dvc pull", **credentials("reader"))
    assert pushed.content("data") == other.content("data")


def test_an_aws_profile_may_name_server_and_keys(pushed: Clone, server: S3Server, tmp_path: Path) -> None:
    key, secret = server.credentials.values()
    keys = f"aws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    (tmp_path / "config").write_text(f"[profile work]\nendpoint_url = {server.endpoint}\n{keys}")
    other = pushed.clone("profile")
    other.run("dvc remote modify --unset storage endpointurl")
    other.run("dvc remote modify --local storage profile work")
    none = dict.fromkeys(server.credentials, "")

    other.run("dvc pull", AWS_CONFIG_FILE=str(tmp_path / "config"), **none)

    assert pushed.content("data") == other.content("data")


def test_secrets_of_this_clone_are_out_of_gits_sight(pushed: Clone, server: S3Server) -> None:
    other = pushed.clone("secrets")
    key, secret = server.credentials.values()
    other.run("dvc remote modify --local storage access_key_id " + key)
    other.run("dvc remote modify --local storage secret_access_key " + secret)

    other.run("dvc pull", **dict.fromkeys(server.credentials, ""))

    assert "" == other.run("git status --porcelain")
    assert "" == other.run("git ls-files .dvc/config.local")


def test_a_certificate_of_ones_own_is_refused_until_it_is_named(
    pushed: Clone, server: S3Server, tmp_path: Path
) -> None:
    other = pushed.clone("tls")
    with line_to(urlsplit(server.endpoint).port, certificate(tmp_path / "own.pem")) as line:
        other.configure(endpointurl=line.endpoint)
        refused = other.try_to("dvc pull")
        assert 1 == refused.returncode
        assert told("a certificate of your own") in refused.stderr

        other.configure(endpointurl=line.endpoint, ssl_verify=str(tmp_path / "own.pem"))
        other.run("dvc pull")

    assert pushed.content("data") == other.content("data")


def test_another_kind_of_remote_takes_the_first_ones_place(pushed: Clone, tmp_path: Path) -> None:
    other = pushed.copy("folder")

    left = other.try_to("dvc remote modify storage url azure://container/dvc")
    assert 251 == left.returncode
    assert told("an option of the former kind is left") in left.stderr

    other.run("dvc remote add --force --default storage gs://your-bucket/dvc")
    lacking = other.try_to("dvc push")
    assert 255 == lacking.returncode
    assert told("a package is missing") in lacking.stderr

    other.run(f"dvc remote add --force --default storage {tmp_path}/dvc")
    other.run("dvc remote modify storage verify true")
    other.run("dvc push")
    assert "are in sync" in other.run("dvc status --cloud")


def test_this_repositorys_config_checks_downloads_and_names_one_s3_remote() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc/config")

    assert "storage" == config["core"]["remote"]
    assert {"url": "s3://magnetic-tiles/dvc", "verify": "true"} == dict(config["'remote \"storage\"'"])


def test_what_the_page_says_of_the_data_is_what_the_lock_says() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.lock")["stages"]
    (tiles,), (split,) = stages["data_load"]["outs"], stages["data_split"]["outs"]

    assert f"`data/tiles` ({tiles['nfiles']} files, {tiles['size'] / 1e6:.0f} MB)" in DOCS
    assert f"`data/split.csv` ({split['size'] / 1e3:.0f} kB)" in DOCS


def test_every_output_that_is_not_cached_is_in_git() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    kinds = [stage.get(kind, []) for stage in stages.values() for kind in ("outs", "metrics", "plots")]
    outs = [out if isinstance(out, dict) else {out: {}} for kind in kinds for out in kind]
    cached_outs = {path for out in outs for path, options in out.items() if options.get("cache", True)}
    uncached = {path for out in outs for path in out} - cached_outs

    assert {"data/tiles", "data/split.csv"} == cached_outs
    for path in uncached:
        assert subprocess.check_output(["git", "ls-files", path], cwd=ROOT), path
