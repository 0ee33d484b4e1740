/** The elements below a custom element by their `data-part`, without those of custom elements within. */
export function partsOf(element) {
  const all = Array.from(element.querySelectorAll("[data-part]"));
  const own = all.filter((part) => part.closest("[data-part-of]") === element);
  return Object.fromEntries(own.map((part) => [part.dataset.part, part]));
}
