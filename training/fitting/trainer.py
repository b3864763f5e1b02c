"""One training run: the network, its moving average, the optimizer and their schedule."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.dataset.samples import Sample
from training.errors import TrainingError
from training.evaluation.counts import best_threshold, count, dice_image_mean, dice_pooled
from training.evaluation.predict import predict
from training.fitting.crop_workers import Batches
from training.fitting.crops import Crops
from training.network.encoders import TIMM, refuse_unknown_encoder
from training.network.losses import segmentation_loss_with_logits
from training.network.mixed_precision import autocast, keep_depthwise_in_float32
from training.network.segmenter import CLASSES, Segmenter, build_network
from training.network.served import ServedSegmenter, normalise
from training.params import TrainParams
from training.progress import bar

WARM_UP_SHARE = 0.1  # of the steps; then the learning rate falls along a cosine
START_DIVISOR, END_DIVISOR = 25, 10_000  # of the peak learning rate; the usual one-cycle ends (Smith & Topin 2018)
MAX_GRADIENT_NORM = 5.0  # above it a step is shortened: one bad batch must not throw the weights away
EPOCH_SEED_FACTOR = 100_003  # a prime far above any number of epochs: neighbouring seeds never share an epoch's seed


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Return the one-cycle learning rate: up from peak / 25 and down to peak / 10,000, both along a half cosine.

    A function of the step alone: a resumed run needs no saved schedule, which torch's OneCycleLR would.
    """
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    if step < warm_up:
        low, share = peak / START_DIVISOR, step / warm_up
    else:
        low, share = peak / END_DIVISOR, 1 - (step - warm_up) / max(1, steps - warm_up)
    return low + (peak - low) * (1 - math.cos(math.pi * share)) / 2


def moving_average(decay: float) -> Callable[..., None]:
    """Return the exponential moving average for AveragedModel; its decay is lower at first, to forget the start.

    Source: the warm-up (1 + n) / (10 + n) of TensorFlow's ExponentialMovingAverage.
    """

    def update(averages: Any, currents: Any, count: Tensor) -> None:
        steps = int(count)
        warm = min(decay, (1 + steps) / (10 + steps))
        get_ema_multi_avg_fn(warm)(averages, currents, count)  # type: ignore[no-untyped-call]

    return update


@dataclass
class Trainer:
    """One run: the network, its moving average and the optimizer, and the epochs behind it.

    mixed_precision: whether `autocast` may choose bfloat16.
    """

    params: TrainParams
    seed: int
    classes: int = CLASSES
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        # some of smp's own encoders have layers that the network does not use
        unused = DistributedDataParallelKwargs(find_unused_parameters=not self.params.encoder.startswith(TIMM))
        without_gpu = not torch.cuda.is_available()  # as `pick_device` decides; Accelerate knows other devices, too
        # `autocast` chooses the precision
        self.accelerator = Accelerator(cpu=without_gpu, mixed_precision="no", kwargs_handlers=[unused])
        self.device = self.accelerator.device
        if self.params.batch_size % self.accelerator.num_processes:
            raise TrainingError(
                f"train.batch_size is {self.params.batch_size}: {self.accelerator.num_processes} processes cannot "
                "share it equally: change one of the two"
            )
        refuse_unknown_encoder(self.params)
        torch.manual_seed(self.seed)
        network = build_network(self.params, classes=self.classes).to(self.device).to(memory_format=torch.channels_last)
        self.network: nn.Module = network
        self.average = AveragedModel(network, multi_avg_fn=moving_average(self.params.ema_decay), use_buffers=True)
        if self.device.type == "cpu":
            keep_depthwise_in_float32(self.network)
        optimizer = torch.optim.AdamW(self._parameter_groups(network), weight_decay=self.params.weight_decay)
        self.shared_network, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.steps_per_epoch = self.params.crops_per_epoch // self.params.batch_size

    def _parameter_groups(self, network: Segmenter) -> list[dict[str, Any]]:
        """Return the pretrained encoder, which learns more slowly, and the rest."""
        rest = [*network.decoder.parameters(), *network.head.parameters()]
        return [
            {
                "params": list(network.encoder.parameters()),
                "peak": self.params.encoder_rate * self.params.learning_rate,
            },
            {"params": rest, "peak": self.params.learning_rate},
        ]

    @property
    def modules(self) -> dict[str, nn.Module]:
        """What a run's state has besides the optimizer."""
        return {"network": self.network, "average": self.average}

    @property
    def average_network(self) -> Segmenter:
        """The moving average of the network: what is validated and saved."""
        return cast("Segmenter", self.average.module)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that validates, saves and reports."""
        return bool(self.accelerator.is_main_process)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return autocast(self.device) if self.mixed_precision else contextlib.nullcontext()

    def train_epoch(self, epoch: int, sampler: Batches) -> float:
        """Train one epoch and return its mean loss.

        Raises: TrainingError, when a loss is not finite.
        """
        self.network.train()
        torch.manual_seed(self.seed * EPOCH_SEED_FACTOR + epoch)  # so that dropout also depends on the epoch alone
        total = 0.0
        share = {"process": self.accelerator.process_index, "processes": self.accelerator.num_processes}
        batches = bar(
            iterable=sampler.batches(epoch, **share),
            total=self.steps_per_epoch,
            desc=f"epoch {epoch + 1}",
            leave=False,
            disable=not self.is_main,
        )
        for index, crops in enumerate(batches):
            loss = self._step(epoch * self.steps_per_epoch + index, crops)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss} at epoch {epoch + 1}, batch {index + 1}: lower train.learning_rate, and the "
                    "training begins anew; with the same parameters it continues from the last complete epoch"
                )
            total += loss
        return total / self.steps_per_epoch

    def _step(self, step: int, crops: Crops) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.params.epochs * self.steps_per_epoch, group["peak"])
        loss = self._loss(Crops(*(plane.to(self.device, non_blocking=True) for plane in crops)))
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.network.parameters(), MAX_GRADIENT_NORM)
        value = float(self.accelerator.reduce(loss.detach(), "mean"))  # over all processes, so that they stop together
        if math.isfinite(value):
            self.optimizer.step()
            self.average.update_parameters(self.network)
        return value

    def _loss(self, crops: Crops) -> Tensor:
        grey = normalise(crops.image).contiguous(memory_format=torch.channels_last)  # (N, 1, S, S)
        with self._autocast():
            logits = self.shared_network(grey)  # (N, classes, S, S)
        weights = {"type_weight": self.params.type_weight, "image_weight": self.params.image_weight}
        return segmentation_loss_with_logits(logits, crops.label, **weights)

    def validate(self, samples: list[Sample]) -> dict[str, float]:
        """Measure the moving average on whole images, at its best threshold there (an optimistic figure)."""
        segmenter = ServedSegmenter(self.average_network).to(self.device)
        counts = [count(prediction) for prediction in predict(segmenter, samples, description="validation")]
        threshold = best_threshold(counts)
        defective = [c for c, sample in zip(counts, samples, strict=True) if sample.mask.any()]
        return {
            "validation/dice_pooled": dice_pooled(defective, threshold),
            "validation/dice_image_mean": dice_image_mean(defective, threshold),
            "validation/threshold": threshold,
        }
