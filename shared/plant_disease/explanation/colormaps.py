"""Colours for heat: even steps for the eye, and readable for colour-blind people and in black and white.

All three rise steadily in lightness. `inferno` and `viridis` are from matplotlib (van der Walt and Smith 2015, CC0);
`cividis` is made to look the same with and without a colour vision deficiency (Nuñez, Anderton and Renslow, PLoS
ONE 2018, doi:10.1371/journal.pone.0199239). Nine points of each are kept; what lies between is interpolated.
"""

from functools import cache
from typing import Literal

import numpy as np

ColormapName = Literal["inferno", "viridis", "cividis"]

_POINTS: dict[ColormapName, str] = {
    "inferno": "000004 210c4a 57106e 8a226a bc3754 e35933 f98c0a f9c932 fcffa4",
    "viridis": "440154 472d7b 3b528b 2c728e 21918c 27ad81 5cc863 aadc32 fde725",
    "cividis": "00224e 1a386f 434e6c 61656f 7d7c78 9a9376 bbad6d ddc858 fee838",
}


@cache
def palette(name: ColormapName) -> bytes:
    """256 RGB colours from cold to hot, one after another: 768 bytes, as Pillow takes them."""
    points = np.array([list(bytes.fromhex(point)) for point in _POINTS[name].split()], dtype=float)
    positions = np.linspace(0, 255, len(points))
    channels = [np.interp(np.arange(256), positions, points[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8).tobytes()
