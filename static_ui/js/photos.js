/** Photos on their way out: decoded, turned upright, shrunk, and rid of metadata and place. */

export const LONGEST_SIDE = 1024;
const QUALITY = 0.9;
const THUMBNAIL_SIDE = 160;
const DECODING_MS = 20_000;

/** A file that cannot be used. `kind`: heic, empty, unreadable. */
export class PhotoError extends Error {
  constructor(kind, name) {
    super(`${name}: ${kind}`);
    this.kind = kind;
    this.fileName = name;
  }
}

/**
 * A photo ready to be sent.
 * @typedef {{name: string, blob: Blob, width: number, height: number, original: Blob|null, originalWidth: number, originalHeight: number, originalSize: number}} Photo
 */

/**
 * Make a photo of a file. What is sent is drawn anew from pixels, so nothing else of the file is left in it.
 * @param {Blob} file
 * @returns {Promise<Photo>}
 * @throws {PhotoError}
 */
export async function prepare(file, name = file.name ?? "photo.jpg") {
  if (!file.size) throw new PhotoError("empty", name);
  const bitmap = await decode(file, name);
  const { width, height } = fit(bitmap.width, bitmap.height, LONGEST_SIDE);
  const blob = await draw(bitmap, width, height, QUALITY);
  const photo = { name, blob, width, height, original: file, originalWidth: bitmap.width, originalHeight: bitmap.height, originalSize: file.size };
  bitmap.close();
  return photo;
}

/** A small picture of a photo, for tables and lists. */
export async function thumbnail(blob) {
  const bitmap = await decode(blob, "");
  const { width, height } = fit(bitmap.width, bitmap.height, THUMBNAIL_SIDE);
  const small = await draw(bitmap, width, height, 0.8);
  bitmap.close();
  return small;
}

async function decode(file, name) {
  const isHeic = /\.(heic|heif)$/i.test(name) || /hei[cf]/.test(file.type);
  let timer;
  const tooLong = new Promise((_, reject) => (timer = setTimeout(reject, DECODING_MS)));
  try {
    // Tried in any case: Safari can open HEIC.
    return await Promise.race([createImageBitmap(file, { imageOrientation: "from-image" }), tooLong]);
  } catch {
    throw new PhotoError(isHeic ? "heic" : "unreadable", name);
  } finally {
    clearTimeout(timer);
  }
}

function fit(width, height, side) {
  const scale = Math.min(1, side / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

async function draw(bitmap, width, height, quality) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { alpha: false });
  context.imageSmoothingQuality = "high";
  // What is transparent would turn black in a JPEG.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
  if (!blob) throw new PhotoError("unreadable", "");
  return blob;
}

/** The image files among what was dropped or pasted. */
export function filesOf(transfer) {
  return [...(transfer?.files ?? [])];
}
