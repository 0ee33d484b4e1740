import { say } from "./say.js";

const SHOW_MS = 1500;

/** Copies `text`; the button says for a moment whether it worked. */
export async function copyFrom(button, text) {
  const result = (await copy(text)) ? "Copied" : "Not copied";
  button.dataset.label ??= button.textContent;
  button.textContent = result;
  say(result);
  setTimeout(() => (button.textContent = button.dataset.label), SHOW_MS);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // the clipboard API needs https or localhost
  }
}

function copyBySelection(text) {
  const area = document.createElement("textarea");
  const focused = document.activeElement;
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus({ preventScroll: true });
  return copied;
}
