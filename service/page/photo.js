// Converts photos for the service: small files that it reads are sent unchanged, all other images as PNG.

import { png } from "./png.js";

const SUPPORTED = ["image/png", "image/jpeg", "image/gif", "image/bmp"];
const UNDECODED = "image/tiff"; // read by the service, but by few browsers
const LIMIT_BYTES = 12 * 2 ** 20;
const LIMIT_PIXELS = 16e6;
const LIMIT_SIDE = 2048;

// The first image file in a list of files, or null.
export function firstPicture(files) {
  return [...files].find((file) => file.type.startsWith("image/")) ?? null;
}

// The file to send. Throws when neither the browser nor the service can decode the file.
export async function sendable(file) {
  const short = file.size <= LIMIT_BYTES;
  const picture = await createImageBitmap(file).catch((error) => {
    if (file.type === UNDECODED && short) return null;
    throw error;
  });
  if (!picture) return file;
  if (SUPPORTED.includes(file.type) && short && picture.width * picture.height <= LIMIT_PIXELS) return file;
  const part = Math.min(1, LIMIT_SIDE / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(picture.width * part));
  canvas.height = Math.max(1, Math.round(picture.height * part));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return png(canvas);
}
