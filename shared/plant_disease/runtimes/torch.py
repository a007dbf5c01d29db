"""Inference through PyTorch, on the CPU or a GPU."""

from plant_disease.bundle import Bundle
from plant_disease.errors import BundleError, RuntimeUnavailable
from plant_disease.images import Pixels
from plant_disease.manifest import WEIGHTS_FILE
from plant_disease.runtimes import Output

try:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file
except ImportError as missing:
    raise RuntimeUnavailable(
        'The torch runtime is not installed. Run: pip install "plant-disease-detector[torch]", '
        "or set PLANT_RUNTIME=onnx."
    ) from missing

from plant_disease.architectures import build


class TorchRuntime:
    """A bundle's `weights.safetensors` in its network."""

    def __init__(self, bundle: Bundle, *, threads: int, device: str = "cpu") -> None:
        torch.set_num_threads(threads)
        manifest = bundle.manifest
        try:
            self._device = torch.device(device)
            self._mean, self._std = (
                torch.tensor(values, device=self._device).view(1, 3, 1, 1)
                for values in (manifest.input.mean, manifest.input.std)
            )
        except (RuntimeError, AssertionError) as error:
            raise RuntimeUnavailable(f"Torch cannot use the device {device!r}: {error}") from error
        try:
            self.network = build(manifest.architecture, len(manifest.classes))
            self.network.load_state_dict(load_file(bundle.fetch(WEIGHTS_FILE)))
        except ImportError as error:
            raise RuntimeUnavailable(
                f'{manifest.architecture} needs {error.name}. Run: pip install "plant-disease-detector[train]"'
            ) from error
        except (RuntimeError, ValueError, SafetensorError) as error:
            raise BundleError(
                f"The weights of version {manifest.version} do not fit its architecture: {error}"
            ) from error
        self._on_cuda = self._device.type == "cuda"
        self.network.eval().to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs

    @torch.inference_mode()
    def run(self, batch: Pixels) -> Output:
        """See `Runtime.run`. On CUDA in half precision, with float32 where that would be too coarse."""
        with torch.autocast(self._device.type, torch.float16, enabled=self._on_cuda):
            logits, features = self.network(self.normalised(batch))
        return Output(logits.float().cpu().numpy(), features.float().cpu().numpy())

    def normalised(self, batch: Pixels) -> torch.Tensor:
        """A uint8 RGB batch (N, size, size, 3) as the network takes it: float32 (N, 3, size, size), on its device."""
        pixels = torch.tensor(batch)
        if self._on_cuda:
            # From pinned memory the GPU fetches them by itself.
            pixels = pixels.pin_memory()
        pixels = pixels.to(self._device, non_blocking=self._on_cuda).permute(0, 3, 1, 2)
        return (pixels.float() / 255 - self._mean) / self._std
