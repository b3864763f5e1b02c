"""`python -m workflows.deploy [--built]`: deploy the image of HEAD's sources to a Heroku app; roll back if it fails.

The image is the recorded one; with --built, the one that workflows.image just built, which is recorded once it passed.
It first runs here and must pass the smoke test. Then the app gets the same image and must pass the same test. If it
does not pass, the app goes back to its earlier release, and the step fails.

| variable           | default              |                                                           |
|--------------------|----------------------|-----------------------------------------------------------|
| HEROKU_APP         |                      | the app's name                                            |
| APP_URL            |                      | its address                                               |
| HEROKU_API_KEY     |                      | may release the app and read its log                      |
| HEROKU_REGISTRY    | registry.heroku.com  |                                                           |

It also needs the variables of workflows/image.py and workflows/github.py.
"""

import argparse
import sys

from workflows import candidate, registry, smoke_test
from workflows.commands import say, summarise
from workflows.errors import WorkflowError, exit_status, setting
from workflows.heroku import Heroku, Release


def main() -> None:
    """Find the image, deploy it, and record it if it is new and passes."""
    parser = argparse.ArgumentParser(prog="python -m workflows.deploy", description="An image to a Heroku app.")
    parser.add_argument("--built", action="store_true", help="the image that was just built; record it if it passes")
    built = parser.parse_args().built
    app, url = Heroku(setting("HEROKU_APP")), setting("APP_URL")
    candidate.log_in()
    reference = candidate.just_built() if built else candidate.promoted()
    deploy(reference, app, url)
    if built:
        candidate.record(reference)


def deploy(reference: str, app: Heroku, url: str) -> None:
    """Test an image here, deploy it, and test it in the app."""
    with candidate.running(reference) as here:
        smoke_test.check(here, smoke_test.expected_model())
    before = app.current_release()
    image_id = bring(app, reference)
    try:
        app.release_image(image_id)
        app.wait_until_up(app.current_release())
        smoke_test.check(url, smoke_test.expected_model())
    except Exception as error:  # whatever went wrong, the app may run the new image
        summarise(f"**{app.app} failed with** `{reference}`: {error}")
        show_log(app)
        roll_back(app, before, url)
        raise
    summarise(f"{app.app} runs `{reference}` since release v{app.current_release().version}; before: v{before.version}")


def bring(app: Heroku, reference: str) -> str:
    """Copy the image to the app's registry, digest unchanged, and return its ID; the app does not change yet."""
    host = setting("HEROKU_REGISTRY", "registry.heroku.com")
    registry.log_in(host, "_", setting("HEROKU_API_KEY"))
    registry.copy(reference, f"{host}/{app.app}/web")
    return registry.image_id(reference)


def roll_back(app: Heroku, before: Release, url: str) -> None:
    """Go back to a release, and test that it answers.

    Raises: WorkflowError, if a person must do it.
    """
    try:
        app.roll_back(before)
        app.wait_until_up(app.current_release())
        smoke_test.check(url, model_commit=None)
    except Exception as error:
        by_hand = f"heroku releases:rollback v{before.version} --app {app.app}"
        raise WorkflowError(f"the rollback also failed: {error}. By hand: {by_hand}") from error
    summarise(f"{app.app} is back on v{before.version} and passes the smoke test")


def show_log(app: Heroku) -> None:
    """Copy the app's log to ours; a log that cannot be read does not stop the rollback."""
    try:
        say(app.log())
    except Exception as error:  # noqa: BLE001 - the rollback must not depend on it
        say(f"the log of {app.app} cannot be read: {error}")


if __name__ == "__main__":
    sys.exit(exit_status(main))
