"""Fine-tune a network on labelled photos."""

import json
import random
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from plant_disease.architectures import Network, build
from plant_disease.architectures.efficientnet_lite import load_imagenet
from plant_disease.cpu import available_cpus
from plant_disease.training.augment import Augment, out_of_focus
from plant_disease.training.data import PhotoSet, TrainingSet
from plant_disease.training.folders import Example, Gathered, gather, pixels
from plant_disease.training.recipe import Recipe, RecipeError

MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)
"""Normalisation of pixels in 0..1, as the ImageNet weights of EfficientNet-Lite expect it."""


def fit(recipe: Recipe, data: Path, out: Path) -> None:
    """Train as the recipe says and write `weights.safetensors`, `training.json` and `log.jsonl` into `out`.

    The weights are written after every epoch, so a run that is cut off leaves its last whole epoch.

    Raises:
        RecipeError: the recipe and the photos do not go together; nothing is written then.
    """
    _seed(recipe.optimisation.seed)
    photos = gather(recipe, data)
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = _network(recipe, len(photos.classes)).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    (out / "training.json").write_text(
        json.dumps({"classes": photos.classes, "recipe": recipe.model_dump(mode="json")}, indent=2)
    )
    loaders = _loaders(recipe, photos)
    stages = recipe.optimisation.stages
    total = sum(stage.epochs * len(loader) for stage, loader in zip(stages, loaders, strict=True))
    optimiser = torch.optim.AdamW(
        _parameter_groups(network, recipe.optimisation.weight_decay), lr=recipe.optimisation.learning_rate
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.optimisation.learning_rate, total_steps=total, pct_start=0.15
    )
    epoch = 0
    with _progress() as progress, (out / "log.jsonl").open("w") as log:
        task = progress.add_task("training", total=total, detail="")
        for stage, loader in zip(stages, loaders, strict=True):
            for _ in range(stage.epochs):
                epoch += 1
                losses = []
                network.train()
                for batch, labels in loader:
                    losses.append(_step(network, optimiser, batch, labels, recipe.optimisation.label_smoothing))
                    schedule.step()
                    progress.update(task, advance=1, detail=f"epoch {epoch}, loss {np.mean(losses[-50:]):.3f}")
                row = {
                    "epoch": epoch,
                    "input_size": stage.input_size,
                    "loss": float(np.mean(losses)),
                    "holdout": _accuracy(network, photos.kept_back, stage.input_size, device),
                }
                log.write(json.dumps(row) + "\n")
                log.flush()
                progress.console.print(
                    f"epoch {epoch}: loss {row['loss']:.3f}, top-1 on the holdout {row['holdout']:.3f}"
                )
                _save(network, out / "weights.safetensors")


def normalise(batch: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) -> float32, channels last, as the network expects it."""
    mean = torch.tensor(MEAN, device=batch.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=batch.device).view(1, 3, 1, 1)
    return ((batch.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def _network(recipe: Recipe, classes: int) -> Network:
    try:
        network = build(recipe.model.architecture, classes)
    except ValueError as error:
        raise RecipeError(f"model.architecture: {error}") from error
    if recipe.model.pretrained:
        load_imagenet(network.backbone)
    return network


def _loaders(recipe: Recipe, photos: Gathered) -> list["DataLoader[tuple[Tensor, int]]"]:
    """A loader of augmented photos for each stage."""
    backgrounds = [pixels(scene, TrainingSet.decode_size) for scene in photos.scenes]
    # Outdoors there are leaves behind the leaf. Where only some crops have such photos, foliage itself comes to mean
    # these crops, unless the others are seen before it too.
    outdoors = [example for example in photos.fitted if not example.swap_background]
    backgrounds += [out_of_focus(pixels(example, TrainingSet.decode_size)) for example in outdoors]
    return [
        DataLoader(
            TrainingSet([*photos.fitted, *photos.scenes], Augment(stage.input_size, backgrounds)),
            recipe.optimisation.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=min(8, available_cpus()),
            worker_init_fn=_seed_worker,
        )
        for stage in recipe.optimisation.stages
    ]


def _step(network: Network, optimiser: torch.optim.Optimizer, batch: Tensor, labels: Tensor, smoothing: float) -> float:
    """One step of the optimiser; gives the loss."""
    device = network.classifier.weight.device
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits, _ = network(normalise(batch.to(device)))
        loss = _loss(logits, labels.to(device), smoothing)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimiser.step()
    return loss.item()


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
        console=Console(stderr=True),
    )
