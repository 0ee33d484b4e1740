import { isOpen } from "./row.js";

/**
 * What keys do on the log and on a row; inside of an open message they do what they always do.
 *
 * @param {Element} target what has the focus
 * @param {import("./view.js").View} view
 * @param {{leave: () => void, oldest: () => void, newest: () => void}} go
 * @returns {Record<string, () => void>} by `KeyboardEvent.key`
 */
export function actionsOn(target, view, go) {
  const row = target.closest(".row");
  const Escape = row && isOpen(row) ? () => view.toggle(row, false) : go.leave;
  if (target.closest(".detail")) return { Escape };
  const [ArrowUp, ArrowDown] = [() => view.step(row, -1), () => view.step(row, 1)];
  const everywhere = { Escape, ArrowUp, ArrowDown, Home: go.oldest, End: go.newest };
  if (target !== row) return everywhere;
  const [ArrowRight, ArrowLeft] = [() => view.toggle(row, true), () => view.toggle(row, false)];
  return { ...everywhere, ArrowRight, ArrowLeft, Enter: () => view.toggle(row) };
}
