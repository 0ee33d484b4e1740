/**
 * What this browser remembers of its reader's choices. Storage may be blocked or full; a choice that
 * cannot be kept then lasts as long as the page.
 */
const PREFIX = "relay-hub.";

export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // see above
  }
}
