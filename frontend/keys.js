/**
 * Single-key shortcuts.
 *
 * Off while somebody types or a dialog is open, with a modifier held, and when the reader has switched
 * them off (WCAG 2.1.4: speech input and stray key presses must not trigger them).
 *
 * @param {Record<string, () => void>} actions by `KeyboardEvent.key`, in lower case
 * @param {() => boolean} enabled
 */
export function bindKeys(actions, enabled) {
  document.addEventListener("keydown", (event) => {
    const key = event.key?.toLowerCase(); // autofill sends key events that have none
    if (!Object.hasOwn(actions, key) || !enabled() || isElsewhere(event)) return;
    event.preventDefault();
    actions[key]();
  });
}

function isElsewhere(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return true;
  return event.target.closest("input, textarea, select, [contenteditable], dialog[open]") !== null;
}
