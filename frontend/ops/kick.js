/** Asks before a kick, sends it, and says how it went. */

import { post } from "./request.js";
import { formatProcesses } from "./words.js";

const TITLES = { stream: "End this stream?", user: "End all streams of this user?", channel: "End all streams of this channel?" };
const NOUNS = { stream: "the stream", user: "user", channel: "channel" };

export class Kicks {
  #url;
  #tell;

  /** @param {(text: string, isBad: boolean) => void} tell */
  constructor(url, tell) {
    this.#url = url;
    this.#tell = tell;
  }

  /**
   * @param {"stream" | "user" | "channel"} kind
   * @param {string} name as the hub knows it
   * @param {string} shown
   */
  ask(kind, name, shown) {
    const dialog = document.getElementById("confirm");
    document.getElementById("confirm-title").textContent = TITLES[kind];
    document.getElementById("confirm-text").textContent = shown;
    dialog.returnValue = "";
    dialog.addEventListener("close", () => dialog.returnValue === "kick" && this.#send(kind, name, shown), { once: true });
    dialog.showModal();
  }

  async #send(kind, name, shown) {
    try {
      const { processes } = await post(this.#url, { [kind]: name });
      this.#tell(`Kicked ${NOUNS[kind]} ${shown}: ${formatProcesses(processes)} told.`, false);
    } catch (error) {
      this.#tell(`Not kicked: ${error.message}`, true);
    }
  }
}
