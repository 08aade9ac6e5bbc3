// The key of the service: asked for when the service wants one, kept for this tab, forgotten on demand.

const NAME = "digits-key";
const FORM = /^[!-~]+$/;

let kept = read();

// The key, or "".
export function currentKey() {
  return kept;
}

// The form that asks for the key. `changed` is called after a key was entered or forgotten.
export class KeyForm {
  #form = document.getElementById("key-form");
  #input = document.getElementById("key");
  #note = document.getElementById("key-note");
  #forget = document.getElementById("forget-key");

  constructor(changed) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = this.#input.value.trim();
      if (!FORM.test(given)) {
        this.#say("A key has letters, digits and signs, and no spaces.");
        this.#input.focus();
        return;
      }
      keep(given);
      this.#input.value = "";
      this.#close();
      changed();
    });
    this.#forget.addEventListener("click", () => {
      keep("");
      this.#close();
      changed();
    });
    this.#close();
  }

  // Shows the form with the reason why a key is wanted. A key that the service does not know is forgotten.
  ask({ message, status, key }) {
    if (key !== kept) return; // another one was entered since the request was sent
    if (status === 401) keep("");
    this.#forget.hidden = !kept;
    this.#say(message);
    if (!this.#form.hidden) return;
    this.#form.hidden = false;
    if (document.activeElement === document.body) this.#input.focus();
  }

  #close() {
    this.#form.hidden = true;
    this.#say("");
    this.#forget.hidden = !kept;
  }

  #say(message) {
    this.#note.textContent = message;
  }
}

function keep(key) {
  kept = key;
  try {
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
  } catch {
    // the browser keeps nothing for this page: the key is gone with the next reload
  }
}

function read() {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}
