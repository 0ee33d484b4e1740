import "./chart.js";
import "./picker.js";
import "./publish.js";
import * as address from "./address.js";
import { Alerts } from "./alerts.js";
import { ADDED_MS, Channels, PAST_MS, isPattern } from "./channels.js";
import { showChosen } from "./chosen.js";
import { copyFrom } from "./clipboard.js";
import { redisPublish } from "./commands.js";
import { bindControls } from "./controls.js";
import { date } from "./dating.js";
import { showFigures } from "./figures.js";
import { formatCount } from "./format.js";
import { perFrame } from "./frame.js";
import { Rate } from "./rate.js";
import { reconnection, recordOf } from "./record.js";
import { State, Stream, WORDS } from "./stream.js";
import { Summary } from "./summary.js";
import { Tally } from "./tally.js";

const STORED_MS = 3000; // until a message is surely in the history
const FIGURES_MS = 250; // a number that changes faster cannot be read

const byId = (id) => document.getElementById(id);
const log = byId("messages");
const tally = new Tally();
const rate = new Rate();
const paintFigures = perFrame(() => showFigures(byId("figures"), tally), () => FIGURES_MS);
const on = { state: showState, event: takeEvent, back: takeReturn };
const { rewind } = address;
const stream = new Stream(document.body.dataset.stream, { rewind }, on);
const channels = new Channels(namesInAddress());
const alerts = new Alerts(byId("alerts"));
const waiting = { title: byId("empty-title").textContent, text: byId("empty-text").textContent };
const undated = [];
let isBegun = false;

function namesInAddress() {
  const names = address.channels();
  return names.length ? names : [document.body.dataset.channel];
}

/** What comes in the first moment is the past: it says nothing of how much is published. */
function takeEvent(event, asked = event.channel) {
  const now = Date.now();
  const isPast = rewind !== "0" && channels.isPast(asked, now);
  if (!isPast) {
    rate.count(now);
    channels.count(asked, now);
  }
  const record = { ...recordOf(event, now), isPast, hue: channels.hue(asked) };
  if (isPast && record.kind === "message" && !isPattern(asked)) undated.push(record);
  take(record);
}

/** When the past has come. The newest of it may not be in the history yet: those are looked for again. */
async function datePast(records = undated.splice(0), isLast = false) {
  if (records.length === 0 || !document.body.dataset.history) return;
  await date(records);
  log.showTimes();
  if (!isLast) setTimeout(() => datePast(records.filter(({ isPast }) => isPast), true), STORED_MS);
}

function choose(names) {
  address.keepChannels(names);
  follow(names);
}

function follow(names) {
  const { added, dropped } = channels.choose(names);
  stream.change(added, dropped);
  nameChannels();
  if (added.length) setTimeout(() => datePast(), ADDED_MS);
}

function begin() {
  channels.begin();
  if (!isBegun) setTimeout(takeUp, rewind === "0" ? 0 : PAST_MS);
  isBegun = true;
}

function takeUp() {
  log.restorePause();
  datePast();
}

function takeReturn(ms, resumed) {
  take(reconnection(ms, resumed));
}

function take(record) {
  tally.add(record);
  if (record.kind === "gap") alerts.gap(record);
  log.add(record);
  paintFigures();
}

function showState(state, detail) {
  if (state === State.LIVE) begin();
  alerts.state(state);
  const status = byId("status");
  status.dataset.state = state;
  const isRefused = state === State.REFUSED;
  status.textContent = isRefused ? `${WORDS[state]}: ${detail}` : WORDS[state];
  byId("empty-title").textContent = isRefused ? "The hub refuses this stream" : waiting.title;
  byId("empty-text").textContent = isRefused ? `${detail} Other channels may be open to you.` : waiting.text;
  byId("empty-command").hidden = isRefused;
}

/** Just after each whole second. */
function showRate() {
  const now = Date.now();
  const series = rate.series(now);
  byId("rate").textContent = formatCount(rate.perSecond(now));
  byId("peak").textContent = `peak ${formatCount(Math.max(...series[1]))} in a minute`;
  byId("chart").show(series);
  showChosen(byId("chosen"), channels);
  byId("picker").refresh();
  setTimeout(showRate, 1000 - (now % 1000));
}

function nameChannels() {
  const { names } = channels;
  const example = names.find((name) => !isPattern(name)) ?? names[0];
  log.channels = channels;
  showChosen(byId("chosen"), channels);
  byId("publish").channel = example;
  byId("command").textContent = redisPublish(example, "Test Event");
}

function copyCommand({ currentTarget }) {
  copyFrom(currentTarget, byId("command").textContent);
}

const actions = {
  p: () => log.togglePause(),
  c: () => log.clear(),
  n: () => log.showNewest(),
  h: () => byId("picker").show(),
  "/": () => log.focusFilter(),
};

bindControls(actions, () => byId("chart").redraw());
byId("copy-command").addEventListener("click", copyCommand);
byId("picker").begin(channels, choose);
addEventListener("popstate", () => follow(namesInAddress()));
nameChannels();
showRate();
paintFigures();
new Summary(tally);
stream.open(channels.names);
