"""params.yaml as typed, frozen sections; an unknown key or a value of the wrong kind is an error that names it."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from training.errors import ParamsError

PARAMS_FILE = Path("params.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]


def _ordered(bounds: list[float]) -> list[float]:
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:  # noqa: PLR2004 - a range has two ends
        raise ValueError("expected [lowest, highest], both greater than 0")
    return bounds


Range = Annotated[list[float], AfterValidator(_ordered)]


def _ascending(levels: list[float]) -> list[float]:
    if not levels or sorted(set(levels)) != levels:
        raise ValueError("expected at least one level, each greater than the one before")
    return levels


Amounts = Annotated[list[Annotated[float, Field(ge=0, allow_inf_nan=False)]], AfterValidator(_ascending)]
Factors = Annotated[list[Annotated[float, Field(gt=0, allow_inf_nan=False)]], AfterValidator(_ascending)]
Degrees = Annotated[list[Annotated[float, Field(ge=-180, le=180)]], AfterValidator(_ascending)]
# Pillow: "Values above 95 should be avoided"; 100 means the published file.
Qualities = Annotated[list[Annotated[int, Field(ge=1, le=95)]], AfterValidator(_ascending)]


# The model's configuration separates the names with commas, and the proxy reads them from there.
TypeName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 _-]*$")]


def _different(names: list[str]) -> list[str]:
    if len({*names, "Free"}) <= len(names):
        raise ValueError("expected different names, and not Free, which is the type of an image without a defect")
    return names


def _regular(expression: str) -> str:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"expected a regular expression: {error}") from None
    return expression


Expression = Annotated[str, AfterValidator(_regular)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class BaseParams(_Section):
    """What several stages share."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]  # scikit-learn's limit


class DataLoadParams(_Section):
    """Where the archive comes from and how its masks are read."""

    url: str
    digest: str
    mask_above: Annotated[int, Field(ge=0, le=254)]
    max_pixels: Positive
    table: str | None
    group: str | None
    types: Annotated[list[TypeName], Field(min_length=1, max_length=254), AfterValidator(_different)]

    @model_validator(mode="after")
    def _group_is_a_column_of_a_table(self) -> "DataLoadParams":
        if self.group and not self.table:
            raise ValueError("group names a column of data_load.table, which is null")
        return self


class DataSplitParams(_Section):
    """Which images train, validate and test."""

    method: Literal["by_tile", "random"]
    folds: Annotated[int, Field(ge=3)]
    test_fold: Annotated[int, Field(ge=0)]
    validation_fold: Annotated[int, Field(ge=0)]
    validation_tiles: Positive | None

    @model_validator(mode="after")
    def _folds_exist_and_differ(self) -> "DataSplitParams":
        if max(self.test_fold, self.validation_fold) >= self.folds or self.test_fold == self.validation_fold:
            raise ValueError("test_fold and validation_fold must be two different numbers below folds")
        return self


class NetworkParams(_Section):
    """The network's encoder and decoder. A stored model is built again from these parameters alone."""

    encoder: str
    encoder_weights: Literal["imagenet"] | None
    decoder_channels: Annotated[list[Positive], Field(min_length=4, max_length=4)]
    drop_path: Annotated[float, Field(ge=0, lt=1)]


class TrainParams(NetworkParams):
    """The network, its crops and its schedule; params.yaml gives the units."""

    epochs: Positive
    crops_per_epoch: Positive
    batch_size: Annotated[int, Field(ge=2)]
    crop_size: Annotated[int, Field(gt=0, multiple_of=32)]
    free_share: Share
    defect_centred_share: Share
    pasted_share: Share
    learning_rate: Annotated[float, Field(gt=0)]
    encoder_rate: Annotated[float, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    type_weight: Annotated[float, Field(ge=0)]
    image_weight: Annotated[float, Field(ge=0)]
    validate_every: Positive
    gamma: Range
    gain: Range
    noise: Annotated[float, Field(ge=0)]
    rotation: Annotated[float, Field(ge=0)]
    scale: Range

    @model_validator(mode="after")
    def _a_batch_fits(self) -> "TrainParams":
        if self.crops_per_epoch < self.batch_size:
            raise ValueError("crops_per_epoch must be at least batch_size")
        return self


class RobustnessParams(_Section):
    """The levels of each change of the test images; params.yaml gives the units."""

    gamma: Factors
    gain: Factors
    blur: Amounts
    jpeg_quality: Qualities
    noise: Amounts
    rotation: Degrees


class EvaluateParams(_Section):
    """The limits of the verdicts, and what the evaluation shows in addition to its figures."""

    false_alarm_rate: Share
    review_rate: Share | None = None  # revisions that are compared may be older
    gallery_images: Positive
    robustness: RobustnessParams


class ExportParams(_Section):
    """The ONNX graph, and how far its output may differ from torch's."""

    opset: Annotated[int, Field(ge=18, le=23)]  # 23 is the newest that torch's exporter knows
    max_batch_size: Positive
    shape_solver_timeout_s: Positive
    max_differing_mask_pixels: Share
    max_differing_type_pixels: Share = 0.001  # older revisions have none
    max_dice_difference: Share
    max_grey_level_difference: Annotated[int, Field(ge=0, le=255)]
    max_novelty_difference: Share


class QuantizeParams(_Section):
    """Which precision is served, how int8 is made, how much accuracy it may lose, and what is published."""

    serve: Literal["int8", "fp32"]
    format: Literal["QDQ", "QOperator"]
    calibration_method: Literal["minmax", "percentile", "entropy"]
    calibration_images: Positive
    reduce_range: bool
    excluded_nodes: list[Expression]
    max_dice_loss: Share
    max_dice_loss_of_type: Share
    min_speed_up: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    timed_images: Positive
    min_dice_pooled: Share
    min_auroc: Share
    publish_anyway: Annotated[str, Field(min_length=1)] | None
    skip_served_parity: Annotated[str, Field(min_length=1)] | None
    title: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Params(_Section):
    """All of params.yaml."""

    base: BaseParams
    data_load: DataLoadParams
    data_split: DataSplitParams
    train: TrainParams
    evaluate: EvaluateParams
    export: ExportParams
    quantize: QuantizeParams


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check params.yaml, with the YAML 1.2 reader that DVC itself uses.

    Raises: ParamsError, naming each key that is unknown, missing or of the wrong kind.
    """
    try:
        return Params.model_validate(YAML(typ="safe").load(path))
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing: run from the repository root") from None
    except YAMLError as error:
        raise ParamsError(f"{path} is not YAML: {error}") from None
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or path}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        raise ParamsError(f"{path}:\n" + "\n".join(lines)) from None
