"""The first public project's recipe as constants; nothing here trains.

Source: https://github.com/iterative/magnetic-tiles-defect, params.yaml at commit 08bc034, src/utils/train_utils.py at
37b7a32 and src/utils/eval_utils.py at 657014c; what they do not set is fastai 2's default (callback/schedule.py,
vision/learner.py, vision/augment.py, optimizer.py, learner.py).
"""

from dataclasses import dataclass

MOMENTUM = (0.85, 0.95)  # Learner(moms): Adam's first decay rate is low where the learning rate is high
SQUARE_DECAY, EPSILON, WEIGHT_DECAY = 0.99, 1e-5, 0.01  # Adam(sqr_mom, eps, wd); norms and biases do not decay
END_DIVISOR = 1e5  # fit_one_cycle(div_final), of the peak
RISE_FROZEN, RISE = 0.99, 0.3  # share of the steps until the peak: fine_tune(), fine_tune(pct_start)
START_DIVISOR_FROZEN, START_DIVISOR = 25.0, 5.0  # of the peak: fit_one_cycle(div), fine_tune(div)


@dataclass(frozen=True)
class Phase:
    """One of fine_tune's two one-cycle schedules.

    Attributes:
        peaks: learning rates of the encoder's first layers, its last ones, and the decoder.
        rise: share of the steps until the peak; start_divisor: the peak is so many times the first learning rate.
        frozen: whether only the encoder's batch normalisation learns, and none of its other layers.
    """

    epochs: int
    peaks: tuple[float, float, float]
    rise: float
    start_divisor: float
    frozen: bool


@dataclass(frozen=True)
class Recipe:
    """The published choices.

    Attributes:
        encoder: of the U-Net; other_encoder: ours, used if the encoder's ImageNet weights cannot be downloaded.
        loss: cross-entropy of two classes, unweighted (fastai's for masks).
        base_rate: that of fine_tune itself. Their params.yaml says 0.01 (elsewhere 0.001), but it goes to
            unet_learner, and fine_tune never reads it there.
        rate_range: how many times the decoder's learning rate is that of the first layers, once all learn.
        rotation: degrees either way; warp: of a corner, share of half the side; lighting: share, of brightness and
            contrast; each for a share `affine_share` or `lighting_share` of the crops. No mirrors, no zoom.
        threshold: the served probability (0–255) from which the defect is the larger of two classes.
    """

    encoder: str = "resnet34"
    other_encoder: str = "tu-tf_efficientnet_lite0"
    loss: str = "cross-entropy"
    batch_size: int = 4
    frozen_epochs: int = 1
    epochs: int = 15
    base_rate: float = 2e-3
    rate_range: float = 100.0
    rotation: float = 10.0
    warp: float = 0.2
    lighting: float = 0.2
    affine_share: float = 0.75
    lighting_share: float = 0.75
    threshold: int = 128

    def phases(self, *, pretrained: bool) -> tuple[Phase, Phase]:
        """Return fine_tune's two phases.

        Without pretrained weights there is nothing to preserve: no layer is frozen and all learn at the decoder's rate,
        so that missing weights harm the recipe as little as possible.
        """
        first, then = self.base_rate, self.base_rate / 2
        if pretrained:
            low, high = (first / 10, first / 10, first), (then / self.rate_range, then / self.rate_range**0.5, then)
        else:
            low, high = (first,) * 3, (then,) * 3
        return (
            Phase(self.frozen_epochs, low, RISE_FROZEN, START_DIVISOR_FROZEN, frozen=pretrained),
            Phase(self.epochs, high, RISE, START_DIVISOR, frozen=False),
        )
