import { bindKeys } from "./keys.js";
import { say } from "./say.js";
import { recall, remember } from "./store.js";
import { nextTheme, theme } from "./theme.js";

const byId = (id) => document.getElementById(id);

/**
 * Binds the controls that every page has: the theme, the single-key shortcuts, and the list of them.
 *
 * @param {Record<string, () => void>} actions of the page, by their keys; T and ? are those of every page
 * @param {() => void} onTheme called with the first theme and with each other one
 */
export function bindControls(actions, onTheme = () => {}) {
  const [singleKeys, keys] = [byId("single-keys"), byId("keys")];
  const showTheme = () => {
    byId("theme-name").textContent = `Theme: ${theme()}`;
    onTheme();
  };
  const changeTheme = () => {
    nextTheme();
    showTheme();
    say(byId("theme-name").textContent);
  };
  showTheme();
  singleKeys.checked = recall("single-keys") !== "off";
  singleKeys.addEventListener("change", () => remember("single-keys", singleKeys.checked ? "on" : "off"));
  byId("theme").addEventListener("click", changeTheme);
  byId("show-keys").addEventListener("click", () => keys.showModal());
  bindKeys({ ...actions, t: changeTheme, "?": () => keys.showModal() }, () => singleKeys.checked);
}
