// A canvas as a PNG.

// At once, though it holds the page up, for milliseconds, or for half a second where a photo is large: `toBlob` waits
// until the browser is idle, and one that has something to draw comes to it after a second, or five.
export function png(canvas) {
  const text = atob(canvas.toDataURL("image/png").split(",")[1]);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i); // `from` takes thirty times as long
  return new Blob([bytes], { type: "image/png" });
}
