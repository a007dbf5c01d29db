"""Fine-tune a network on labelled photos."""

import json
import os
import random
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from plant_disease.architectures import Network, build
from plant_disease.architectures.efficientnet_lite import load_imagenet
from plant_disease.training.augment import Augment, out_of_focus
from plant_disease.training.data import PhotoSet, TrainingSet
from plant_disease.training.folders import Example, class_ids, labelled, non_leaves, pixels, split
from plant_disease.training.recipe import Recipe

MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)
"""Normalisation of pixels in 0..1, as the ImageNet weights of EfficientNet-Lite expect it."""


def fit(recipe: Recipe, data: Path, out: Path) -> None:
    """Train as the recipe says and write `weights.safetensors`, `training.json` and `log.jsonl` into `out`.

    The weights are written after every epoch, so a run that is cut off leaves its last whole epoch.

    Raises:
        RecipeError: a folder that the recipe names is missing or holds no photo.
    """
    out.mkdir(parents=True, exist_ok=True)
    _seed(recipe.optimisation.seed)
    sources = [data / source.path for source in recipe.data.sources]
    classes = class_ids(sources)
    fitted, kept_back = training_examples(recipe, data, classes)
    scenes, _ = split(non_leaves(data / recipe.data.non_leaves), recipe.data.holdout)
    backgrounds = [pixels(scene, 256) for scene in scenes]
    # Outdoors there are leaves behind the leaf. Where only some crops have such photos, foliage itself comes to mean
    # these crops, unless the others are seen before it too.
    backgrounds += [out_of_focus(pixels(example, 256)) for example in fitted if not example.swap_background]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = build(recipe.model.architecture, len(classes)).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    if recipe.model.pretrained:
        load_imagenet(network.backbone)
    (out / "training.json").write_text(
        json.dumps({"classes": classes, "recipe": recipe.model_dump(mode="json")}, indent=2)
    )

    stages = recipe.optimisation.stages
    loaders = [
        _loader(TrainingSet([*fitted, *scenes], Augment(stage.input_size, backgrounds)), recipe.optimisation.batch_size)
        for stage in stages
    ]
    total = sum(stage.epochs * len(loader) for stage, loader in zip(stages, loaders, strict=True))
    optimiser = torch.optim.AdamW(
        _parameter_groups(network, recipe.optimisation.weight_decay), lr=recipe.optimisation.learning_rate
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.optimisation.learning_rate, total_steps=total, pct_start=0.15
    )
    with _progress() as progress, (out / "log.jsonl").open("w") as log:
        task = progress.add_task("training", total=total, detail="")
        epoch = 0
        for stage, loader in zip(stages, loaders, strict=True):
            for _ in range(stage.epochs):
                epoch += 1
                losses = []
                network.train()
                for batch, labels in loader:
                    optimiser.zero_grad(set_to_none=True)
                    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                        logits, _ = network(normalise(batch.to(device)))
                        loss = _loss(logits, labels.to(device), recipe.optimisation.label_smoothing)
                    loss.backward()
                    nn.utils.clip_grad_norm_(network.parameters(), 2.0)
                    optimiser.step()
                    schedule.step()
                    losses.append(loss.item())
                    progress.update(task, advance=1, detail=f"epoch {epoch}, loss {np.mean(losses[-50:]):.3f}")
                accuracy = _accuracy(network, kept_back, stage.input_size, device)
                row = {
                    "epoch": epoch,
                    "input_size": stage.input_size,
                    "loss": float(np.mean(losses)),
                    "holdout": accuracy,
                }
                log.write(json.dumps(row) + "\n")
                log.flush()
                progress.console.print(f"epoch {epoch}: loss {row['loss']:.3f}, top-1 on the holdout {accuracy:.3f}")
                _save(network, out / "weights.safetensors")


def training_examples(recipe: Recipe, data: Path, classes: list[str]) -> tuple[list[Example], list[Example]]:
    """The labelled photos of a recipe as (fitted on, kept back for calibration), repeats only in the first."""
    fitted: list[Example] = []
    kept_back: list[Example] = []
    for source in recipe.data.sources:
        examples = labelled(data / source.path, classes, swap_background=source.swap_background)
        train, holdout = split(examples, recipe.data.holdout)
        fitted += train * source.repeat
        kept_back += holdout
    return fitted, kept_back


def normalise(batch: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) -> float32, channels last, as the network expects it."""
    mean = torch.tensor(MEAN, device=batch.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=batch.device).view(1, 3, 1, 1)
    return ((batch.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def _loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy; a picture without a leaf should look like no class more than another.

    The second half is outlier exposure (Hendrycks et al., ICLR 2019, arXiv:1812.04606).
    """
    classes = logits.shape[1]
    leaf = labels >= 0
    targets = torch.full_like(logits, 1 / classes)
    targets[leaf] = functional.one_hot(labels[leaf], classes).to(targets) * (1 - smoothing) + smoothing / classes
    return functional.cross_entropy(logits.float(), targets)


def _parameter_groups(network: Network, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for the weights of convolutions and the classifier, none for norms and biases."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def _loader(dataset: TrainingSet, batch_size: int) -> "DataLoader[tuple[Tensor, int]]":
    return DataLoader(
        dataset,
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=min(8, os.cpu_count() or 1),
        worker_init_fn=_seed_worker,
    )


@torch.inference_mode()
def _accuracy(network: Network, examples: list[Example], size: int, device: torch.device) -> float:
    network.eval()
    loader = DataLoader(PhotoSet(examples, size), batch_size=64)
    hits = [network(normalise(batch.to(device)))[0].argmax(1).cpu() == labels for batch, labels in loader]
    return float(torch.cat(hits).float().mean())


def _save(network: Network, path: Path) -> None:
    partial = path.with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, partial)
    partial.replace(path)


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _seed_worker(_: int) -> None:
    random.seed(torch.initial_seed() % 2**32)
    torch.set_num_threads(1)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
