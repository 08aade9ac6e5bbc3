// The drawing canvas: turns pointer events of mouse, pen and touch into strokes.

export class Paper {
  #canvas;
  #strokes;
  #changed;
  #pointer = null;

  // `began` is called at the start of a stroke, `changed` after each change of the strokes.
  constructor(canvas, strokes, { began, changed }) {
    this.#canvas = canvas;
    this.#strokes = strokes;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.#pointer !== null) return;
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      this.#pointer = event.pointerId;
      began();
      strokes.begin(this.#point(event));
      this.#show();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerId !== this.#pointer) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) strokes.add(this.#point(each));
      this.#show();
    });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, (event) => {
        if (event.pointerId === this.#pointer) this.#pointer = null;
      });
    }
    new ResizeObserver(() => this.render()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.render());
  }

  // Ends the stroke that is being drawn: later moves of its pointer draw nothing.
  stop() {
    this.#pointer = null;
  }

  render() {
    const canvas = this.#canvas;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, side, side);
    context.strokeStyle = getComputedStyle(canvas).color;
    this.#strokes.render(context, side);
  }

  #show() {
    this.render();
    this.#changed();
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    const weight = event.pointerType === "pen" && event.pressure ? 0.7 + 0.6 * event.pressure : 1;
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height, weight };
  }
}
