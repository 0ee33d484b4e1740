import { recall, remember } from "./store.js";

// Loaded with blocking="render", so that the first paint has the chosen theme.

const THEMES = ["system", "light", "dark"];
const root = document.documentElement;

/** The chosen theme: `system`, `light` or `dark`. */
export function theme() {
  return root.dataset.theme;
}

/** Goes on to the next theme, remembers it, and returns it. */
export function nextTheme() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  root.dataset.theme = next;
  remember("theme", next);
  return next;
}

const chosen = recall("theme");
root.dataset.theme = THEMES.includes(chosen) ? chosen : "system";
