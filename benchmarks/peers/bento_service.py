"""The bundled ONNX model behind BentoML: https://docs.bentoml.com/en/latest/build-with-bentoml/services.html."""

import os

import bentoml
import numpy as np
import onnxruntime
from PIL.Image import Image


@bentoml.service(workers=2)
class Leaf:
    """One worker."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
        self.side = self.session.get_inputs()[0].shape[1]

    @bentoml.api
    def predict(self, image: Image) -> list[dict[str, float]]:
        """The three most probable classes."""
        photo = np.asarray(image.convert("RGB").resize((self.side, self.side)))[None]
        logits = self.session.run(["logits"], {self.session.get_inputs()[0].name: photo})[0][0]
        odds = np.exp(logits - logits.max())
        return [{"class": int(i), "probability": float(odds[i] / odds.sum())} for i in np.argsort(-odds)[:3]]
