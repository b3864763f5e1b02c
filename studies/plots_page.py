"""`python -m studies.plots_page [REVISION …]`: the page of `dvc plots` as one file, which also works without a network.

Without a revision it shows the workspace; several revisions are compared. `--vega FILE` writes the libraries that draw
the plots, for the page that `dvc plots` itself writes; .dvc/plots/page.html loads them.
"""

import argparse
import base64
import re
import subprocess
import sys
from pathlib import Path

import vl_convert

from host.files import write_whole
from training.errors import StudyError, exit_status

FOLDER = Path("dvc_plots")  # where `dvc plots` writes
PAGE_FILE = FOLDER / "plots.html"
VEGA_TAG = re.compile(r'<script src="[^"]*vega\.js"></script>')
PICTURE = re.compile(r'<img src="(static/[^"]+)"')


def vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which may stand in an HTML page."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return "(() => {" + bundle.replace("</script", r"<\/script") + "\n})();\n"


def one_file(page: str, folder: Path) -> str:
    """Put the libraries and the pictures into a page of `dvc plots`. folder: that of the page."""

    def inlined(found: re.Match[str]) -> str:
        content = base64.b64encode((folder / found[1]).read_bytes()).decode()
        return f'<img src="data:image/png;base64,{content}"'

    script = f"<script>{vega()}</script>"
    return PICTURE.sub(inlined, VEGA_TAG.sub(lambda _: script, page))


def draw(revisions: list[str]) -> None:
    """Have DVC write its page.

    Raises: StudyError, when it fails; its own message is above.
    """
    words = ["diff", *revisions] if revisions else ["show"]
    command = [sys.executable, "-m", "dvc", "plots", *words, "--out", str(FOLDER)]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise StudyError(f"`{' '.join(command)}` failed: its message is above")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m studies.plots_page", description=__doc__)
    parser.add_argument("revisions", nargs="*", metavar="REVISION", help="an experiment, a branch, a commit")
    parser.add_argument("--vega", type=Path, metavar="FILE", help="only write the libraries")
    return parser.parse_args()


def main() -> None:
    """Write the page, or the libraries."""
    wanted = arguments()
    if wanted.vega:
        write_whole(wanted.vega, vega())
        return
    draw(wanted.revisions)
    write_whole(PAGE_FILE, one_file((FOLDER / "index.html").read_text(encoding="utf-8"), FOLDER))
    print(PAGE_FILE.resolve().as_uri())  # noqa: T201


if __name__ == "__main__":
    sys.exit(exit_status(main))
