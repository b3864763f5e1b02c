"""A Heroku app whose web process is a container: release an image, wait for it, roll back, read the log.

Source: Heroku's Platform API, https://devcenter.heroku.com/articles/platform-api-reference, and "Container Registry &
Runtime" there for releasing an image.

| variable        | default                 |                                     |
|-----------------|-------------------------|-------------------------------------|
| HEROKU_API_KEY  |                         | a token of `heroku authorizations`  |
| HEROKU_API_URL  | https://api.heroku.com  |                                     |
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from workflows.commands import say
from workflows.errors import ServiceError, SmokeError, setting
from workflows.service import AwayError, call

ACCEPT = "application/vnd.heroku+json; version=3"
ACCEPT_DOCKER = f"{ACCEPT}.docker-releases"
START_S = 300  # a dyno must be up within this time, which includes pulling a large image
AWAY_S = 60  # how long to wait for Heroku's API where no dyno is waited for
POLL_S = 3
SERVING = {"up", "idle"}  # an Eco dyno that sleeps is idle: the smoke test wakes it
LOG_LINES = 100


@dataclass(frozen=True)
class Release:
    """One version of an app: image and configuration."""

    id: str
    version: int


class Heroku:
    """One app."""

    def __init__(self, app: str) -> None:
        self.app = app
        self._address = f"{setting('HEROKU_API_URL', 'https://api.heroku.com')}/apps/{app}"
        self._key = setting("HEROKU_API_KEY")

    def current_release(self) -> Release:
        """Return the release that the app runs.

        Raises: ServiceError, if there is none.
        """
        newest_first = "version ..; order=desc,max=50"
        found = self._read("/releases", time.monotonic() + AWAY_S, Range=newest_first)
        for release in found:
            if release.get("current"):
                return Release(release["id"], release["version"])
        raise ServiceError(f"found no current release of {self.app} among its last {len(found)}: deploy once by hand")

    def release_image(self, image_id: str) -> None:
        """Let the web process run an image from the app's registry; if it does already, Heroku makes no release."""
        updates = {"updates": [{"type": "web", "docker_image": image_id}]}
        self._call("PATCH", "/formation", updates, Accept=ACCEPT_DOCKER)

    def roll_back(self, release: Release) -> None:
        """Make a new release that is a copy of an old one."""
        self._call("POST", "/releases", {"release": release.id})

    def wait_until_up(self, release: Release) -> None:
        """Wait until every web dyno runs this release.

        Raises: SmokeError, if one crashed or did not start in time.
        """
        deadline_s = time.monotonic() + START_S
        while True:
            dynos = [dyno for dyno in self._read("/dynos", deadline_s) if dyno["type"] == "web"]
            ours = [dyno["state"] for dyno in dynos if dyno["release"]["version"] == release.version]
            if "crashed" in ours:
                raise SmokeError(f"a dyno of {self.app} crashed with release v{release.version}")
            if dynos and len(ours) == len(dynos) and SERVING.issuperset(ours):
                return
            if time.monotonic() > deadline_s:
                raise SmokeError(f"{self.app} does not run v{release.version} after {START_S} s. Its dynos: {dynos}")
            time.sleep(POLL_S)

    def log(self) -> str:
        """Return the last lines of the app's log, including Heroku's own about the dynos."""
        session = self._call("POST", "/log-sessions", {"lines": LOG_LINES, "tail": False})
        return call("GET", session["logplex_url"], {}).decode(errors="replace")

    def _read(self, path: str, deadline_s: float, **headers: str) -> Any:
        """GET, again and again until the deadline: one failed request says nothing about the app."""
        while True:
            try:
                return self._call("GET", path, None, **headers)
            except AwayError as error:
                if time.monotonic() > deadline_s:
                    raise
                say(f"waiting: {error}")
                time.sleep(POLL_S)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        known = {"Accept": ACCEPT, "Authorization": f"Bearer {self._key}"}
        return json.loads(call(method, f"{self._address}{path}", known | headers, body))
