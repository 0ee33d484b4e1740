/** What outlives a reload of the page, and nothing else: each tab has its own. */

export function stored(key) {
  try {
    return Object(JSON.parse(sessionStorage.getItem(key)));
  } catch {
    return {};
  }
}

export function store(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // The page may not store anything, and starts anew after a reload.
  }
}
