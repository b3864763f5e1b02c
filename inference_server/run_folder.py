"""The run folder: what `tritonserver` reads, assembled for this machine.

    backends/python/        the wheel's Python backend, with the stub of the running Python
    backends/onnxruntime/   ours
    models/                 a copy of the model repository, with this machine's instances and threads
    environment             a link to that of this Python: the stub of Python 3.12 ends where its path is not ASCII
    tmp/                    the temporary folder of Triton and its backends

All files are copies: Triton refuses symbolic links in a backend folder, the stub must belong to the user who runs it,
and the model repository stays as it is in git.
"""

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from host.guard import Guard
from host.leases import lease
from host.memory import SHARED_MEMORY
from inference_server.errors import LimitError, ModelRepositoryError
from inference_server.places import choose_place
from inference_server.settings import Settings
from inference_server.wheel import Wheel

OUR_BACKENDS = Path(__file__).parent / "backends"
NOT_COPIED = shutil.ignore_patterns("__pycache__", "__init__.py")
HOW_TO_GET_A_MODEL = "`dvc repro` makes one, `git checkout model_repository` restores the published one"
ENVIRONMENT = "environment"
PREFIX = "inference_server"  # of all names in temporary folders and in shared memory


@contextmanager
def run_folder(wheel: Wheel, settings: Settings, guard: Guard | None = None) -> Iterator[Path]:
    """Assemble a run folder that only this user can read, and remove it at the end of the `with` block.

    Its name is also the first part of the names of Triton's shared memory, which is removed with it. What owners that
    were killed left behind is removed first.

    Raises: ModelRepositoryError, LimitError.
    """
    models = models_of(settings.model_repository)
    place = choose_place(_bytes_of([wheel.python_backend, wheel.stub, *models]))
    with ExitStack() as held:
        try:
            folder = place / held.enter_context(lease([place, SHARED_MEMORY], PREFIX, guard))
            _assemble(folder, wheel, settings, models)
        except OSError as error:
            raise LimitError(
                f"the run folder in {place} cannot be written ({error.strerror or error}): free some space, or set "
                "TMPDIR to another folder"
            ) from None
        yield folder


def _assemble(folder: Path, wheel: Wheel, settings: Settings, models: list[Path]) -> None:
    folder.mkdir(mode=0o700)
    (folder / "tmp").mkdir()
    (folder / ENVIRONMENT).symlink_to(sys.prefix)
    _copy_backends(wheel, folder / "backends")
    for model in models:
        shutil.copytree(model, folder / "models" / model.name)
        _make_writable(folder / "models" / model.name)
        config = folder / "models" / model.name / "config.pbtxt"
        config.write_text(
            for_this_machine(config.read_text(encoding="utf-8"), settings.instances, settings.threads), encoding="utf-8"
        )


def _make_writable(folder: Path) -> None:
    """Let this user change a copy, and remove it: copies have the modes of what they were copied from."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IWUSR)


def _bytes_of(paths: list[Path]) -> int:
    files = (file for path in paths for file in (path, *path.rglob("*")))
    return sum(file.stat().st_size for file in files if file.is_file())


def models_of(repository: Path) -> list[Path]:
    """Return the model folders: those with a config.pbtxt and at least one numbered version that is not empty."""
    try:
        exists = repository.is_dir()
    except PermissionError:  # one of the folders above it
        raise _unreadable(repository, repository) from None
    if not exists:
        raise ModelRepositoryError(
            f"the model repository {repository} (MODEL_REPOSITORY) does not exist: {HOW_TO_GET_A_MODEL}"
        )
    models = sorted(config.parent for config in repository.glob("*/config.pbtxt"))
    for path in _all_of(models) if models else _what_may_be_models(repository):
        if not os.access(path, os.R_OK) or (path.is_dir() and not os.access(path, os.X_OK)):
            raise _unreadable(path, repository if models else path)
    if not models:
        raise ModelRepositoryError(f"{repository} (MODEL_REPOSITORY) has no <model>/config.pbtxt: {HOW_TO_GET_A_MODEL}")
    for model in models:
        if not any(version.parent.name.isdigit() for version in model.glob("*/*")):
            raise ModelRepositoryError(
                f"{model} has no version of the model, such as 1/model.onnx: {HOW_TO_GET_A_MODEL}"
            )
    return models


def _all_of(models: list[Path]) -> Iterator[Path]:
    return (path for model in models for path in (model, *model.rglob("*")))


def _what_may_be_models(repository: Path) -> Iterator[Path]:
    """Give the repository and its folders, but for the one that is closed on every disk of its own."""
    yield repository
    yield from (each for each in repository.glob("*") if each.is_dir() and each.name != "lost+found")


def _unreadable(path: Path, opened: Path) -> ModelRepositoryError:
    return ModelRepositoryError(
        f"{path} (MODEL_REPOSITORY) cannot be read by user {os.geteuid()}: `chmod -R a+rX {opened}` lets everybody "
        "read it, and `chmod a+x` on each folder above lets them reach it; with SELinux mount it with :z"
    )


def _copy_backends(wheel: Wheel, backends: Path) -> None:
    shutil.copytree(wheel.python_backend, backends / "python", ignore=NOT_COPIED)
    shutil.copy(wheel.stub, backends / "python")
    _make_writable(backends)
    shutil.copytree(OUR_BACKENDS, backends, ignore=NOT_COPIED, dirs_exist_ok=True)
    _make_writable(backends)


def for_this_machine(config: str, instances: int, threads: int) -> str:
    """Append instances and threads to the text of a config.pbtxt, unless it already says them.

    Appending is enough: in protobuf's text format a repeated field may continue anywhere.
    """
    stated = re.sub(r"#.*", "", config)
    lines = [config.rstrip(), "", "# Written for this machine by inference_server."]
    if not re.search(r"\binstance_group\b", stated):
        lines.append(f"instance_group [ {{ count: {instances}, kind: KIND_CPU }} ]")
    if not re.search(r"\bintra_op_thread_count\b", stated):
        lines.append(f'parameters {{ key: "intra_op_thread_count" value: {{ string_value: "{threads}" }} }}')
    return "\n".join([*lines, ""])
