// Makes elements. Text from a report only ever becomes a text node, and what would hide or turn it round is spelt out.

const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;

function visible(text) {
  return String(text).replace(HIDDEN, (char) => "\\u{" + char.codePointAt(0).toString(16) + "}");
}

function make(tag, className, ...parts) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const part of parts) if (part !== null && part !== undefined) element.append(part instanceof Node ? part : visible(part));
  return element;
}

function fill(id, ...parts) {
  const element = document.getElementById(id);
  element.replaceChildren(...parts.map((part) => (part instanceof Node ? part : document.createTextNode(visible(part)))));
  return element;
}

function drawn(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  return element;
}

function counted(number, noun) {
  return number.toLocaleString("en") + " " + noun + (number === 1 ? "" : "s");
}

function colourOf(lane) {
  return "var(--w" + (lane.role === "worker" ? lane.worker % 6 : "c") + ")";
}
