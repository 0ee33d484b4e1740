/** The columns of the tables, in the words of their reader. */

import { formatBytes, formatCount } from "../format.js";
import { formatAge, formatMs, formatPercent, formatRate } from "./words.js";

const UNKNOWN = "–";

const shown = (value, format) => (value === null || value === undefined ? UNKNOWN : format(value));
const count = (title, pick) => numeric(title, pick, formatCount);

function numeric(title, pick, format) {
  return { title, number: true, value: (row) => shown(pick(row), format), sort: (row) => pick(row) ?? -1 };
}

function words(title, pick) {
  return { title, value: (row) => pick(row) || UNKNOWN, sort: pick };
}

export const PROCESSES = [
  words("Process", (row) => row.process.name),
  words("Worker", (row) => row.process.worker),
  words("State", (row) => row.stateText),
  words("Version", (row) => row.process.version),
  numeric("Up", (row) => row.upMs, formatAge),
  count("Streams", (row) => row.streams),
  numeric("Messages/s", (row) => row.rates.messages_per_second, formatRate),
  numeric("Sent/s", (row) => row.rates.sent_per_second, formatRate),
  numeric("Lag", (row) => row.rates.lag_ms, formatMs),
  numeric("Loop", (row) => row.rates.loop_ms, formatMs),
  numeric("CPU", (row) => row.rates.cpu, formatPercent),
  numeric("Memory", (row) => row.figures.memory_bytes, formatBytes),
  count("Files", (row) => row.figures.descriptors),
  count("Refused", (row) => row.figures.refused),
  count("Gaps", (row) => row.figures.gaps),
];

export const MASTERS = [
  words("Master", (row) => row.name),
  words("Deployment", (row) => row.deployment),
  words("State", (row) => row.stateText),
  count("Processes live", (row) => row.live),
  count("Processes lost", (row) => row.lost),
  numeric("Round trip", (row) => (row.trips.length ? Math.max(...row.trips) : null), formatMs),
];

export function channelColumns(kick) {
  return [
    words("Channel", (row) => row.name),
    count("Streams", (row) => row.streams),
    count("Behind", (row) => row.behind),
    count("Replaying", (row) => row.replaying),
    numeric("Messages/s", (row) => row.perSecond, formatRate),
    numeric("Ring bytes", (row) => row.ringBytes, formatBytes),
    numeric("Ring use", (row) => row.ringFill, formatPercent),
    words("History", (row) => row.history),
    count("Kept", (row) => row.kept),
    numeric("History use", ({ kept, keeps }) => (kept === null || !keeps ? null : kept / keeps), formatPercent),
    count("Unwritten", (row) => row.pending),
    words("Position", (row) => row.position),
    count("Processes", (row) => row.processes),
    {
      title: "Actions",
      actions: [
        {
          label: "Kick",
          name: (row) => `Kick channel ${row.name}`,
          has: (row) => row.rawName !== "",
          on: (row) => kick("channel", row.rawName, row.name),
        },
      ],
    },
  ];
}

export function streamColumns(kick) {
  return [
    words("Stream", (row) => row.id),
    { ...words("User", (row) => row.user), value: (row) => (row.user ? row.user + (row.byToken ? " (token)" : "") : UNKNOWN) },
    words("Address", (row) => row.address),
    words("Channels", (row) => row.channels),
    numeric("Age", (row) => (row.seconds === null ? null : row.seconds * 1000), formatAge),
    words("State", (row) => row.state),
    count("Lag", (row) => row.lag),
    numeric("Waiting", (row) => row.waiting, formatBytes),
    words("Position", (row) => row.position),
    words("Process", (row) => row.process),
    {
      title: "Actions",
      actions: [
        {
          label: "Kick",
          name: (row) => `Kick stream ${row.id}`,
          on: (row) => kick("stream", row.id, [row.id, row.user && `user ${row.user}`, row.address].filter(Boolean).join(", ")),
        },
        {
          label: "Kick user",
          name: (row) => `Kick user ${row.user}`,
          has: (row) => row.rawUser !== "",
          on: (row) => kick("user", row.rawUser, row.user),
        },
      ],
    },
  ];
}
