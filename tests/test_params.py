"""params.yaml: what is accepted, and that every refusal names the key."""

import math
from functools import reduce
from operator import getitem

import pytest
from ruamel.yaml import YAML
from training_data import ROOT, shipped_knobs, write_knobs

from training.errors import ParamsError
from training.params import load_params


def test_the_shipped_params_yaml_loads_with_the_values_it_states():
    assert shipped_knobs() == load_params(ROOT / "params.yaml").model_dump()


def test_a_changed_value_is_the_one_that_is_loaded(tmp_path):
    assert 3 == load_params(write_knobs(tmp_path / "params.yaml", train__epochs=3)).train.epochs


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.epoch", 3),  # unknown
        ("data_load.archive", "a.zip"),  # unknown
        ("train.context", False),  # this and the next five were removed
        ("train.image_head", False),
        ("train.synthetic_share", 0.0),
        ("train.consensus", False),
        ("train.mirror_weight", 0.0),
        ("train.consistency_weight", 0.0),
        ("base.seed", "20"),
        ("base.seed", -1),
        ("base.seed", 20.5),
        ("data_load.url", None),
        ("data_load.mask_above", 255),  # no pixel could be defective
        ("data_split.method", "by_image"),
        ("data_split.folds", 2),  # no fold would be left to train on
        ("train.encoder_weights", "instagram"),
        ("train.decoder_channels", [64, 32, 16, 8, 4]),
        ("train.epochs", 0),
        ("train.epochs", True),
        ("train.crop_size", 100),  # not a multiple of 32
        ("train.free_share", 1.5),
        ("train.learning_rate", 0.0),
        ("train.learning_rate", math.nan),
        ("train.ema_decay", 1.0),  # the average would never move
        ("train.gamma", [1.6, 0.6]),
        ("train.gain", [0.0, 1.0]),
        ("train.scale", [1.0]),
        ("evaluate.gallery_images", "6"),
        ("evaluate.robustness.contrast", [0.5]),  # unknown
        ("evaluate.robustness.blur", 2.0),
        ("evaluate.robustness.noise", []),
        ("evaluate.robustness.gain", [1.3, 0.75]),
        ("evaluate.robustness.rotation", [5.0, 5.0]),
        ("export.opset", 17),
        ("export.opset", 99),
        ("export.max_batch_size", [8]),
        ("base.seed", 2**32),
        ("quantize.serve", "fp16"),
        ("quantize.format", "qdq"),
        ("quantize.excluded_nodes", "head"),
        ("quantize.max_dice_loss", -0.01),
        ("quantize.min_speed_up", 0.0),
        ("quantize.min_auroc", 1.5),
        ("quantize.publish_anyway", ""),
        ("quantize.skip_served_parity", ""),
        ("quantize.publish_anyway", True),
    ],
)
def test_an_unknown_key_or_a_wrong_value_is_named(tmp_path, key, value):
    path = write_knobs(tmp_path / "params.yaml", **{key.replace(".", "__"): value})
    with pytest.raises(ParamsError) as refusal:
        load_params(path)
    first, *problems = str(refusal.value).splitlines()
    assert f"{path}:" == first
    (problem,) = problems
    assert problem.strip().startswith(f"{key}"), problem
    assert f"(got {value!r})" in problem


@pytest.mark.parametrize(
    ("perturbation", "levels"),
    [
        ("gamma", [0.0]),
        ("gain", [math.inf]),
        ("blur", [-1.0]),
        ("jpeg_quality", [30.5]),
        ("jpeg_quality", [100]),  # stands for the published file
        ("noise", ["8"]),
        ("rotation", [math.nan]),
    ],
)
def test_a_level_that_no_perturbation_has_is_named(tmp_path, perturbation, levels):
    path = write_knobs(tmp_path / "params.yaml", **{f"evaluate__robustness__{perturbation}": levels})
    with pytest.raises(ParamsError, match=rf"  evaluate\.robustness\.{perturbation}\.0: .*\(got {levels[0]!r}\)"):
        load_params(path)


def test_what_is_no_regular_expression_is_named(tmp_path):
    path = write_knobs(tmp_path / "params.yaml", quantize__excluded_nodes=["conv_[0-2"])
    with pytest.raises(ParamsError, match=r"quantize\.excluded_nodes\.0: .*expected a regular expression"):
        load_params(path)


@pytest.mark.parametrize(
    ("changes", "section", "keys"),
    [
        ({"data_split__test_fold": 4, "data_split__validation_fold": 4}, "data_split", "test_fold and validation_fold"),
        ({"data_split__test_fold": 5}, "data_split", "test_fold and validation_fold"),
        (
            {"train__crops_per_epoch": 15, "train__batch_size": 16},
            "train",
            "crops_per_epoch must be at least batch_size",
        ),
    ],
)
def test_values_that_can_not_stand_together_are_named(tmp_path, changes, section, keys):
    with pytest.raises(ParamsError, match=f"  {section}: .*{keys}"):
        load_params(write_knobs(tmp_path / "params.yaml", **changes))


def test_several_problems_are_told_at_once(tmp_path):
    path = write_knobs(tmp_path / "params.yaml", train__epochs=0, train__epoch=3, export__opset="18")
    with pytest.raises(ParamsError) as refusal:
        load_params(path)
    assert ["export.opset", "train.epoch", "train.epochs"] == sorted(
        line.split(":")[0].strip() for line in str(refusal.value).splitlines()[1:]
    )


@pytest.mark.parametrize(
    "key", ["train", "base.seed", "train.epochs", "evaluate.robustness.gamma", "export.max_batch_size"]
)
def test_a_missing_section_or_key_is_named(tmp_path, key):
    knobs = shipped_knobs()
    *sections, name = key.split(".")
    reduce(getitem, sections, knobs).pop(name)
    path = tmp_path / "params.yaml"
    YAML(typ="safe").dump(knobs, path)
    with pytest.raises(ParamsError, match=rf"  {key}: Field required"):
        load_params(path)


def test_a_key_given_twice_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text() + "\nbase:\n  seed: 21\n")
    with pytest.raises(ParamsError, match=r"(?s)params\.yaml is not YAML: .*duplicate key \"base\""):
        load_params(path)


def test_a_file_that_is_not_yaml_says_so(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("train: {epochs: 3\n")
    with pytest.raises(ParamsError, match=r"params\.yaml is not YAML"):
        load_params(path)


@pytest.mark.parametrize("content", ["", "- a list\n", "one word\n"])
def test_yaml_that_is_no_table_of_sections_names_the_file(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(ParamsError, match=rf"  {path}: .*dictionary"):
        load_params(path)


def test_a_missing_file_says_where_to_run_from(tmp_path):
    with pytest.raises(ParamsError, match=r"params\.yaml is missing: run from the repository root"):
        load_params(tmp_path / "params.yaml")
