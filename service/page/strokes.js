// The drawing as strokes of points in 0…1 of the canvas side, and its rendering on the page and for the service.

import { png } from "./png.js";

const WIDTH = 0.075; // of the pen on the page, as a share of the canvas side
const FITTED = 0.65; // share of the picture's side that a drawing takes: with WIDTH, the pen is as thick as MNIST's pens

export class Strokes {
  #strokes = [];

  get empty() {
    return this.#strokes.length === 0;
  }

  // Whether the drawing is only a dot, the beginning of each stroke, which the service would refuse as a blot.
  get dot() {
    return this.empty || extent(box(this.#strokes.flat())) < WIDTH;
  }

  begin(point) {
    this.#strokes.push([point]);
  }

  add(point) {
    const stroke = this.#strokes.at(-1);
    const last = stroke.at(-1);
    if (Math.hypot(point.x - last.x, point.y - last.y) > 0.002) stroke.push(point);
  }

  undo() {
    this.#strokes.pop();
  }

  clear() {
    this.#strokes = [];
  }

  // Draws on a context of `side` x `side` pixels, in the stroke style of the context; `width` of the pen is a share of
  // the canvas side.
  render(context, side, width = WIDTH) {
    context.lineCap = context.lineJoin = "round";
    for (const points of this.#strokes) {
      let from = points[0];
      begin(context, side, width, from);
      if (points.length === 1) context.lineTo(from.x * side + 0.01, from.y * side); // length 0 is not drawn
      for (let i = 1; i < points.length; i++) {
        // Smooth curve: quadratic Bézier segments between midpoints, with the points as control points.
        const to = i === points.length - 1 ? points[i] : middle(points[i], points[i + 1]);
        context.quadraticCurveTo(points[i].x * side, points[i].y * side, to.x * side, to.y * side);
        if (to.weight !== from.weight) {
          // Pen pressure: each segment has its own width.
          context.stroke();
          begin(context, side, width, to);
        }
        from = to;
      }
      context.stroke();
    }
  }

  // The drawing as PNG, black on white, of `side` x `side` pixels. It is fitted into the picture, and the pen is as wide
  // as its digits are large: the service gets the same picture of a small digit as of a large one.
  picture(side = 280) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, side, side);
    const whole = box(this.#strokes.flat());
    const zoom = FITTED / extent(whole);
    context.translate(side / 2, side / 2);
    context.scale(zoom, zoom);
    context.translate((-(whole.left + whole.right) / 2) * side, (-(whole.top + whole.bottom) / 2) * side);
    context.beginPath();
    context.rect(0, 0, side, side); // strokes outside the paper are not seen on the page either
    context.clip();
    this.render(context, side, (WIDTH / FITTED) * this.#digitSize());
    return png(canvas);
  }

  // The size of the largest digit. Strokes one above the other are of one digit, strokes side by side of several.
  #digitSize() {
    const digits = [];
    for (const stroke of this.#strokes.map(box).sort((a, b) => a.left - b.left)) {
      const last = digits.at(-1);
      if (last && stroke.left <= last.right) digits[digits.length - 1] = around(last, stroke);
      else digits.push(stroke);
    }
    return Math.max(...digits.map(extent));
  }
}

// The bounding box of points, as far as it is on the paper.
function box(points) {
  const on = (at) => Math.min(Math.max(at, 0), 1);
  return points.map(({ x, y }) => ({ left: on(x), right: on(x), top: on(y), bottom: on(y) })).reduce(around);
}

function around(a, b) {
  return {
    left: Math.min(a.left, b.left),
    right: Math.max(a.right, b.right),
    top: Math.min(a.top, b.top),
    bottom: Math.max(a.bottom, b.bottom),
  };
}

function extent({ left, right, top, bottom }) {
  return Math.max(right - left, bottom - top);
}

function begin(context, side, width, point) {
  context.lineWidth = width * side * point.weight;
  context.beginPath();
  context.moveTo(point.x * side, point.y * side);
}

function middle(a, b) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, weight: (a.weight + b.weight) / 2 };
}
