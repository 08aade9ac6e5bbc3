// A canvas as a PNG.

// At once, though it holds the page up for a few milliseconds: `toBlob` waits until the browser is idle, and one that
// has something to draw comes to it after a second, or five.
export function png(canvas) {
  const [, base64] = canvas.toDataURL("image/png").split(",");
  return new Blob([Uint8Array.from(atob(base64), (byte) => byte.charCodeAt(0))], { type: "image/png" });
}
