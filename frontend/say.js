/** Has a screen reader say `text` when it is done with what it says now. */
export function say(text) {
  document.getElementById("summary").textContent = text;
}
