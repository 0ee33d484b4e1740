export const PERIOD_MS = 15_000; // between two heartbeats, until the hub has said its own
export const SILENT_PERIODS = 2.5; // after so many a connection is dead
export const CHECK_MS = 1000;
