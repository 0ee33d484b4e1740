/** What a page gets. */

export class StateEvent extends Event {
  constructor(state) {
    super("hub.state");
    this.detail = state;
  }
}

export class RelayError extends Error {
  name = "RelayError";

  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export class RelayEvent extends MessageEvent {
  constructor({ type, data, id, channel }) {
    super(type, { data, lastEventId: id });
    this.id = id;
    this.channel = channel;
    this.detail = isNotice(type) ? readJson(data) : null;
  }

  json() {
    return JSON.parse(this.data);
  }
}

export function isNotice(type) {
  return type.startsWith("hub.");
}

export function readJson(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
