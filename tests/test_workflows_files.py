"""What .github/workflows promises: pins, permissions, triggers, and that docs/workflows.md names all it needs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from workflows import publish, reproduce, runner
from workflows.pipeline import PIPELINE

FILES = {path.stem: path.read_text() for path in sorted((ROOT / ".github/workflows").glob("*.yaml"))}
WORKFLOWS = {name: YAML(typ="safe").load(text) for name, text in FILES.items()}
DOCS = (ROOT / "docs/workflows.md").read_text()


def jobs() -> Iterator[tuple[str, str, dict]]:
    for name, workflow in WORKFLOWS.items():
        for job, content in workflow["jobs"].items():
            yield name, job, content


def runs() -> list[str]:
    return [step["run"] for _, _, job in jobs() for step in job.get("steps", []) if "run" in step]


def test_every_action_is_pinned_by_commit_with_its_version_beside() -> None:
    used = [line.strip().removeprefix("- ") for text in FILES.values() for line in text.splitlines() if "uses:" in line]
    ours = "uses: ./.github/workflows/train.yaml"

    assert 15 < len(used)
    assert [] == [
        u for u in used if u != ours and not re.fullmatch(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", u)
    ]


def test_one_action_has_one_commit() -> None:
    pins = set(re.findall(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40})", "".join(FILES.values())))

    assert len({action for action, _ in pins}) == len(pins)


def test_nothing_is_permitted_that_a_job_does_not_name() -> None:
    assert {"ci": {"contents": "read"}} == {
        name: workflow["permissions"] for name, workflow in WORKFLOWS.items() if workflow["permissions"]
    }
    for name, job, content in jobs():
        assert name == "ci" or content["permissions"], job


@pytest.mark.parametrize("name", ["1-experiment", "2-develop"])
def test_a_caller_permits_what_the_called_jobs_take_and_no_more(name: str) -> None:
    taken: dict[str, set[str]] = {}
    for job in WORKFLOWS["train"]["jobs"].values():
        for scope, access in job["permissions"].items():
            taken.setdefault(scope, set()).add(access)

    strongest = {scope: "write" if "write" in found else "read" for scope, found in taken.items()}
    assert strongest == WORKFLOWS[name]["jobs"]["train"]["permissions"]


def test_the_document_tells_every_jobs_permissions() -> None:
    rows = dict(re.findall(r"^\| (train: \w+|\d: deploy|ci) \| ((?:[\w-]+: \w+(?:, )?)+) \|", DOCS, re.MULTILINE))
    files = {"train": "train", "2": "2-develop", "3": "3-deploy"}

    for row, told in rows.items():
        file, _, job = row.partition(": ")
        found = WORKFLOWS["ci"]["permissions"] if row == "ci" else WORKFLOWS[files[file]]["jobs"][job]["permissions"]
        assert found == dict(pair.split(": ") for pair in told.split(", ")), row
    assert {"train: launch", "train: train", "train: terminate", "2: deploy", "3: deploy", "ci"} == rows.keys()


def test_a_pull_request_starts_the_checks_alone_and_they_know_no_secret() -> None:
    triggered = {
        name for name, workflow in WORKFLOWS.items() if "pull_request" in workflow.get("on", workflow.get(True))
    }

    assert {"ci"} == triggered
    assert "secrets." not in FILES["ci"]
    assert "pull_request_target" not in "".join(FILES.values())


def test_only_train_holds_the_credentials_of_aws_and_they_come_by_role() -> None:
    text = "".join(FILES.values())

    assert "aws-access-key-id" not in text
    assert {"train"} == {name for name, found in FILES.items() if "configure-aws-credentials" in found}
    assert text.count("configure-aws-credentials@") == text.count("role-to-assume: ${{ vars.AWS_")


@pytest.mark.parametrize("name", ["1-experiment", "2-develop"])
def test_the_bots_own_commit_is_skipped(name: str) -> None:
    condition = WORKFLOWS[name]["jobs"]["train"]["if"]
    (beginning,) = re.findall(
        r"! startsWith\(github.event.head_commit.message, format\('(.*?)', github.ref_name\)\)", condition
    )

    assert publish.title("experiment/a", "1").startswith(beginning.format("experiment/a"))
    assert not publish.title("experiment/ab", "1").startswith(beginning.format("experiment/a"))


def test_no_step_pushes_by_force() -> None:
    assert "--force" not in (ROOT / "workflows/publish.py").read_text()
    assert [] == [run for run in runs() if "git push" in run]


def test_an_experiment_starts_by_what_the_pipeline_is_made_of() -> None:
    on = WORKFLOWS["1-experiment"].get("on", WORKFLOWS["1-experiment"].get(True))

    assert {path.removesuffix("/**") for path in on["push"]["paths"]} == set(PIPELINE)


def test_the_pipeline_is_made_of_what_its_stages_depend_on() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].values()
    outputs = {path for stage in stages for kind in ("outs", "metrics", "plots") for path in flat(stage.get(kind, []))}
    sources = {dep for stage in stages for dep in stage["deps"] if not any(dep.startswith(out) for out in outputs)}

    assert sources
    assert set() == {dep for dep in sources if not {dep, dep.partition("/")[0]} & set(PIPELINE)}


def test_all_that_goes_to_the_remote_is_made_before_the_training() -> None:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    outs = [out for stage in stages.values() for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    options = {path: each for out in outs if isinstance(out, dict) for path, each in out.items()}
    pushed = {path for path in flat(outs) if options.get(path, {}).get("cache", True)}
    last = stages[reproduce.DATA]

    assert pushed
    assert pushed <= {*last["deps"], *flat(last["outs"])}


def flat(outs: list) -> list[str]:
    return [path for out in outs for path in ([out] if isinstance(out, str) else out)]


def test_an_instance_outlives_its_job_and_is_terminated_whatever_happens() -> None:
    train = WORKFLOWS["train"]["jobs"]

    assert train["train"]["timeout-minutes"] + train["launch"]["timeout-minutes"] < runner.LIFE_MINUTES
    assert "always()" == train["terminate"]["if"]
    assert {"launch", "train"} == set(train["terminate"]["needs"])


def test_production_neither_trains_nor_builds() -> None:
    assert {"deploy"} == set(WORKFLOWS["3-deploy"]["jobs"])
    assert not re.search(r"workflows\.(image|reproduce|runner)|docker build|train\.yaml", FILES["3-deploy"])


def test_only_dev_deploys_what_it_just_built() -> None:
    built = {name for name, text in FILES.items() if "workflows.deploy --built" in text}

    assert {"2-develop"} == built
    assert "workflows.deploy\n" in FILES["3-deploy"]


def test_a_merge_without_training_deploys_the_branchs_tip_with_an_earlier_merges_results() -> None:
    checkout, source = WORKFLOWS["2-develop"]["jobs"]["deploy"]["steps"][:2]

    assert "${{ needs.train.outputs.commit || github.ref }}" == checkout["with"]["ref"]
    assert ("needs.train.outputs.commit == ''", 0) == (source["if"], checkout["with"]["fetch-depth"])


def test_runs_that_write_wait_for_each_other() -> None:
    groups = {name: workflow.get("concurrency", {}) for name, workflow in WORKFLOWS.items()}

    assert "${{ github.ref }}" in groups["1-experiment"]["group"]
    assert not groups["2-develop"]["cancel-in-progress"]
    assert not groups["3-deploy"]["cancel-in-progress"]


def test_a_step_calls_one_command_that_a_laptop_has() -> None:
    modules = {f"workflows.{path.stem}" for path in (ROOT / "workflows").glob("*.py")}
    called = {word for run in runs() for word in run.split() if word.startswith("workflows.")}

    assert called
    assert called <= modules
    assert [] == [run for run in runs() if len(run.splitlines()) > 1]


def test_the_document_names_every_secret_and_variable() -> None:
    used = set(re.findall(r"\b(?:secrets|vars)\.([A-Z_]+)", "".join(FILES.values())))
    rows = set(re.findall(r"^\| `([A-Z_]+)` \| (?:secret|variable)", DOCS, re.MULTILINE))

    assert used == rows


def test_every_variable_is_explained_where_its_error_says() -> None:
    code = "".join(path.read_text() for path in (ROOT / "workflows").glob("*.py"))
    read = set(re.findall(r"""\bsetting\(["']([A-Z_]+)""", code))
    names = re.findall(r"^\|([^|]+)\|", code + DOCS, re.MULTILINE)

    assert 15 < len(read)
    assert set() == read - set(re.findall(r"[A-Z_]+", " ".join(names)))


def test_the_documents_commands_exist() -> None:
    modules = set(re.findall(r"python -m (workflows\.\w+)", DOCS))

    assert modules
    assert [] == [m for m in modules if not Path(ROOT, *m.split(".")).with_suffix(".py").is_file()]
