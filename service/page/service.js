// HTTP client of the service. URLs are relative to the page, so that a proxy may add a path prefix.

import { currentKey } from "./key.js";

const FIELDS = "digit,confidence,probabilities,accepted,reason,pixels";
const PATIENCE_MS = 15_000;

// An error to show to the user; `retryAfter` in seconds if a retry may help, or null; `key` is the one that was sent.
export class Problem extends Error {
  constructor(message, { code = "", status = 0, key = "", retryAfter = null } = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.key = key;
    this.retryAfter = retryAfter;
  }

  get wantsKey() {
    return this.status === 401 || this.status === 403;
  }
}

// Throws a Problem; an abort by `signal` throws an AbortError instead.
async function ask(path, options = {}, signal = null) {
  const limit = AbortSignal.timeout(PATIENCE_MS);
  const key = currentKey();
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  let response;
  let content;
  try {
    response = await fetch(path, { ...options, headers, signal: signal ? AbortSignal.any([signal, limit]) : limit });
    content = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error.name === "TimeoutError") throw new Problem("The service did not answer in time.", { retryAfter: 5 });
    if (!response) throw new Problem("The service cannot be reached.", { code: "offline", retryAfter: 3 });
    throw new Problem(`The service answered with status ${response.status} and nothing that can be read.`);
  }
  if (response.ok) return { content, headers: response.headers };
  const { status } = response;
  const { code = "", message = `status ${status}` } = content.error ?? {};
  const after = Number(response.headers.get("Retry-After"));
  throw new Problem(sentence(message), { code, status, key, retryAfter: status === 503 ? after || 1 : null });
}

export async function predict(picture, { ink, model, version }, signal) {
  const query = new URLSearchParams({ fields: FIELDS });
  for (const [name, value] of Object.entries({ ink, model, version })) if (value) query.set(name, value);
  const headers = { "Content-Type": picture.type };
  const answer = await ask(`predict?${query}`, { method: "POST", headers, body: picture }, signal);
  return { ...answer.content, prediction: answer.headers.get("X-Prediction-Id") };
}

export async function models() {
  return (await ask("models")).content.models;
}

// Sends a correction, the right digit of an answer: by prediction id, or with pixels if the service has lost the id.
// Returns what `takeBack` needs.
export async function correct(answer, digit) {
  const { prediction, pixels, model, digit: predicted } = answer;
  const sent = { pixels, digit, model: model.name, version: model.version, predicted };
  if (!prediction) return post(sent);
  try {
    return await post({ prediction, digit });
  } catch (problem) {
    if (problem.code !== "unknown_prediction") throw problem;
    return post(sent);
  }
}

// Deletes a correction.
export async function takeBack({ id, key }) {
  await ask(`feedback/${id}`, { method: "DELETE", headers: { "Idempotency-Key": key } });
}

async function post(correction, key = crypto.getRandomValues(new Uint32Array(4)).join("-")) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  const { content } = await ask("feedback", { method: "POST", headers, body: JSON.stringify(correction) });
  return { id: content.id, key };
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
