// Swagger UI of `/docs`: dark where the system is, pictures in examples as 28 lines, errors without examples.

const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();

const SIDE = 28;

// JSON on few lines: a long list of numbers has 28 on each.
function compact(value, indent = "") {
  if (Array.isArray(value) && value.length > SIDE && value.every((each) => typeof each === "number")) {
    const rows = [];
    for (let start = 0; start < value.length; start += SIDE) rows.push(value.slice(start, start + SIDE).join(","));
    return `[${rows.join(",\n")}]`;
  }
  const inner = `${indent}  `;
  const lines = (parts, open, close) => `${open}\n${parts.map((part) => inner + part).join(",\n")}\n${indent}${close}`;
  if (Array.isArray(value) && value.some((each) => typeof each === "object" && each)) {
    if (value.every(Array.isArray) && value[0].length <= SIDE) return `[${value.map((row) => JSON.stringify(row)).join(",\n")}]`;
    return lines(value.map((each) => compact(each, inner)), "[", "]");
  }
  if (value && !Array.isArray(value) && typeof value === "object") {
    const parts = Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${compact(each, inner)}`);
    return lines(parts, "{", "}");
  }
  return JSON.stringify(value);
}

// Swagger UI's samples of bodies, which have each number on a line of its own.
function compactSamples(fn) {
  const sample = fn.getSampleSchema;
  fn.getSampleSchema = (...given) => {
    const text = sample(...given);
    try {
      return compact(JSON.parse(text));
    } catch {
      return text; // no JSON
    }
  };
}

SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "openapi.json",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 2,
  displayRequestDuration: true,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  plugins: [() => ({ afterLoad: ({ fn }) => [fn, fn.jsonSchema202012].forEach(compactSamples) })],
});
