/**
 * What this browser remembers of its reader's choices, and what this tab does. Storage may be blocked or full; a choice that
 * cannot be kept then lasts as long as the page.
 */
const PREFIX = "relay-hub.";

export function recall(name) {
  return read(() => localStorage, name);
}

export function remember(name, value) {
  write(() => localStorage, name, value);
}

/** Of this tab alone; it outlives a reload. */
export function recallHere(name) {
  return read(() => sessionStorage, name);
}

export function rememberHere(name, value) {
  write(() => sessionStorage, name, value);
}

function read(storage, name) {
  try {
    return storage().getItem(PREFIX + name);
  } catch {
    return null;
  }
}

function write(storage, name, value) {
  try {
    storage().setItem(PREFIX + name, value);
  } catch {
    // see above
  }
}
