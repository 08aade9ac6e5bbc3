// The page controller: debounces predict requests, shows answers, sends corrections.

import { Answer } from "./answer.js";
import { KeyForm } from "./key.js";
import { Paper } from "./paper.js";
import { firstPicture, sendable } from "./photo.js";
import { correct, models, predict, Problem, takeBack } from "./service.js";
import { Strokes } from "./strokes.js";

const PAUSE_MS = 100; // debounce of predict requests while drawing

const [undo, clear, file, ink, inkChoice, model, photo, hint, paperBox] = [
  "undo", "clear", "file", "ink", "ink-choice", "model", "photo", "hint", "paper",
].map((id) => document.getElementById(id));

const strokes = new Strokes();
const answer = new Answer(send, undoCorrection);
const keyForm = new KeyForm(askAgain);
const paper = new Paper(document.getElementById("drawing"), strokes, { began: dropPhoto, changed });

let chosen = null; // the photo to send, or null for a drawing
let shown = null; // the answer on the screen, or null
let timer = 0; // debounce or retry timer; 0 when none runs
let asking = null; // AbortController of the predict request in flight
let kept = null; // the correction of the answer on the screen, or null
let writing = Promise.resolve(); // the correction in flight: they are written in the order of the clicks
let stale = false; // whether the picture has changed since the last predict request

// At most one predict request is in flight; a picture that changes meanwhile is sent after the answer.
function changed() {
  hint.hidden = !strokes.empty || chosen !== null;
  undo.disabled = strokes.empty;
  clear.disabled = strokes.empty && chosen === null;
  stale = true;
  if (!timer) wait(PAUSE_MS); // not restarted by each move, so that answers appear also while drawing
}

function wait(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(ask, milliseconds);
}

async function ask() {
  timer = 0;
  if (asking || !stale) return;
  stale = false;
  if (strokes.dot && !chosen) return;
  const question = (asking = new AbortController());
  const [name, version] = model.value.split("/");
  let retryAfter = null;
  try {
    const picture = chosen ?? strokes.picture();
    const choice = { ink: chosen ? ink.value : "black", model: name, version };
    const found = await predict(picture, choice, question.signal);
    if (question.signal.aborted) return;
    shown = found;
    answer.show(found);
  } catch (error) {
    if (question.signal.aborted) return;
    shown = null;
    retryAfter = error.retryAfter ?? null;
    if (error.wantsKey) keyForm.ask(error);
    answer.problem(words(error) + (retryAfter ? ` Trying again in ${retryAfter} s.` : ""));
    if (error.code === "unknown_version" || error.code === "unknown_model") listModels();
  } finally {
    if (asking === question) asking = null;
  }
  if (retryAfter) {
    stale = true;
    wait(1000 * retryAfter);
  } else if (stale) wait(PAUSE_MS);
}

function words(error) {
  if (error instanceof Problem) return error.message;
  console.error(error);
  return "The page failed; its console says how.";
}

function forget() {
  clearTimeout(timer);
  timer = 0;
  asking?.abort();
  asking = shown = null;
  stale = false;
  answer.empty();
}

function dropPhoto() {
  if (chosen === null) return;
  URL.revokeObjectURL(photo.src);
  photo.removeAttribute("src");
  photo.hidden = inkChoice.hidden = true;
  ink.selectedIndex = 0;
  chosen = null;
  forget();
}

function clearAll() {
  paper.stop();
  dropPhoto();
  strokes.clear();
  paper.render();
  forget();
  changed();
}

function undoLast() {
  paper.stop();
  strokes.undo();
  paper.render();
  if (strokes.dot) forget();
  changed();
}

async function choose(given) {
  if (!given) return;
  clearAll();
  try {
    chosen = await sendable(given);
  } catch {
    answer.problem("This file is no picture that can be read here: want PNG or JPEG.");
    return;
  }
  photo.src = URL.createObjectURL(chosen);
  photo.hidden = inkChoice.hidden = false;
  changed();
}

function send(digit) {
  if (!shown) return;
  const of = shown;
  write(of, "Not kept.", async () => {
    const correction = await correct(of, digit);
    if (of !== shown) return;
    kept = correction;
    answer.feedback(`Thank you. Kept as ${digit}.`, "kept", digit);
  });
}

function undoCorrection() {
  const of = shown;
  write(of, "Not taken back.", async () => {
    await takeBack(kept);
    if (of === shown) answer.feedback("Taken back: nothing is kept.");
  });
}

// Writes a correction after those before it; `failed` begins the message of a failure.
function write(of, failed, work) {
  answer.feedback("Sending …");
  writing = writing.then(work).catch((error) => {
    if (error.wantsKey) keyForm.ask(error);
    if (of !== shown) return;
    const off = error.code === "feedback_off";
    answer.feedback(off ? "This service takes no corrections." : `${failed} ${words(error)}`, "failed");
  });
}

// After another key was entered, or the key was forgotten.
function askAgain() {
  listModels();
  if (chosen !== null || !strokes.empty) changed();
}

// Calls `action` at each tap or click that ends on a button, and for the keyboard. Browsers make no click of a tap beside
// a finger that still draws, of a tap whose finger moves, and of some that follow a fast stroke.
function onTap(button, action) {
  button.addEventListener("pointerup", (event) => {
    const box = button.getBoundingClientRect();
    const { clientX: x, clientY: y } = event;
    const inside = x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
    if (event.button === 0 && inside && !button.disabled) action();
  });
  button.addEventListener("click", (event) => {
    if (event.detail === 0) action(); // of the keyboard or of assistive technology, which have no pointer
  });
}

async function listModels() {
  let loaded;
  try {
    loaded = await models();
  } catch (error) {
    if (error.wantsKey) keyForm.ask(error);
    return; // the default model stays selected; predict reports any other error
  }
  const before = model.value;
  model.replaceChildren(new Option("the default model", ""));
  for (const { name, version, aliases } of loaded) {
    const called = aliases.length ? ` (${aliases.join(", ")})` : "";
    model.append(new Option(`${name}, version ${version}${called}`, `${name}/${version}`));
  }
  model.value = before;
  if (model.selectedIndex < 0) model.value = "";
}

onTap(undo, undoLast);
onTap(clear, clearAll);
model.addEventListener("change", changed);
ink.addEventListener("change", changed);
file.addEventListener("change", () => {
  choose(file.files[0]);
  file.value = ""; // a second choice of the same file must be an event, too
});
document.addEventListener("keydown", (event) => {
  if (event.target.matches("#key")) return;
  if (event.key === "Escape" && !clear.disabled) clearAll();
  if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !undo.disabled) {
    event.preventDefault();
    undoLast();
  }
});
document.addEventListener("paste", (event) => {
  if (event.target.matches?.("#key")) return;
  const given = firstPicture(event.clipboardData?.files ?? []);
  if (given) event.preventDefault();
  choose(given);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  paperBox.classList.add("target");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) paperBox.classList.remove("target");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  paperBox.classList.remove("target");
  const files = event.dataTransfer?.files ?? [];
  if (files.length) choose(firstPicture(files) ?? files[0]);
});
addEventListener("online", () => stale && wait(0));

listModels();
