/** A line of the last minute, one point a second. */

const POINTS = 60;
const HEIGHT = 20;

export class Spark {
  #line;
  #values = [];

  constructor(svg) {
    [this.#line] = svg.children;
  }

  add(value) {
    this.#values = [...this.#values, value].slice(-POINTS);
    const most = Math.max(1, ...this.#values);
    const first = POINTS - this.#values.length;
    const points = this.#values.map((each, index) => `${first + index},${HEIGHT - 1 - (each / most) * (HEIGHT - 2)}`);
    this.#line.setAttribute("points", points.join(" "));
  }
}
