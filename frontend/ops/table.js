/**
 * A table that is updated in place. Rows keep their elements by `key`, so that focus and selection stay. While
 * somebody points into it or has the focus there, no row changes its place.
 *
 * A column: `{ title, value: (row) => string, sort?: (row) => number | string, number?: boolean }`, or with buttons
 * `{ title, actions: Action[] }`. An action: `{ label: string, on: (row) => void, name: (row) => string,
 * has?: (row) => boolean }`.
 */
export class Table {
  #columns;
  #body = document.createElement("tbody");
  #heads = [];
  #rows = new Map();
  #sorted;
  #down;
  #shown = [];
  #empty;

  /**
   * @param {HTMLTableElement} element
   * @param {object[]} columns
   * @param {{ by: number, down: boolean, empty: string }} start the column by which it is sorted, whether the
   *   greatest comes first, and what it says without rows
   */
  constructor(element, columns, { by, down, empty }) {
    this.#columns = columns;
    this.#sorted = by;
    this.#down = down;
    this.#empty = empty;
    const head = document.createElement("thead");
    const row = document.createElement("tr");
    columns.forEach((column, index) => row.append(this.#head(column, index)));
    head.append(row);
    element.append(head, this.#body);
    this.#mark();
  }

  /** Shows these rows and no others. Each has a `key`. */
  show(rows) {
    this.#shown = rows;
    const kept = new Set(rows.map((row) => row.key));
    for (const [key, { element }] of this.#rows) {
      if (kept.has(key)) continue;
      element.remove();
      this.#rows.delete(key);
    }
    const ordered = this.#order(rows);
    for (const row of ordered) this.#update(row);
    this.#place(ordered);
    this.#sayEmpty(rows.length === 0);
  }

  #head(column, index) {
    const cell = document.createElement("th");
    cell.scope = "col";
    if (column.number) cell.className = "number";
    if (!column.sort) {
      const name = document.createElement("span");
      name.className = "visually-hidden";
      name.textContent = column.title;
      cell.append(name);
      return cell;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = column.title;
    button.addEventListener("click", () => this.#sortBy(index));
    cell.append(button);
    this.#heads.push([index, cell]);
    return cell;
  }

  #sortBy(index) {
    this.#down = this.#sorted === index ? !this.#down : Boolean(this.#columns[index].number);
    this.#sorted = index;
    this.#mark();
    this.#place(this.#order(this.#shown), true);
  }

  #mark() {
    for (const [index, cell] of this.#heads) {
      if (index === this.#sorted) cell.ariaSort = this.#down ? "descending" : "ascending";
      else cell.removeAttribute("aria-sort");
    }
  }

  #order(rows) {
    const { sort } = this.#columns[this.#sorted];
    const sign = this.#down ? -1 : 1;
    return rows.toSorted((a, b) => sign * compare(sort(a), sort(b)) || compare(a.key, b.key));
  }

  #update(row) {
    let known = this.#rows.get(row.key);
    if (!known) this.#rows.set(row.key, (known = this.#make()));
    known.row = row;
    known.element.dataset.tone = row.tone ?? "";
    this.#columns.forEach((column, index) => {
      const cell = known.cells[index];
      if (column.actions) return showActions(cell, column.actions, row);
      const text = column.value(row);
      if (cell.textContent !== text) cell.textContent = text;
    });
  }

  #make() {
    const element = document.createElement("tr");
    const known = { element, cells: [], row: null };
    this.#columns.forEach((column, index) => {
      const cell = document.createElement(index === 0 ? "th" : "td");
      if (index === 0) cell.scope = "row";
      if (column.number) cell.className = "number";
      if (column.actions) {
        cell.className = "actions";
        cell.append(...column.actions.map((action) => buttonOf(action, known)));
      }
      known.cells.push(cell);
      element.append(cell);
    });
    return known;
  }

  #place(ordered, always = false) {
    const held = !always && this.#body.matches(":hover, :focus-within");
    let before = this.#body.firstElementChild;
    for (const { key } of ordered) {
      const { element } = this.#rows.get(key);
      if (held) {
        if (!element.isConnected) this.#body.append(element);
      } else if (element === before) before = before.nextElementSibling;
      else this.#body.insertBefore(element, before);
    }
  }

  #sayEmpty(isEmpty) {
    const note = this.#body.querySelector(".empty");
    if (!isEmpty) note?.remove();
    if (!isEmpty || note) return;
    const row = this.#body.insertRow();
    row.className = "empty";
    const cell = row.insertCell();
    cell.colSpan = this.#columns.length;
    cell.textContent = this.#empty;
  }
}

function buttonOf(action, known) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = action.label;
  button.addEventListener("click", () => action.on(known.row));
  return button;
}

function showActions(cell, actions, row) {
  actions.forEach((action, index) => {
    const button = cell.children[index];
    const name = action.name(row);
    button.hidden = action.has ? !action.has(row) : false;
    if (button.ariaLabel !== name) button.ariaLabel = name;
  });
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}
