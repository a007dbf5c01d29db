"""The bundled ONNX model behind LitServe: https://lightning.ai/docs/litserve/api-reference/litapi."""

import os
import sys

import litserve
import numpy as np
import onnxruntime
from fastapi import Request
from PIL import Image


class LeafAPI(litserve.LitAPI):
    """One worker."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load the model once."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options)
        self.side = self.session.get_inputs()[0].shape[1]

    # LitServe hands a parsed form over where the annotation says Request.
    def decode_request(self, request: Request) -> np.ndarray:
        """The photo of the form, as the model takes it."""
        photo = Image.open(request["image"].file).convert("RGB").resize((self.side, self.side))
        return np.asarray(photo)[None]

    def predict(self, photo: np.ndarray) -> np.ndarray:
        """The logits."""
        return self.session.run(["logits"], {self.session.get_inputs()[0].name: photo})[0][0]

    def encode_response(self, logits: np.ndarray) -> dict:
        """The three most probable classes."""
        odds = np.exp(logits - logits.max())
        top = np.argsort(-odds)[:3]
        return {"predictions": [{"class": int(i), "probability": float(odds[i] / odds.sum())} for i in top]}


if __name__ == "__main__":
    server = litserve.LitServer(LeafAPI(), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
