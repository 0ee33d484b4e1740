import "./chart.js";
import "./log.js";
import { copyFrom } from "./clipboard.js";
import { showFigures } from "./figures.js";
import { formatCount } from "./format.js";
import { perFrame } from "./frame.js";
import { HealthWatch } from "./health.js";
import { bindKeys } from "./keys.js";
import { Rate } from "./rate.js";
import { HUB_EVENTS, reconnection, recordOf } from "./record.js";
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
  [State.SILENT]: "No answer from the hub",
  [State.RECONNECTING]: "Reconnecting…",
  [State.OFFLINE]: "Offline",
};

const byId = (id) => document.getElementById(id);
const log = byId("messages");
const tally = new Tally();
const rate = new Rate();
const paintFigures = perFrame(() => showFigures(byId("figures"), tally));
const stream = new Stream(document.body.dataset.stream, HUB_EVENTS, { state: showState, event: takeEvent, back: takeReturn });
const health = new HealthWatch(document.body.dataset.health, (found) => stream.health(found));

function takeEvent(event) {
  rate.count(Date.now());
  take(recordOf(event));
}

function takeReturn(ms, resumed) {
  take(reconnection(ms, resumed));
}

function take(record) {
  tally.add(record);
  log.add(record);
  paintFigures();
}

function showState(state) {
  const status = byId("status");
  status.dataset.state = state;
  status.textContent = WORDS[state];
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

function copyCommand({ currentTarget }) {
  copyFrom(currentTarget, byId("command").textContent);
}

function lookAgain() {
  stream.wake();
  health.look();
}

function watchConnection() {
  addEventListener("online", () => stream.online());
  addEventListener("offline", () => stream.offline());
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", () => stream.wake());
  document.addEventListener("visibilitychange", () => document.hidden || lookAgain());
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
watchConnection();
stream.open();
health.look();
