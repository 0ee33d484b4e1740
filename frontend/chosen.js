import { formatRate } from "./format.js";

const MAX_SHOWN = 6;

/** Shows the chosen channels with their rates in `list`. */
export function showChosen(list, channels) {
  const { names } = channels;
  const items = names.slice(0, MAX_SHOWN).map((name) => item(name, channels));
  if (names.length > MAX_SHOWN) items.push(rest(names.slice(MAX_SHOWN)));
  list.replaceChildren(...items);
}

function item(name, channels) {
  const element = document.createElement("li");
  const [label, rate] = [document.createElement("code"), document.createElement("span")];
  element.className = "channel";
  if (channels.areSeveral) element.dataset.hue = channels.hue(name);
  label.textContent = name;
  rate.className = "channel-rate";
  rate.textContent = formatRate(channels.rate(name));
  element.append(label, rate);
  return element;
}

function rest(names) {
  const element = document.createElement("li");
  element.className = "channel";
  element.textContent = `and ${names.length} more`;
  element.title = names.join(", ");
  return element;
}
