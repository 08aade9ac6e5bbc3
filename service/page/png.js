// Encodes a canvas as PNG.

// Synchronous, which blocks the page for milliseconds, or half a second for a large photo. The asynchronous `toBlob`
// would wait until the browser is idle: one to five seconds while the page has something to draw.
export function png(canvas) {
  const text = atob(canvas.toDataURL("image/png").split(",")[1]);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i); // `Uint8Array.from` takes thirty times as long
  return new Blob([bytes], { type: "image/png" });
}
