"""`python -m client provenance mask.png`: from a picture back to the training run that made its model."""

import shlex
from collections import defaultdict
from pathlib import Path

from PIL import Image

from client.errors import DAMAGED, InputError
from client.png_file import read_text

UNKNOWN = "unknown"


def provenance(path: Path) -> str:
    """Return what a mask or an overlay says of its model, and the commands that lead to its training run.

    The commands are for a clone of the repository that trained the model, in which `dvc` is installed.

    Raises: InputError.
    """
    try:
        text = read_text(path.read_bytes())
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no PNG file that can be read: {error}") from None
    if "Model" not in text or "Model-Commit" not in text:
        raise InputError(f"{path} does not say which model made it: name a mask or overlay as the service or this "
                         "program writes it; a program that saves it anew may drop the text")  # fmt: skip
    # The file may come from a stranger
    text = {key: value if value.isprintable() else ascii(value) for key, value in text.items()}
    return "\n".join([*_facts(path, text), "", *_commands(text), ""])


def _facts(path: Path, text: dict[str, str]) -> list[str]:
    said = defaultdict(lambda: UNKNOWN, text)
    dirty = text.get("Model-Dirty") == "true"
    tree = "with changes that this commit lacks" if dirty else "without uncommitted changes"
    part = [f"part      {text['Part']}"] if "Part" in text else []
    return [
        f"file      {path}",
        *part,
        f"verdict   {said['Verdict']}, type {said['Type']}, score {said['Score']}",
        f"judged    by alarm score {said['Alarm-Score']}, threshold {said['Threshold']}",
        f"model     {said['Model']}, sha256 {said['Model-Sha256']}",
        f"trained   at commit {said['Model-Commit']}, {tree}",
        f"data      digest {said['Model-Data']}",
    ]


def _commands(text: dict[str, str]) -> list[str]:
    commit = shlex.quote(text["Model-Commit"])
    lines = ["# The code that trained it:", f"git show --stat --end-of-options {commit}"]
    if "Model-Sha256" not in text:
        return lines
    name = text["Model"].rpartition("/")[0]
    repository, sha256 = shlex.quote(f"model_repository/{name}"), shlex.quote(text["Model-Sha256"])
    return [
        *lines,
        "# The commit that published it, its parameters and figures, its weights and its graph:",
        f'published=$(git log --all --reverse --format=%H -S {sha256} -- {repository} | head -n 1); echo "$published"',
        'dvc exp show --rev "$published"',
        'dvc get . models --rev "$published" --out trained',
        f'dvc get . {repository} --rev "$published" --out published',
    ]
