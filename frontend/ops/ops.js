import { bindControls } from "../controls.js";
import { formatCount, plural } from "../format.js";
import { say } from "../say.js";
import { State, Stream, WORDS } from "../stream.js";
import { MASTERS, PROCESSES, channelColumns, streamColumns } from "./columns.js";
import { Errors } from "./errors.js";
import { Finder } from "./find.js";
import { Fleet } from "./fleet.js";
import { showHour, wordsOf } from "./hour.js";
import { Kicks } from "./kick.js";
import { reportOf } from "./report.js";
import { Spark } from "./spark.js";
import { channelsOf, gapsOf, mastersOf, most, sum } from "./sums.js";
import { Table } from "./table.js";
import { formatAge, formatMs, formatProcesses, formatRate } from "./words.js";

const EVERY_MS = 1000;
const MAX_STREAMS = 300;
const NOTICE_MS = 10_000;

const byId = (id) => document.getElementById(id);
const { stream, channel, kick, find } = document.body.dataset;
const fleet = new Fleet();
const spark = new Spark(byId("spark"));
const errors = new Errors(byId("errors"), byId("no-errors"));
const kicks = new Kicks(kick, tell);
const finder = new Finder(byId("find"), find, { changed: showStreams, failed: (text) => tell(text, true) });
const ask = (kind, name, shown) => kicks.ask(kind, name, shown);
const tables = {
  processes: new Table(byId("processes"), PROCESSES, { by: 0, down: false, empty: "No process has reported yet." }),
  redis: new Table(byId("redis"), MASTERS, { by: 0, down: false, empty: "Nothing is known yet." }),
  channels: new Table(byId("channels"), channelColumns(ask), { by: 1, down: true, empty: "There are no channels." }),
  streams: new Table(byId("streams"), streamColumns(ask), { by: 6, down: true, empty: "No streams are found." }),
};
let isLive = false;
let paintedAt = Date.now();
let processesSaid = null;
let noticeTimer = 0;

// -- the page's own stream

function showState(state, detail) {
  isLive = state === State.LIVE;
  const status = byId("status");
  status.dataset.state = state === State.REFUSED ? "offline" : state;
  status.textContent = WORDS[state];
  if (state === State.REFUSED) tell(`${detail} Your right may have been withdrawn. Open this page again.`, true, true);
}

function takeEvent({ type, data }) {
  const report = type === "message" ? reportOf(data) : null;
  if (!report) return;
  const isFirst = fleet.reports(Date.now()).length === 0;
  fleet.take(report, Date.now());
  if (isFirst || report.found.has(finder.text)) showStreams();
  if (isFirst) paint();
}

/** Says something to everybody: in a notice that stays for a while, and aloud. */
function tell(text, isBad, stays = false) {
  const notice = byId("notice");
  clearTimeout(noticeTimer);
  notice.textContent = text;
  notice.dataset.bad = String(isBad);
  notice.hidden = false;
  say(text);
  if (!stays) noticeTimer = setTimeout(() => (notice.hidden = true), NOTICE_MS);
}

// -- what is shown, once a second

function paint() {
  const now = Date.now();
  if (!isLive) fleet.wait(now - paintedAt);
  paintedAt = now;
  fleet.forget(now);
  const reports = fleet.reports(now);
  const speaking = reports.filter(({ silentMs }) => silentMs === 0);
  const gaps = gapsOf(reports);
  showSums(reports, speaking, gaps);
  tables.processes.show(reports.map(processRow));
  showRedis(speaking);
  showChannels(speaking);
  showStreams();
  showHour(byId("hour"), byId("hour-note"), gaps, most(reports, ({ at }) => at) ?? now);
  errors.show(reports.flatMap((report) => report.errors));
  sayProcesses(reports, speaking);
}

function showSums(reports, speaking, { reasons }) {
  const live = speaking.filter(({ process }) => process.state === "live").length;
  const states = ["live", "behind", "replaying"].map((name) => [name, sum(speaking, ({ figures }) => figures[name])]);
  const perSecond = perSecondOf(speaking);
  const lag = most(speaking, ({ rates }) => rates.lag_ms);
  const hosts = new Set(reports.map(({ process }) => process.host)).size;
  put("processes", `${live} of ${reports.length}`);
  put("hosts", `on ${plural(hosts, "host")}`);
  put("streams", formatCount(states.reduce((total, [, number]) => total + number, 0)));
  put("states", states.map(([name, number]) => `${formatCount(number)} ${name}`).join(", "));
  put("messages", perSecond === null ? "–" : formatRate(perSecond));
  put("sent", `${formatRate(sum(speaking, ({ rates }) => rates.sent_per_second))} sent to clients`);
  put("lag", lag === null ? "–" : formatMs(lag));
  put("gaps", formatCount(Array.from(reasons.values()).reduce((a, b) => a + b, 0)));
  put("reasons", reasons.size ? wordsOf(reasons).split(": ")[1] : "");
  spark.add(perSecond ?? 0);
}

/** Each process receives some of the channels, and several receive the same: this is no more than there are. */
function perSecondOf(reports) {
  const ofChannels = channelsOf(reports).filter(({ kind, name }) => kind === "channel" && name !== channel);
  const ofProcess = most(reports, ({ rates }) => rates.messages_per_second);
  return ofProcess === null ? null : Math.max(ofProcess, sum(ofChannels, (row) => row.perSecond));
}

function put(name, text) {
  const element = document.querySelector(`[data-sum=${name}]`);
  if (element.textContent !== text) element.textContent = text;
}

function processRow(report) {
  const { process, figures, silentMs, at } = report;
  const stateText = silentMs ? `silent for ${formatAge(silentMs)}` : process.state;
  return {
    ...report,
    key: process.id,
    stateText,
    tone: stateText === "live" ? "" : silentMs || process.state === "lost" ? "bad" : "warn",
    streams: figures.live + figures.behind + figures.replaying,
    upMs: process.startedMs === null ? null : Math.max(at - process.startedMs, 0),
  };
}

function showRedis(reports) {
  const masters = mastersOf(reports).map((master) => ({
    ...master,
    stateText: master.lost === 0 ? "live" : master.live === 0 ? "lost" : "lost by some",
    tone: master.lost === 0 ? "" : "bad",
  }));
  tables.redis.show(masters);
  const losses = sum(reports, ({ redis }) => redis.losses);
  const paused = reports.filter(({ redis }) => redis.paused).length;
  const notes = [`Connections lost ${losses === 1 ? "once" : `${formatCount(losses)} times`}`];
  if (paused) notes.push(`${formatCount(paused)} paused, because streams catch up`);
  byId("redis-note").textContent = `${notes.join("; ")}.`;
}

function showChannels(reports) {
  const others = channelsOf(reports).filter(({ name }) => name !== channel); // all but that of this page
  const rows = others.map((row) => ({ ...row, tone: row.history === "failing" ? "bad" : "" }));
  tables.channels.show(rows);
  const known = most(reports, ({ figures }) => figures.channels) ?? 0;
  const [shown, all] = [formatCount(rows.length), known > rows.length ? ` of at least ${formatCount(known)}` : ""];
  byId("channels-note").textContent = `${shown}${all} shown.`;
}

function showStreams() {
  const reports = fleet.reports(Date.now()).filter(({ silentMs }) => silentMs === 0);
  const wanted = finder.text;
  const rows = reports.flatMap((report) => (wanted ? report.found.get(wanted) ?? [] : report.streams));
  const isLooking = wanted && !reports.some(({ found }) => found.has(wanted));
  const first = rows.toSorted((a, b) => (b.lag ?? 0) - (a.lag ?? 0)).slice(0, MAX_STREAMS);
  tables.streams.show(first.map((row) => ({ ...row, key: row.id, tone: row.state === "behind" ? "warn" : "" })));
  const total = sum(reports, ({ figures }) => figures.live + figures.behind + figures.replaying);
  const shown = plural(first.length, "stream");
  byId("streams-note").textContent = isLooking
    ? "Looking…"
    : wanted
      ? `${shown} found.`
      : `${formatCount(first.length)} of ${formatCount(total)} shown.`;
}

/** Says aloud only when the number of processes has changed. */
function sayProcesses(reports, speaking) {
  const words = `${formatCount(speaking.length)} of ${formatProcesses(reports.length)} report`;
  if (processesSaid !== null && processesSaid !== words && isLive) say(words);
  processesSaid = words;
}

bindControls({ "/": () => finder.focus() });
paint();
setInterval(paint, EVERY_MS);
new Stream(stream, {}, { state: showState, event: takeEvent, back: () => {} }).open([channel]);
