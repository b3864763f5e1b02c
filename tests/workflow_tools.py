"""What the workflows' tests stand on: programs in the place of cml, aws, docker, skopeo; GitHub and Heroku on loopback.

Each program records how it was called, refuses what it does not know, and a later call sees what an earlier one did.
"""

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import ROOT

# Documented at cml.dev/doc/ref, /doc/ref/runner and /doc/ref/comment, but for cloud-image. True: takes a value.
GENERIC = {"repo": True, "token": True, "log": True, "driver": True}
CML = {
    "runner launch": GENERIC
    | {"labels": True, "name": True, "idle-timeout": True, "no-retry": False, "single": False, "reuse": False}
    | {"reuse-idle": False, "cloud": True, "cloud-type": True, "cloud-gpu": True, "cloud-hdd-size": True}
    | {"cloud-spot": False, "cloud-spot-price": True, "cloud-region": True, "cloud-permission-set": True}
    | {"cloud-image": True, "cloud-metadata": True, "cloud-startup-script": True, "cloud-ssh-private": True}
    | {"cloud-aws-security-group": True, "cloud-aws-subnet": True, "docker-volumes": True},
    "comment create": GENERIC
    | {"target": True, "watch": False, "publish": True, "publish-native": False, "publish-url": True}
    | {"watermark-title": True},
}

PROGRAM = """\
#!{python}
import json, os, pathlib, sys
program, words, state = {name!r}, sys.argv[1:], pathlib.Path({state!r})
with (state / "calls").open("a") as file:
    file.write(json.dumps([program, *words]) + "\\n")
def refuse():
    sys.exit(program + ": not known here: " + json.dumps(words))
{body}
"""

CML_BODY = """\
options = json.loads({options!r})[" ".join(words[:2])]
for word in words[2:]:
    if word.startswith("--"):
        name, is_given, value = word[2:].partition("=")
        if name not in options or options[name] != bool(is_given and value):
            refuse()
(state / "token").write_text(os.environ["REPO_TOKEN"])
files = [word for word in words[2:] if not word.startswith("--")]
if words[0] == "comment":
    (state / "comment.md").write_text(pathlib.Path(*files).read_text())
elif files:
    refuse()
"""

# ec2.json has what there is in EC2: by its id, each thing's kind and what filters ask of it
AWS_BODY = """\
things, (service, command, *options) = json.loads((state / "ec2.json").read_text()), words
asked = dict(word.removeprefix("Name=").split(",Values=") for word in options if word.startswith("Name="))
def found(kind):
    for name, thing in things.items():
        if thing["kind"] == kind and all(thing.get(key) in values.split(",") for key, values in asked.items()):
            yield name, thing
def named():
    return [things[word] for word in options if not word.startswith("--")]
query = options[options.index("--query") + 1] if asked else ""
if service != "ec2":
    refuse()
elif (command, query) == ("describe-spot-instance-requests", "SpotInstanceRequests[].[SpotInstanceRequestId, State]"):
    print(json.dumps([[name, thing["state"]] for name, thing in found("request")]))
elif (command, query) == ("describe-instances", "Reservations[].Instances[].InstanceId"):
    print(json.dumps([name for name, _ in found("instance")]))
elif (command, query) == ("describe-key-pairs", "KeyPairs[].KeyName"):
    print(json.dumps([name for name, _ in found("key")]))
elif command == "cancel-spot-instance-requests" and "sir-gone" in options:
    sys.exit("InvalidSpotInstanceRequestID.NotFound")
elif command == "cancel-spot-instance-requests" and options[0] == "--spot-instance-request-ids":
    [thing.update(state="cancelled") for thing in named()]
elif command == "terminate-instances" and options[0] == "--instance-ids":
    [thing.update({"instance-state-name": "shutting-down"}) for thing in named()]
elif command == "delete-key-pair" and options[0] == "--key-name":
    [thing.update(kind="deleted") for thing in named()]
else:
    refuse()
(state / "ec2.json").write_text(json.dumps(things))
"""

DOCKER_BODY = """\
if words[0] == "build":
    (state / "built").write_text(words[words.index("--tag") + 1])
elif words[0] == "save":
    pathlib.Path(words[words.index("--output") + 1]).write_text((state / "built").read_text())
elif words[0] == "run":
    print("c0ffee")
elif words[:2] == ["port", "c0ffee"]:
    print((state / "container").read_text())
elif words[0] == "logs":
    print("what the container said")
elif words[0] not in ("load", "rm"):
    refuse()
"""

# A registry is a folder: docker://host/name → the digest that stands there, and of its configuration
SKOPEO_BODY = """\
import hashlib
def place(address):
    return state / ("registry-" + address.removeprefix("docker://").replace("/", "_"))
*options, source, target = words[1:] if words[0] == "copy" else ["", "", ""]
if words[0] == "login":
    (state / "logins").open("a").write(words[-1] + " " + sys.stdin.read() + "\\n")
elif words[0] == "inspect":
    print(json.dumps({"config": {"digest": place(words[-1]).read_text().split()[1]}}))
elif source.startswith("docker-archive:") and "--format=v2s2" in options:
    content = pathlib.Path(source.removeprefix("docker-archive:")).read_bytes()
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    text = digest + " " + os.environ.get("IMAGE_ID", "sha256:" + "1" * 64)
    place(target).write_text(text)
    place(target.rpartition(":")[0] + "@" + digest).write_text(text)
    (digestfile,) = [word for word in options if word.startswith("--digestfile=")]
    pathlib.Path(digestfile.removeprefix("--digestfile=")).write_text(digest)
elif target.startswith("docker-archive:"):
    pathlib.Path(target.split(":")[1]).write_text(place(source).read_text())
elif options == ["--preserve-digests"]:
    place(target).write_text(place(source).read_text())
else:
    refuse()
"""

BODIES = {
    "cml": CML_BODY.replace("{options!r}", repr(json.dumps(CML))),
    "aws": AWS_BODY,
    "docker": DOCKER_BODY,
    "skopeo": SKOPEO_BODY,
}


@dataclass(frozen=True)
class Step:
    """How steps are run: programs in the place of the real ones, variables, and the files that GitHub gives a step."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def install(self, *programs: str) -> None:
        (self.folder / "bin").mkdir(exist_ok=True)
        for name in programs:
            path = self.folder / "bin" / name
            path.write_text(PROGRAM.format(python=sys.executable, name=name, state=str(self.folder), body=BODIES[name]))
            path.chmod(0o755)

    def run(self, module: str, *words: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess:
        """Run `python -m workflows.<module>` of this working tree in a folder."""
        path = [self.folder / "bin", Path(sys.executable).parent, "/usr/local/bin", "/usr/bin", "/bin"]
        known = {
            "PATH": os.pathsep.join(map(str, path)),
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder),
            "DVC_NO_ANALYTICS": "1",
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
        }
        command = [sys.executable, "-P", "-m", f"workflows.{module}", *words]
        return subprocess.run(
            command, cwd=cwd, env=known | self.env | env, capture_output=True, text=True, check=False, timeout=250
        )

    def calls(self, program: str) -> list[list[str]]:
        lines = (self.folder / "calls").read_text().splitlines() if (self.folder / "calls").exists() else []
        return [words for name, *words in map(json.loads, lines) if name == program]

    def said(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the server's `answer(method, path, headers, body)` → (status, body), or headers between."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, *headers, answer = self.server.answer(self.command, self.path, self.headers, body)
        self.send_response(status)
        for name, value in (headers[0] if headers else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = _any  # noqa: N815 - the base class's names


@contextlib.contextmanager
def served(answer) -> Iterator[str]:
    """Serve on loopback until the end of the `with` block; the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer = answer
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class App:
    """POST /analyze that knows the true mask of each sample; `serves` is the image that runs, `bad` answer nonsense."""

    def __init__(self, model_commit: str) -> None:
        self.model_commit, self.serves, self.bad = model_commit, "", set()
        self.masks = {
            hashlib.sha256(path.read_bytes()).digest(): np.asarray(Image.open(path.with_suffix(".png")).convert("L"))
            for path in (ROOT / "samples/tiles").rglob("*.jpg")
        }

    def answer(self, method, path, headers, body):
        if (method, path) == ("GET", "/health/ready"):
            return 200, b"{}"
        if (method, path, headers["Content-Type"]) != ("POST", "/analyze", "image/jpeg"):
            return 404, b""
        mask = self.masks[hashlib.sha256(body).digest()] > 127
        if self.serves in self.bad:
            mask = np.zeros_like(mask)
        return 200, json.dumps({"pred": mask.astype(int).tolist(), "model": {"commit": self.model_commit}}).encode()


class Heroku:
    """One app of Heroku's Platform API, whose releases run images in an App."""

    def __init__(self, app: App, key: str) -> None:
        self.app, self.key, self.address = app, key, ""
        self.releases = [{"id": "r-1", "version": 1, "image": "sha256:old"}]
        self.posts = []
        self.dyno_state = "up"
        self.breaks = False  # it releases an image, and does not say so
        self.is_away_once = set()  # the paths whose first GET after a release gets 503

    def answer(self, method, path, headers, body):
        if path == "/log":
            return 200, b"heroku[web.1]: State changed from starting to up"
        if headers["Authorization"] != f"Bearer {self.key}" or not path.startswith("/apps/tiles-dev/"):
            return 401, b'{"id": "unauthorized"}'
        said = json.loads(body) if body else None
        if said is not None:
            self.posts.append((method, path, said))
        return self.reply(method, path.removeprefix("/apps/tiles-dev"), headers, said)

    def reply(self, method, path, headers, said):
        if method == "GET" and path in self.is_away_once and len(self.releases) > 1:
            self.is_away_once.remove(path)
            return 503, b'{"id": "unavailable"}'
        answer = {
            ("GET", "/releases"): self.list_releases,
            ("GET", "/dynos"): self.list_dynos,
            ("PATCH", "/formation"): self.release_image,
            ("POST", "/releases"): self.roll_back,
            ("POST", "/log-sessions"): self.open_log,
        }[method, path](headers, said)
        return (200, json.dumps(answer).encode()) if answer is not None else (200, b"<html>busy</html>")

    def list_releases(self, *_):
        newest = self.releases[-1]["version"]
        return [release | {"current": release["version"] == newest} for release in reversed(self.releases)]

    def list_dynos(self, *_):
        return [{"type": "web", "state": self.dyno_state, "release": {"version": self.releases[-1]["version"]}}]

    def release_image(self, headers, said):
        assert "application/vnd.heroku+json; version=3.docker-releases" == headers["Accept"]
        (update,) = said["updates"]
        assert "web" == update["type"]
        if update["docker_image"] != self.releases[-1]["image"]:
            self.make(update["docker_image"])
        return None if self.breaks else [update]

    def roll_back(self, _, said):
        (old,) = [release for release in self.releases if release["id"] == said["release"]]
        return self.make(old["image"])

    def open_log(self, *_):
        return {"logplex_url": f"{self.address}/log"}

    def make(self, image):
        version = len(self.releases) + 1
        self.releases.append({"id": f"r-{version}", "version": version, "image": image})
        self.app.serves = image
        return self.releases[-1]


class GitHub:
    """The releases of GitHub's REST API for one repository, and the commits of its good runs of 2-develop on dev."""

    def __init__(self, token: str) -> None:
        self.token, self.releases, self.good_runs = token, {}, []

    def answer(self, method, path, headers, body):
        if headers["Authorization"] != f"Bearer {self.token}":
            return 401, b"{}"
        if (method, path) == ("POST", "/repos/Maker/Tiles/releases"):
            release = json.loads(body)
            self.releases[release["tag_name"]] = release
            return 201, b"{}"
        if path.startswith("/repos/Maker/Tiles/actions/workflows/2-develop.yaml/runs?"):
            asked = dict(urllib.parse.parse_qsl(path.partition("?")[2]))
            assert {"branch": "dev", "event": "push", "status": "success", "per_page": "1"} == asked
            return 200, json.dumps({"workflow_runs": [{"head_sha": sha} for sha in self.good_runs[-1:]]}).encode()
        found = self.releases.get(path.removeprefix("/repos/Maker/Tiles/releases/tags/"))
        return (200, json.dumps(found).encode()) if found else (404, b'{"message": "Not Found"}')


class GitServer:
    """git over HTTP, that takes a push from who shows the token alone."""

    def __init__(self, folder: Path, token: str) -> None:
        self.folder, self.expected = folder, base64.b64encode(f"x-access-token:{token}".encode()).decode()

    def answer(self, method, path, headers, body):
        """Run git's own CGI program: (status, headers, body)."""
        if headers.get("Authorization") != f"basic {self.expected}":
            return 401, {"WWW-Authenticate": 'Basic realm="git"'}, b""
        path, _, query = path.partition("?")
        env = {
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": method,
            "CONTENT_TYPE": headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
            "REMOTE_USER": "bot",
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        found = dict(line.split(": ", 1) for line in head.decode().splitlines())
        return int(found.pop("Status", "200").split()[0]), found, content
