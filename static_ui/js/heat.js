/** The raw heatmap of a photo, blended over it in the browser: another strength asks nobody. */

/** Nine colours of matplotlib's inferno, from cold to hot; what lies between is mixed. Works for colour-blind people and in grey. */
const COLOURS = ["000004", "1f0c48", "550f6d", "88226a", "ba3655", "e35933", "f98c0a", "f9c932", "fcffa4"].map((colour) =>
  [0, 2, 4].map((at) => parseInt(colour.slice(at, at + 2), 16)),
);

const PALETTE = Array.from({ length: 256 }, (_, level) => {
  const at = (level / 255) * (COLOURS.length - 1);
  const below = Math.min(Math.floor(at), COLOURS.length - 2);
  return COLOURS[below].map((value, channel) => Math.round(value + (COLOURS[below + 1][channel] - value) * (at - below)));
});

/** Read the grey levels of a heatmap. @returns {Promise<ImageData>} */
export async function read(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/**
 * Draw heat. The hotter a spot, the more of the photo it hides; what is cold hides nothing.
 * @param {HTMLCanvasElement} canvas lies over the photo
 * @param {ImageData} heat
 * @param {number} strength how much the hottest spot hides, 0 to 1
 */
export function draw(canvas, heat, strength) {
  canvas.width = heat.width;
  canvas.height = heat.height;
  const drawn = new ImageData(heat.width, heat.height);
  for (let at = 0; at < heat.data.length; at += 4) {
    const level = heat.data[at];
    drawn.data.set(PALETTE[level], at);
    drawn.data[at + 3] = level * strength;
  }
  canvas.getContext("2d").putImageData(drawn, 0, 0);
}
