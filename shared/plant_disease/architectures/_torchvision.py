"""Import torchvision beside a CPU-only torch.

PyPI's torchvision is linked against CUDA. With a CPU build of torch its compiled operators cannot
be loaded, and `import torchvision` fails with "operator torchvision::nms does not exist", because
it registers shape functions for operators that are not there. None of the compiled operators is
used here, so declaring the missing schemas is enough.
"""

from functools import cache
from types import ModuleType

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

# Must live as long as the process: when it goes, the schemas go with it.
_library = torch.library.Library("torchvision", "FRAGMENT")


@cache
def torchvision() -> ModuleType:
    """The torchvision package.

    Raises:
        ImportError: torchvision is not installed (extra `train`).
    """
    try:
        import torchvision as module
    except RuntimeError:
        for schema in _SCHEMAS:
            _library.define(schema)
        import torchvision as module
    return module
