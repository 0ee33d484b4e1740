import { formatCount, plural } from "./format.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";

const HEIGHT = 96;
const STEPS = [2, 4, 10];

/** Events per second over the last minute. */
class RateChart extends HTMLElement {
  #plot;

  connectedCallback() {
    this.#plot = new uPlot(this.#options(), [[], []], this);
    new ResizeObserver(() => this.#plot.setSize({ width: this.clientWidth, height: HEIGHT })).observe(this);
  }

  /** @param {[number[], number[]]} series whole seconds and their counts, oldest first */
  show([seconds, counts]) {
    const now = seconds.at(-1);
    this.#plot.setData([seconds.map((second) => second - now), counts]);
    const [last, peak] = [counts.at(-1), Math.max(...counts)];
    this.ariaLabel = `Last minute: ${plural(last, "event")} per second now, ${formatCount(peak)} at most`;
  }

  /** In the colours of the theme that is on now. */
  redraw() {
    this.#plot.redraw();
  }

  #options() {
    return {
      width: this.clientWidth,
      height: HEIGHT,
      padding: [8, 4, 0, 4],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false, range: [-59, 0] }, y: { range: (_plot, _low, high) => [0, roundUp(high)] } },
      series: [{}, { ...this.#line(), width: 1.5, points: { show: false } }],
      axes: [this.#seconds(), this.#counts()],
    };
  }

  #line() {
    return { stroke: this.#colour("--chart-line"), fill: this.#colour("--chart-fill") };
  }

  #seconds() {
    const values = (_plot, splits) => splits.map((second) => (second === 0 ? "now" : `${-second} s`));
    return { ...this.#axis(), size: 20, splits: () => [-45, -30, -15, 0], values, grid: { show: false } };
  }

  #counts() {
    const splits = (_plot, _axis, _low, high) => [0, high / 2, high];
    const values = (_plot, all) => all.map(formatCount);
    const grid = { stroke: this.#colour("--chart-grid"), width: 1 };
    const size = (_plot, texts) => 12 + 7 * Math.max(1, ...(texts ?? []).map((text) => text.length));
    return { ...this.#axis(), side: 1, size, splits, values, grid };
  }

  #axis() {
    const font = `11px ${getComputedStyle(this).fontFamily}`;
    return { stroke: this.#colour("--chart-text"), font, gap: 6, ticks: { show: false } };
  }

  #colour(name) {
    return () => getComputedStyle(this).getPropertyValue(name);
  }
}

/** The next of 2, 4, 10, 20, 40, 100 …: its half is a whole number too. */
function roundUp(number) {
  let unit = 1;
  while (unit * 10 < number) unit *= 10;
  return unit * STEPS.find((step) => unit * step >= number);
}

customElements.define("rate-chart", RateChart);
