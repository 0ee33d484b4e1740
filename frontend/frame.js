/** A function that asks for `paint` in the next animation frame, however often it is called until then. */
export function perFrame(paint) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      paint();
    });
  };
}
