// Photos as the service takes them: PNG and JPEG go as they are, all else that a browser can show becomes PNG.

import { png } from "./png.js";

const SPOKEN = ["image/png", "image/jpeg"];
const LIMIT_BYTES = 12 * 2 ** 20;
const LIMIT_PIXELS = 16e6;
const LIMIT_SIDE = 2048;

// The first picture of what was dropped, pasted or chosen.
export function firstPicture(files) {
  return [...files].find((file) => file.type.startsWith("image/")) ?? null;
}

// Throws when the browser cannot read the file either.
export async function sendable(file) {
  const picture = await createImageBitmap(file);
  const small = file.size <= LIMIT_BYTES && picture.width * picture.height <= LIMIT_PIXELS;
  if (SPOKEN.includes(file.type) && small) return file;
  const part = Math.min(1, LIMIT_SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * part));
  canvas.height = Math.max(1, Math.round(picture.height * part));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return png(canvas);
}
