// The answer view: digit, state, ten probability bars, preprocessed picture, and text for screen readers.

const WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
// By reason of a refusal: what the page says, and what to do. No refused answer is called sure.
const REFUSALS = {
  uncertain: ({ guess }) => [`Perhaps ${guess}`, "Refused: too uncertain"],
  not_a_digit: ({ guess }) => ["Not a digit", `Refused: of all digits it is most like ${guess}`],
  unclear_picture: ({ guess }) => [`Perhaps ${guess}`, "Refused: unclear picture. Draw it, or choose a clearer one"],
  several_digits: ({ seen }) => [capital(seen), "Refused: draw one, or choose a photo of one"],
};
const NO_GUESS = ["not_a_digit", "several_digits"]; // reasons that leave no digit to show
const QUIET_MS = 700; // debounce of the text for screen readers
const ASKING = "If it is wrong, click the right digit.";
const ASKING_WHICH = "If it is a digit, click the right one.";

export class Answer {
  #parts = {};
  #rows = [];
  #speaking = 0;

  // `chosen` is called with the digit of a correction, `takenBack` to undo it.
  constructor(chosen, takenBack) {
    for (const id of ["answer", "digit", "sure", "state", "problem", "seen", "bars", "spoken", "feedback", "take-back"]) {
      this.#parts[id] = document.getElementById(id);
    }
    this.#parts["take-back"].addEventListener("click", takenBack);
    WORDS.forEach((_, digit) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(part("name", digit), part("track", ""), part("share", ""));
      button.querySelector(".track").append(part("bar", ""));
      button.addEventListener("click", () => {
        if (button.getAttribute("aria-disabled") === "false") chosen(digit);
      });
      const row = document.createElement("li");
      row.append(button);
      this.#parts.bars.append(row);
      this.#rows.push(button);
    });
    this.empty();
  }

  empty() {
    this.#state("empty");
    this.#parts.digit.textContent = "";
    this.#parts.sure.textContent = "Nothing to read yet";
    this.#bars(null);
    this.#speak("");
    this.feedback("");
  }

  show({ digit, confidence, probabilities, pixels, model, accepted, reason, digits_seen: count }) {
    const state = accepted == null ? "answered" : accepted ? "accepted" : "refused";
    const refusal = REFUSALS[reason] ?? (({ guess }) => [`Perhaps ${guess}`, `Refused: ${reason}`]);
    const seen = count ? `${WORDS[count] ?? count} digits` : "several digits";
    const [sure, words] =
      state === "refused"
        ? refusal({ guess: WORDS[digit], seen })
        : [`${capital(WORDS[digit])}, ${percent(confidence)} sure`, accepted ? "Accepted" : ""];
    const guessed = !NO_GUESS.includes(reason);
    this.#state(state, words);
    this.#parts.digit.textContent = guessed ? digit : "";
    this.#parts.sure.textContent = sure;
    this.#bars(probabilities, digit);
    this.#picture(pixels);
    this.#speak(`${sure}. ${words}`, `${model.name} version ${model.version}`);
    this.feedback(guessed ? ASKING : ASKING_WHICH);
  }

  problem(message) {
    this.#state("problem", "", message);
    this.#parts.digit.textContent = "";
    this.#parts.sure.textContent = "No answer";
    this.#bars(null);
    this.#speak(message);
    this.feedback("");
  }

  // `kind` is "", "kept" or "failed"; `digit` is the digit of the correction that was sent.
  feedback(message, kind = "", digit = null) {
    this.#parts.feedback.textContent = message;
    this.#parts.feedback.className = `feedback ${kind}`;
    this.#parts["take-back"].hidden = kind !== "kept";
    this.#rows.forEach((button, row) => button.classList.toggle("sent", row === digit));
  }

  #state(state, words = "", message = "") {
    this.#parts.answer.dataset.state = state;
    this.#parts.state.textContent = words;
    this.#parts.state.hidden = !words;
    this.#parts.problem.textContent = message;
    this.#parts.problem.hidden = !message;
  }

  #bars(probabilities, best = null) {
    this.#rows.forEach((button, digit) => {
      const share = probabilities?.[digit];
      button.classList.toggle("best", digit === best);
      button.querySelector(".bar").style.transform = `scaleX(${share ?? 0})`;
      button.querySelector(".share").textContent = share === undefined ? "" : percent(share);
      button.setAttribute("aria-disabled", String(!probabilities));
      button.tabIndex = probabilities ? 0 : -1;
      const spoken = share === undefined ? "no answer yet" : percent(share);
      button.setAttribute("aria-label", `${digit}, ${spoken}: say that this is the right digit`);
    });
  }

  #picture(pixels) {
    const context = this.#parts.seen.getContext("2d");
    const picture = context.createImageData(28, 28);
    pixels.forEach((level, i) => picture.data.set([level, level, level, 255], 4 * i));
    context.putImageData(picture, 0, 0);
  }

  #speak(...sentences) {
    clearTimeout(this.#speaking);
    this.#speaking = setTimeout(() => {
      this.#parts.spoken.textContent = sentences.filter(Boolean).join(" ");
    }, QUIET_MS);
  }
}

function part(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

// Below 1, the share is rounded to at most 99.9 %.
function percent(share) {
  const rounded = share < 1 ? Math.min(99.9, Math.round(share * 1000) / 10) : 100;
  return `${rounded.toFixed(1)} %`;
}

function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}
