"""A plant disease service as it is usually written: FastAPI, torchvision's network in eager mode, `torch.load`."""

import io
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import torch
from fastapi import FastAPI, File
from PIL import Image

try:
    import torchvision
except RuntimeError:
    # PyPI's torchvision beside a CPU build of torch: two operators that nothing here uses must be declared.
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
from torchvision.transforms import v2

CLASSES = 38
WEIGHTS = Path("model.pth")

transform = v2.Compose(
    [
        v2.PILToTensor(),
        v2.Resize((224, 224)),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)


def network() -> torch.nn.Module:
    """The smallest EfficientNet that torchvision has."""
    return torchvision.models.efficientnet_b0(num_classes=CLASSES)


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Load the model once."""
    app.state.model = network()
    app.state.model.load_state_dict(torch.load(WEIGHTS))
    app.state.model.eval()
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
def predict(image: Annotated[bytes, File()]) -> list[dict[str, float]]:
    """The three most probable classes."""
    photo = Image.open(io.BytesIO(image)).convert("RGB")
    with torch.inference_mode():
        probabilities = app.state.model(transform(photo)[None]).softmax(1)[0]
    top = probabilities.topk(3)
    return [{"class": int(i), "probability": float(p)} for p, i in zip(top.values, top.indices, strict=True)]
