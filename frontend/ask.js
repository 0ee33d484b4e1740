/**
 * Asks the hub for JSON.
 *
 * @returns {Promise<any>}
 * @throws {Error} with the hub's own words where it refuses
 */
export async function ask(url, options = {}) {
  const response = await fetch(url, { cache: "no-store", ...options });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail ?? (response.statusText || `Status ${response.status}`));
  return body;
}
