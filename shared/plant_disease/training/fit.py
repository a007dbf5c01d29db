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
    run = _Run(recipe, photos)
    note = json.dumps(
        {"classes": photos.classes, "licences": photos.licences, "recipe": recipe.model_dump(mode="json")}, indent=2
    )
    if resume:
        if _read(out / RUN_FILE) != note:
            raise RecipeError(f"The run in {out} had another recipe or other photos. Start a new one.")
        run.restore(out)
    elif (out / RUN_FILE).exists():
        raise RecipeError(f"{out} holds a run already. Go on with it (--resume), or choose another folder.")
    out.mkdir(parents=True, exist_ok=True)
    (out / RUN_FILE).write_text(note)
    with _progress() as progress:
        task = progress.add_task("training", total=run.steps, completed=run.steps_done, detail="")
        while not run.is_over():
            row = run.train_epoch(lambda detail: progress.update(task, advance=1, detail=detail))
            run.save(out)
            progress.console.print(
                f"epoch {row['epoch']}: loss {row['loss']:.3f}; "
                f"holdout: loss {row['holdout_loss']:.3f}, top-1 {row['holdout_top_1']:.3f}"
            )
    return run.rows


class _Run:
    """Everything that changes while a network is trained.

    Attributes:
        rows: the log, one row for each epoch that is done.
        steps: of the optimiser, in all.
    """

    def __init__(self, recipe: Recipe, photos: Gathered) -> None:
        self._recipe = recipe
        self._photos = photos
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = _network(recipe, len(photos.classes)).to(device)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        decay = recipe.optimisation.average
        self._average = AveragedModel(self._network, multi_avg_fn=_running_average(decay), use_buffers=True)
        self._loss = Loss(recipe, photos, device)
        stages = zip(recipe.optimisation.stages, _loaders(recipe, photos), strict=True)
        self._epochs = [(stage.input_size, loader) for stage, loader in stages for _ in range(stage.epochs)]
        self.steps = sum(len(loader) for _, loader in self._epochs)
        peak = recipe.optimisation.learning_rate
        groups = _parameter_groups(self._network, recipe.optimisation.weight_decay)
        self._optimiser = torch.optim.AdamW(groups, lr=peak)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, peak, total_steps=self.steps, pct_start=0.15
        )
        self.rows: list[dict[str, float]] = []
        self._best = 0

    @property
    def steps_done(self) -> int:
        """Of the optimiser, so far."""
        return sum(len(loader) for _, loader in self._epochs[: len(self.rows)])

    def is_over(self) -> bool:
        """Whether all epochs are done, or nothing has been gained for `patience` of them."""
        patience = self._recipe.optimisation.patience
        gained_nothing = patience is not None and len(self.rows) - 1 - self._best >= patience
        return len(self.rows) == len(self._epochs) or gained_nothing

    def train_epoch(self, advance: Callable[[str], object]) -> dict[str, float]:
        """One epoch, and what the holdout says of it; `advance` is told how it goes after every step."""
        epoch = len(self.rows) + 1
        size, loader = self._epochs[epoch - 1]
        # Seeded anew for every epoch, so that a resumed run sees the same photos in the same order.
        _seed(self._recipe.optimisation.seed + epoch)
        started, losses = time.monotonic(), []
        _train_mode(self._network, self._recipe.model.frozen)
        for batch, labels, sources in loader:
            losses.append(_step(self._network, self._optimiser, self._loss, batch, labels, sources))
            self._schedule.step()
            self._average.update_parameters(self._network)
            advance(f"epoch {epoch}, loss {np.mean(losses[-50:]):.3f}")
        seconds = time.monotonic() - started
        row: dict[str, float] = {
            "epoch": epoch,
            "input_size": size,
            "learning_rate": float(self._schedule.get_last_lr()[0]),
            "loss": float(np.mean(losses)),
            **_holdout(self._kept(), self._photos.kept_back, size),
            "photos_per_s": len(losses) * self._recipe.optimisation.batch_size / seconds,
        }
        self.rows.append({key: round(value, 6) for key, value in row.items()})
        if row["holdout_loss"] < self.rows[self._best]["holdout_loss"] - _LEAST_GAIN:
            self._best = epoch - 1
        return row

    def save(self, folder: Path) -> None:
        """Write log and state, and the weights if they are the best so far."""
        if self._best == len(self.rows) - 1:
            save_tensors(self._kept().state_dict(), folder / WEIGHTS_FILE)
        notes = {"rows": self.rows, "best": self._best, "schedule": self._schedule.state_dict()}
        save_checkpoint(folder, self._networks(), self._optimiser, notes)
        (folder / LOG_FILE).write_text("".join(json.dumps(row) + "\n" for row in self.rows))

    def restore(self, folder: Path) -> None:
        """Go back to what `save` wrote.

        Raises:
            RecipeError: see `load_checkpoint`.
        """
        notes = load_checkpoint(folder, self._networks(), self._optimiser)
        self._schedule.load_state_dict(notes["schedule"])
        self.rows, self._best = notes["rows"], notes["best"]

    def _kept(self) -> Network:
        return cast("Network", self._average.module)

    def _networks(self) -> dict[str, nn.Module]:
        return {"network": self._network, "average": self._average}


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
