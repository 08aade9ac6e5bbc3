// The drawing as strokes of points in 0…1 of the canvas side, and its rendering at any size.

import { png } from "./png.js";

const WIDTH = 0.075; // share of the canvas side: as thick as MNIST's pens for a digit of three quarters of the side

export class Strokes {
  #strokes = [];

  get empty() {
    return this.#strokes.length === 0;
  }

  // Whether the drawing is only a dot, the beginning of each stroke, which the service would refuse as a blot.
  get dot() {
    const points = this.#strokes.flat();
    return ["x", "y"].every((axis) => {
      const places = points.map((point) => point[axis]);
      return Math.max(...places) - Math.min(...places) < WIDTH;
    });
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

  // Draws on a context of `side` x `side` pixels, in the stroke style of the context.
  render(context, side) {
    context.lineCap = context.lineJoin = "round";
    for (const points of this.#strokes) {
      let from = points[0];
      begin(context, side, from);
      if (points.length === 1) context.lineTo(from.x * side + 0.01, from.y * side); // length 0 is not drawn
      for (let i = 1; i < points.length; i++) {
        // Smooth curve: quadratic Bézier segments between midpoints, with the points as control points.
        const to = i === points.length - 1 ? points[i] : middle(points[i], points[i + 1]);
        context.quadraticCurveTo(points[i].x * side, points[i].y * side, to.x * side, to.y * side);
        if (to.weight !== from.weight) {
          // Pen pressure: each segment has its own width.
          context.stroke();
          begin(context, side, to);
        }
        from = to;
      }
      context.stroke();
    }
  }

  // The drawing as PNG, black on white, of `side` x `side` pixels.
  picture(side = 280) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, side, side);
    this.render(context, side);
    return png(canvas);
  }
}

function begin(context, side, point) {
  context.lineWidth = WIDTH * side * point.weight;
  context.beginPath();
  context.moveTo(point.x * side, point.y * side);
}

function middle(a, b) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, weight: (a.weight + b.weight) / 2 };
}
