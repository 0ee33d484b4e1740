import { plural } from "./format.js";
import { say } from "./say.js";
import { recall, remember } from "./store.js";
import { State } from "./stream.js";

const TITLE = document.title;
const PATIENCE_MS = 5000; // for a connection that is back soon
const LOST = { [State.AWAY]: "Redis is away", [State.REFUSED]: "Refused", [State.OFFLINE]: "Offline" };
const LOST_LATER = { [State.RECONNECTING]: "The hub is away" };

/** Tells of gaps and of a lost hub in the title of the page, and, to somebody who does not see it, by a notification. */
export class Alerts {
  #button;
  #isOn = recall("alerts") === "on";
  #gaps = 0; // since somebody has looked
  #lost = "";
  #timer = 0;

  constructor(button) {
    this.#button = button;
    button.addEventListener("click", () => this.#toggle());
    for (const type of ["visibilitychange", "focus"]) addEventListener(type, () => this.#look());
    this.#describe();
  }

  gap({ text }) {
    this.#gaps += 1;
    this.#alert("gap", "Gap", text);
  }

  state(state) {
    clearTimeout(this.#timer);
    if (LOST_LATER[state]) this.#timer = setTimeout(() => this.#lose(LOST_LATER[state]), PATIENCE_MS);
    else if (LOST[state]) this.#lose(LOST[state]);
    else if (state === State.LIVE) this.#lost = "";
    this.#describe();
  }

  #lose(words) {
    if (words === this.#lost) return;
    this.#lost = words;
    this.#alert("state", words, "The dashboard gets no messages.");
  }

  #alert(tag, title, body) {
    this.#describe();
    if (!this.#isOn || isSeen() || !mayNotify()) return;
    const notification = new Notification(`Relay Hub: ${title}`, { body, tag }); // one of a tag at a time
    notification.onclick = () => window.focus();
  }

  async #toggle() {
    this.#isOn = !this.#isOn;
    remember("alerts", this.#isOn ? "on" : "off");
    if (this.#isOn && globalThis.Notification?.permission === "default") await Notification.requestPermission();
    this.#gaps = 0;
    this.#describe();
    say(this.#button.textContent.trim());
  }

  #look() {
    if (!isSeen()) return;
    this.#gaps = 0;
    this.#describe();
  }

  #describe() {
    const news = [this.#lost, this.#gaps && plural(this.#gaps, "gap")].filter(Boolean).join(", ");
    document.title = this.#isOn && news && (this.#lost || !isSeen()) ? `⚠ ${news} · ${TITLE}` : TITLE;
    this.#button.ariaPressed = String(this.#isOn);
    this.#button.querySelector("span").textContent = this.#isOn ? words() : "Alerts: off";
  }
}

function words() {
  return mayNotify() ? "Alerts: on" : "Alerts: title only";
}

function mayNotify() {
  return globalThis.Notification?.permission === "granted";
}

function isSeen() {
  return document.visibilityState === "visible" && document.hasFocus();
}
