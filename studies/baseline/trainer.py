"""The baseline's network and its training, as fastai's fine_tune does it: two one-cycle schedules."""

import math
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as nnf
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from studies.baseline.crops import BaselineCrops, normalise
from studies.baseline.recipe import END_DIVISOR, EPSILON, MOMENTUM, SQUARE_DECAY, WEIGHT_DECAY, Phase, Recipe
from training.errors import TrainingError
from training.fitting.checkpoint import RunState
from training.fitting.provenance import RunRecord
from training.network.mixed_precision import autocast, keep_depthwise_in_float32, pick_device
from training.progress import bar


def build_network(recipe: Recipe) -> tuple[nn.Module, dict[str, str | None]]:
    """Return the U-Net, and what run.json says about its encoder: its name, its first weights, and why it was replaced.

    If the weights of the recipe's encoder cannot be downloaded, our encoder with ImageNet weights replaces it. If those
    cannot be downloaded either, the recipe's own encoder begins with random weights.
    Shapes: (N, 3, H, W) float32 → logits (N, 2, H, W), background and defect.
    """
    reason = None
    for encoder in (recipe.encoder, recipe.other_encoder):
        imagenet: Any = True if encoder.startswith("tu-") else "imagenet"  # how smp asks timm for its default weights
        try:
            network = smp.Unet(encoder, encoder_weights=imagenet, classes=2)
        except OSError as error:  # from the model hub: no network, no cache
            reason = reason or f"not available from the model hub: {str(error).splitlines()[0].split('. ')[0]}"
        else:
            return network, {"encoder": encoder, "encoder_weights": "imagenet", "weights_missing": reason}
    network = smp.Unet(recipe.encoder, encoder_weights=None, classes=2)
    return network, {"encoder": recipe.encoder, "encoder_weights": None, "weights_missing": reason}


def layer_groups(network: nn.Module) -> list[list[nn.Parameter]]:
    """Return the encoder's first layers, its last ones (strides 16 and 32), and the rest, as fastai splits a ResNet."""
    encoder: Any = network.encoder
    resnet = hasattr(encoder, "layer3")
    last = nn.ModuleList([encoder.layer3, encoder.layer4] if resnet else encoder.model.blocks[3:])
    group_of = {id(p): number for number, group in enumerate((network, encoder, last)) for p in group.parameters()}
    return [[p for p in network.parameters() if group_of[id(p)] == number] for number in (1, 2, 0)]


class BaselineTrainer:
    """One run of the recipe."""

    def __init__(self, recipe: Recipe, seed: int, crops: BaselineCrops) -> None:
        torch.manual_seed(seed)
        self.recipe, self.crops, self.device = recipe, crops, pick_device()
        network, self.encoder = build_network(recipe)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        if self.device.type == "cpu":
            keep_depthwise_in_float32(self.network)
        groups = [
            {"params": [p for p in group if (p.ndim > 1) == decays], "weight_decay": WEIGHT_DECAY if decays else 0.0}
            for group in layer_groups(self.network)
            for decays in (True, False)
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=(MOMENTUM[1], SQUARE_DECAY), eps=EPSILON)

    def train(self, state: RunState) -> dict[str, Any]:
        """Train from the saved state, if there is one, to the last epoch.

        Returns: {"losses": of each epoch, "schedule": the optimizer's, …: what `RunRecord.so_far` returns}
        Raises: TrainingError, when a loss is not finite.
        """
        saved = state.load({"network": self.network}, self.optimizer)
        record = RunRecord(saved, self.device)
        meta: dict[str, Any] = saved or {"losses": [], "schedule": None, **record.so_far()}
        done, scheduler = len(meta["losses"]), None
        phases = self.recipe.phases(pretrained=self.encoder["encoder_weights"] is not None)
        epochs = [(phase, index) for phase in phases for index in range(phase.epochs)]
        for epoch, (phase, index) in list(enumerate(epochs))[done:]:
            if scheduler is None or index == 0:
                scheduler = self.begin(phase, meta["schedule"] if index else None)
            meta["losses"].append(self._train_epoch(epoch, scheduler))
            meta["schedule"] = {"scheduler": scheduler.state_dict(), "groups": self._knobs()}
            meta |= record.so_far()
            state.save({"network": self.network}, self.optimizer, meta)
        return meta

    def begin(self, phase: Phase, saved: dict[str, Any] | None) -> OneCycleLR:
        """Freeze what the phase freezes and return its schedule, continued from `saved`."""
        encoder: Any = self.network.encoder
        for module in encoder.modules():
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(isinstance(module, nn.BatchNorm2d) or not phase.frozen)
        scheduler = OneCycleLR(
            self.optimizer,
            [peak for peak in phase.peaks for _ in range(2)],
            total_steps=phase.epochs * (len(self.crops) // self.recipe.batch_size),
            pct_start=phase.rise,
            base_momentum=MOMENTUM[0],
            max_momentum=MOMENTUM[1],
            div_factor=phase.start_divisor,
            final_div_factor=END_DIVISOR / phase.start_divisor,
        )
        if saved:
            scheduler.load_state_dict(saved["scheduler"])
            for group, knobs in zip(self.optimizer.param_groups, saved["groups"], strict=True):
                group.update(knobs)
        return scheduler

    def _knobs(self) -> list[dict[str, Any]]:
        return [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]

    def _train_epoch(self, epoch: int, scheduler: OneCycleLR) -> float:
        self.network.train()
        losses = []
        for crop, mask in bar(iterable=self.crops.batches(epoch), desc=f"baseline, epoch {epoch + 1}", leave=False):
            with autocast(self.device):
                logits = self.network(normalise(crop.to(self.device)).contiguous(memory_format=torch.channels_last))
            loss = nnf.cross_entropy(logits.float(), mask.to(self.device))
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"the baseline's loss became {losses[-1]} at epoch {epoch + 1}: try another base.seed (this "
                    "also changes the split)"
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            scheduler.step()
        return float(np.mean(losses))
