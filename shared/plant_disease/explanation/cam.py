"""Class activation maps in closed form, from a single forward pass and without gradients.

Every network here ends in global average pooling and one Linear layer (`architectures.Network`):

    logit_c = bias_c + sum_k weight_ck * mean_xy features_kxy

The gradient of a logit by the last feature map is therefore weight_ck / (h * w) everywhere, and
Grad-CAM (Selvaraju et al., ICCV 2017, arXiv:1610.02391) is the class activation map of Zhou et al. (CVPR 2016,
arXiv:1512.04150). Its cells add up to the logit less the bias: each says what its part of the photo contributes.
"""

import numpy as np

from plant_disease.runtimes import Floats


def class_activation(features: Floats, weights: Floats) -> Floats:
    """What each cell of the last feature map contributes to a logit.

    Args:
        features: float32, shape (channels, h, w).
        weights: the row of the last layer for a class, or the difference of two rows; float32, shape (channels,).

    Returns:
        float32, shape (h, w), in units of the logit; its sum is the logit (or the difference) without the bias.
    """
    channels, height, width = features.shape
    grid: Floats = (weights @ features.reshape(channels, -1)).reshape(height, width) / (height * width)
    return grid


def heat(grid: Floats) -> Floats:
    """A map as it is shown: what speaks against the class cut away, the hottest cell 1.

    The coldest cell is not pulled down to 0: where all of a photo speaks for a class, all of it is hot.

    Returns:
        float32, the shape of the grid, in [0, 1]; all 0 where nothing speaks for the class.
    """
    positive = np.maximum(grid, 0)
    top = positive.max()
    return positive / top if top > 0 else positive
