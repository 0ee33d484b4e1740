import "./chart.js";
import "./log.js";
import { channels, rewind } from "./address.js";
import { copyFrom } from "./clipboard.js";
import { showFigures } from "./figures.js";
import { formatCount } from "./format.js";
import { perFrame } from "./frame.js";
import { bindKeys } from "./keys.js";
import { Rate } from "./rate.js";
import { reconnection, recordOf } from "./record.js";
import { say } from "./say.js";
import { recall, remember } from "./store.js";
import { State, Stream } from "./stream.js";
import { Summary } from "./summary.js";
import { Tally } from "./tally.js";
import { nextTheme, theme } from "./theme.js";

const WORDS = {
  [State.CONNECTING]: "Connecting…",
  [State.LIVE]: "Live",
  [State.AWAY]: "Redis is away",
  [State.RECONNECTING]: "Reconnecting…",
  [State.REFUSED]: "Refused",
  [State.OFFLINE]: "Offline",
};

const PAST_MS = 500;
const FIGURES_MS = 250; // a number that changes faster cannot be read

const byId = (id) => document.getElementById(id);
const log = byId("messages");
const tally = new Tally();
const rate = new Rate();
const paintFigures = perFrame(() => showFigures(byId("figures"), tally), () => FIGURES_MS);
const on = { state: showState, event: takeEvent, back: takeReturn };
const stream = new Stream(document.body.dataset.stream, channels.length ? { channels, rewind } : { rewind }, on);
let liveAt = Infinity;

/** What comes in the first moment is the past: it says nothing of how much is published. */
function takeEvent(event) {
  const now = Date.now();
  const isPast = now - liveAt <= PAST_MS && rewind !== "0";
  if (!isPast) rate.count(now);
  take({ ...recordOf(event, now), isPast });
}

function takeReturn(ms, resumed) {
  take(reconnection(ms, resumed));
}

function take(record) {
  tally.add(record);
  log.add(record);
  paintFigures();
}

function showState(state, detail) {
  if (state === State.LIVE) liveAt = Math.min(liveAt, Date.now());
  const status = byId("status");
  status.dataset.state = state;
  status.textContent = state === State.REFUSED ? `${WORDS[state]}: ${detail}` : WORDS[state];
}

/** Just after each whole second. */
function showRate() {
  const now = Date.now();
  const series = rate.series(now);
  byId("rate").textContent = formatCount(rate.perSecond(now));
  byId("peak").textContent = `peak ${formatCount(Math.max(...series[1]))} in a minute`;
  byId("chart").show(series);
  setTimeout(showRate, 1000 - (now % 1000));
}

function showTheme() {
  byId("theme-name").textContent = `Theme: ${theme()}`;
  byId("chart").redraw();
}

function changeTheme() {
  nextTheme();
  showTheme();
  say(byId("theme-name").textContent);
}

function nameChannels() {
  const example = channels.find((name) => !name.includes("*")) ?? channels[0];
  byId("channel").textContent = channels.join(", ");
  byId("command").textContent = `redis-cli publish ${example} "Test Event"`;
}

function copyCommand({ currentTarget }) {
  copyFrom(currentTarget, byId("command").textContent);
}

function bindControls() {
  const singleKeys = byId("single-keys");
  const keys = byId("keys");
  singleKeys.checked = recall("single-keys") !== "off";
  singleKeys.addEventListener("change", () => remember("single-keys", singleKeys.checked ? "on" : "off"));
  byId("theme").addEventListener("click", changeTheme);
  byId("show-keys").addEventListener("click", () => keys.showModal());
  byId("copy-command").addEventListener("click", copyCommand);
  bindKeys(
    {
      p: () => log.togglePause(),
      c: () => log.clear(),
      n: () => log.showNewest(),
      t: changeTheme,
      "/": () => log.focusFilter(),
      "?": () => keys.showModal(),
    },
    () => singleKeys.checked,
  );
}

bindControls();
showTheme();
showRate();
paintFigures();
new Summary(tally);
if (channels.length) nameChannels();
stream.open();
