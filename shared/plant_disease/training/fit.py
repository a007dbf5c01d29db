"""Fine-tune a network on labelled photos."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from plant_disease.architectures import Network, build
from plant_disease.architectures.efficientnet_lite import load_imagenet
from plant_disease.classifier import softmax
from plant_disease.cpu import available_cpus
from plant_disease.manifest import WEIGHTS_FILE
from plant_disease.training.augment import Augment, out_of_focus
from plant_disease.training.calibrate import fit_temperature
from plant_disease.training.checkpoint import load_checkpoint, save_checkpoint, save_tensors
from plant_disease.training.data import PhotoSet, TrainingSet
from plant_disease.training.folders import Example, Gathered, gather, pixels
from plant_disease.training.loss import Loss
from plant_disease.training.metrics import negative_log_likelihood, top_k_accuracy
from plant_disease.training.recipe import Recipe, RecipeError

RUN_FILE = "training.json"
"""Notes the recipe, the classes and the licences of the photos of a run."""

LOG_FILE = "log.jsonl"
"""One JSON object a line and epoch; any table or plotting tool reads it."""

_LEAST_GAIN = 1e-4
"""Less than this in the loss on the holdout is no gain, but rounding."""

MEAN = (0.5, 0.5, 0.5)
STD = (0.5, 0.5, 0.5)
"""Normalisation of pixels in 0..1, as the ImageNet weights of EfficientNet-Lite expect it."""


def fit(recipe: Recipe, data: Path, out: Path, *, resume: bool = False) -> list[dict[str, float]]:
    """Train as the recipe says and write `weights.safetensors`, `training.json` and `log.jsonl` into `out`.

    After every epoch the state is written, so a run that is cut off can go on where it was, to the same end. The
    weights kept are those of the epoch with the smallest loss on the holdout.

    Args:
        recipe: what to do.
        data: the folder that its paths are relative to.
        out: the folder of the run.
        resume: go on with the run in `out`.

    Returns:
        The rows of the log, one an epoch.

    Raises:
        RecipeError: the recipe and the photos do not go together, or `out` holds a run already (or none, to resume, or
            one of another recipe); nothing is written then.
    """
    _seed(recipe.optimisation.seed)
    photos = gather(recipe, data)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainee = _network(recipe, len(photos.classes)).to(device)
    trainee.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    average = AveragedModel(trainee, multi_avg_fn=_running_average(recipe.optimisation.average), use_buffers=True)
    loss = Loss(recipe, photos, device)
    loaders = _loaders(recipe, photos)
    epochs = [
        (stage, loader)
        for stage, loader in zip(recipe.optimisation.stages, loaders, strict=True)
        for _ in range(stage.epochs)
    ]
    total = sum(len(loader) for _, loader in epochs)
    optimiser = torch.optim.AdamW(
        _parameter_groups(trainee, recipe.optimisation.weight_decay), lr=recipe.optimisation.learning_rate
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.optimisation.learning_rate, total_steps=total, pct_start=0.15
    )
    networks = {"network": trainee, "average": average}
    note = json.dumps(
        {"classes": photos.classes, "licences": photos.licences, "recipe": recipe.model_dump(mode="json")}, indent=2
    )
    state: dict[str, Any] = {"epoch": 0, "best": None, "best_epoch": 0}
    if resume:
        if _read(out / RUN_FILE) != note:
            raise RecipeError(f"The run in {out} had another recipe or other photos. Start a new one.")
        state = load_checkpoint(out, networks, optimiser)
        schedule.load_state_dict(state["schedule"])
    elif (out / RUN_FILE).exists():
        raise RecipeError(f"{out} holds a run already. Go on with it (--resume), or choose another folder.")
    out.mkdir(parents=True, exist_ok=True)
    (out / RUN_FILE).write_text(note)
    with _progress() as progress, (out / LOG_FILE).open("a" if resume else "w") as log:
        task = progress.add_task("training", total=total, completed=schedule.last_epoch, detail="")
        for epoch, (stage, loader) in enumerate(epochs, start=1):
            if epoch <= state["epoch"]:
                continue
            # Seeded anew for every epoch, so that a resumed run sees the same photos in the same order.
            _seed(recipe.optimisation.seed + epoch)
            started, losses = time.monotonic(), []
            _train_mode(trainee, recipe.model.frozen)
            for batch, labels, sources in loader:
                losses.append(_step(trainee, optimiser, loss, batch, labels, sources))
                schedule.step()
                average.update_parameters(trainee)
                progress.update(task, advance=1, detail=f"epoch {epoch}, loss {np.mean(losses[-50:]):.3f}")
            seconds = time.monotonic() - started
            kept = cast("Network", average.module)
            row: dict[str, float] = {
                "epoch": epoch,
                "input_size": stage.input_size,
                "learning_rate": float(schedule.get_last_lr()[0]),
                "loss": float(np.mean(losses)),
                **_holdout(kept, photos.kept_back, stage.input_size),
                "photos_per_s": len(losses) * recipe.optimisation.batch_size / seconds,
            }
            log.write(json.dumps({key: round(value, 6) for key, value in row.items()}) + "\n")
            log.flush()
            progress.console.print(
                f"epoch {epoch}: loss {row['loss']:.3f}; "
                f"holdout: loss {row['holdout_loss']:.3f}, top-1 {row['holdout_top_1']:.3f}"
            )
            state["epoch"] = epoch
            if state["best"] is None or row["holdout_loss"] < state["best"] - _LEAST_GAIN:
                state |= {"best": row["holdout_loss"], "best_epoch": epoch}
                save_tensors(kept.state_dict(), out / WEIGHTS_FILE)
            save_checkpoint(out, networks, optimiser, {**state, "schedule": schedule.state_dict()})
            patience = recipe.optimisation.patience
            if patience is not None and epoch - state["best_epoch"] >= patience:
                progress.console.print(f"No smaller loss on the holdout for {patience} epochs: stopped.")
                break
    return [json.loads(line) for line in (out / LOG_FILE).read_text().splitlines()]


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
    for part in _frozen(network, recipe.model.frozen):
        part.requires_grad_(False)
    return network


def _frozen(network: Network, parts: int) -> list[nn.Module]:
    return list(network.backbone.children())[:parts]


def _train_mode(network: Network, frozen: int) -> None:
    network.train()
    for part in _frozen(network, frozen):
        part.eval()  # or batch norm would go on learning


def _loaders(recipe: Recipe, photos: Gathered) -> list["DataLoader[tuple[Tensor, int, int]]"]:
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
            generator=torch.default_generator,
        )
        for stage in recipe.optimisation.stages
    ]


def _step(
    network: Network, optimiser: torch.optim.Optimizer, loss: Loss, batch: Tensor, labels: Tensor, sources: Tensor
) -> float:
    """One step of the optimiser; gives the loss."""
    device = network.classifier.weight.device
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits, _ = network(normalise(batch.to(device)))
    value = loss(logits, labels.to(device), sources.to(device))
    value.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 2.0)
    optimiser.step()
    return value.item()


def _parameter_groups(network: Network, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for the weights of convolutions and the classifier, none for norms and biases."""
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1]
    rest = [p for p in trained if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def _running_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential average whose decay grows over the first steps: a short run must not keep what it started with."""

    def update(averages: Any, values: Any, steps: Tensor) -> None:
        get_ema_multi_avg_fn(min(decay, float((1 + steps) / (10 + steps))))(averages, values, steps)

    return update


@torch.inference_mode()
def _holdout(network: Network, examples: list[Example], size: int) -> dict[str, float]:
    """Loss and accuracy on photos that the network was not fitted to."""
    network.eval()
    device = network.classifier.weight.device
    batches = [
        (network(normalise(batch.to(device)))[0].cpu(), labels)
        for batch, labels in DataLoader(PhotoSet(examples, size), batch_size=64)
    ]
    logits, truth = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))
    # With the best temperature: an export has one too, and label smoothing leaves raw logits too flat.
    temperature = fit_temperature(logits, truth).temperature
    return {
        "holdout_loss": negative_log_likelihood(softmax((logits / temperature).astype(np.float32)), truth),
        "holdout_top_1": top_k_accuracy(softmax(logits), truth, 1),
    }


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _seed_worker(_: int) -> None:
    random.seed(torch.initial_seed() % 2**32)
    torch.set_num_threads(1)


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None


def _progress() -> Progress:
    """A progress bar for standard error: what, how far, how long still, and a detail."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=Console(stderr=True),
    )
