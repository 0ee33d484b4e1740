/*! Relay Hub client 0.2.0, BSD-3-Clause */

import { Connection } from "./connection.js";

export { RelayError, RelayEvent } from "./events.js";
export { EventParser } from "./parser.js";

export function connect(url, options = {}) {
  return new Connection(url, options);
}
