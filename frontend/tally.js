const utf8 = new TextEncoder();

/** The length of `text` in bytes of UTF-8. */
export function byteLength(text) {
  return utf8.encode(text).length;
}

/** What has arrived since the page was opened. `missed` leaves out the gaps of unknown size. */
export class Tally {
  messages = 0;
  bytes = 0;
  gaps = 0;
  missed = 0;
  unknownGaps = 0;
  oversize = 0;
  reconnects = 0;
  resumes = 0;

  add(record) {
    this[record.kind](record);
  }

  message(record) {
    this.messages += 1;
    this.bytes += byteLength(record.text);
  }

  gap({ missed }) {
    this.gaps += 1;
    if (missed === null) this.unknownGaps += 1;
    else this.missed += missed;
  }

  tooLarge() {
    this.oversize += 1;
  }

  disconnected() {
    this.reconnects += 1;
  }

  resumed() {
    this.reconnects += 1;
    this.resumes += 1;
  }
}
