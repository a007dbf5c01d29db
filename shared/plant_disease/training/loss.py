"""What training minimises."""

import torch
from torch import Tensor
from torch.nn import functional

from plant_disease.manifest import ClassInfo
from plant_disease.training.folders import Gathered
from plant_disease.training.recipe import Recipe


class Loss:
    """Cross-entropy of logits adjusted by what each source of photos can show.

    A source with photos of a few crops only (outdoors: apple and corn) teaches that its scenery means these
    crops. Adding the logarithm of a class's prior within the source to its logit (Menon et al., "Long-tail learning
    via logit adjustment", ICLR 2021, arXiv:2007.07314) leaves that to the prior, which is not there when a
    photo is served: `absent_crops` of a source is the prior of a class whose crop it lacks, that of others is 1.

    A picture without a leaf should look like no class more than another: outlier exposure (Hendrycks et al.,
    ICLR 2019, arXiv:1812.04606).
    """

    def __init__(self, recipe: Recipe, photos: Gathered, device: torch.device) -> None:
        crops = [ClassInfo.from_id(class_id).crop for class_id in photos.classes]
        prior = torch.ones(len(recipe.data.sources) + 1, len(crops), device=device)
        for index, source in enumerate(recipe.data.sources):
            shown = {crops[example.label] for example in photos.fitted if example.source == index}
            prior[index, [crop not in shown for crop in crops]] = source.absent_crops
        self._log_prior = prior.log()
        self._prior = prior / prior.sum(dim=1, keepdim=True)
        self._smoothing = recipe.optimisation.label_smoothing

    def __call__(self, logits: Tensor, labels: Tensor, sources: Tensor) -> Tensor:
        """The mean over a batch: logits (N, classes), labels int64 (N,) with NON_LEAF, sources int64 (N,)."""
        leaf = labels >= 0
        targets = self._prior[sources]
        one_hot = functional.one_hot(labels[leaf], logits.shape[1]).to(targets)
        targets[leaf] = one_hot * (1 - self._smoothing) + targets[leaf] * self._smoothing
        return functional.cross_entropy(logits.float() + self._log_prior[sources], targets)
