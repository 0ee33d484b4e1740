/**
 * A function that asks for `paint` in the next animation frame, however often it is called until then. At least
 * `restMs()` passes from one painting to the next.
 */
export function perFrame(paint, restMs = () => 0) {
  let isAsked = false;
  let paintedAt = -Infinity;
  const draw = () => {
    isAsked = false;
    paintedAt = performance.now();
    paint();
  };
  return () => {
    if (isAsked) return;
    isAsked = true;
    const waitMs = paintedAt + restMs() - performance.now();
    if (waitMs > 0) setTimeout(() => requestAnimationFrame(draw), waitMs);
    else requestAnimationFrame(draw);
  };
}
