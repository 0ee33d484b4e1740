/** Requests of the page: forms, with Django's CSRF token. */

/**
 * @param {string} url
 * @param {Record<string, string>} fields
 * @returns {Promise<object>} the answer; rejects with an Error that says why, and has the `status` if there is one
 */
export async function post(url, fields) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const request = { method: "POST", body: new URLSearchParams(fields), headers: { "X-CSRFToken": token } };
  let response;
  try {
    response = await fetch(url, request);
  } catch {
    throw new Error("The hub does not answer.");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.detail ?? `The hub answered ${response.status}.`), { status: response.status });
}
