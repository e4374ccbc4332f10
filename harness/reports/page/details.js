// One step in full: what ran, where, what it touched, what it led to, the tables before and after.

const ROLE_MEANS = {
  opens: "from here on it matters whether another task comes between.",
  intrudes: "this step came between two steps of another task.",
  closes: "had it run before the other task came, the rule would have held.",
};
const STATE_MEANS = {
  waits: "It met somebody else's lock, and waits.",
  "still waits": "It asked for the lock again, and waits on.",
  "went on": "It had waited for a lock, got it and went on.",
  "gave up": "It had waited for a lock, and its time was over.",
};

function showDetails(report, timeline, number) {
  const step = report.steps[number], body = make("div", "body"), { length } = report.steps;
  const part = (title, ...parts) => body.append(make("section", "", make("h4", "", title), ...parts));
  const button = (text, name, to) => {
    const element = make("button", "", text);
    element.type = "button";
    element.setAttribute("aria-label", name);
    element.disabled = to < 0 || to >= length;
    element.addEventListener("click", () => timeline.choose(to));
    return element;
  };
  const nav = make("div", "nav", button("\u2191", "Step before", number - 1), button("\u2193", "Step after", number + 1));
  const heading = make("header", "", make("h3", "", "Step " + number + (step.kind ? " \u00b7 " + step.kind : "")), timeline.label(step), nav);
  const roles = rolesOf(report, step);
  if (roles.length) body.append(make("ul", "roles", ...roles));
  part(step.kind === "call" ? "Call" : step.marks.includes("fault") ? "Fault" : step.kind === "request" || step.kind === "answer" ? "Message" : "Statement", make("pre", "", step.text || step.kind));
  if (step.rows_of !== null) part("Rows of step " + step.rows_of, make("pre", "", report.steps[step.rows_of].text));
  if (step.parameters) part(step.kind === "request" ? "Body" : "Parameters", make("pre", "", step.parameters));
  const outcome = [];
  if (step.state) outcome.push(make("p", "", STATE_MEANS[step.state]));
  if (step.error) outcome.push(make("pre", "bad", step.error));
  for (const told of step.told) outcome.push(make("pre", "", told));
  if (outcome.length) part("What it led to", ...outcome);
  const letters = report.messages.filter((message) => message.sent === number || message.received === number);
  if (letters.length) part("Messages", make("ul", "", ...letters.map((message) => letterLine(message, number))));
  const changed = timeline.changes.get(number);
  if (changed) for (const table of changed) body.append(make("section", "", make("h4", "name", "Table " + table.table + ", in " + table.file), ...tableSides(table)));
  if (step.file) {
    const where = [make("p", "mono path", step.file + ":" + step.line + (step.function ? " in " + step.function : ""))];
    if (step.caller) where.push(make("p", "mono path quiet", "called from " + step.caller));
    part("Source", ...where);
  }
  if (step.touches.length) part("Touches", make("ul", "", ...step.touches.map((text) => make("li", "", text))));
  part("Time and schedule", make("p", "", Number(step.now.toPrecision(9)) + " s of virtual time, choice ", make("code", "", step.choice)));
  fill("details", heading, body).scrollTop = 0;
}

function rolesOf(report, step) {
  const found = [], many = report.windows.length > 1;
  for (const mark of step.marks) {
    const [role, place] = mark.split(" ");
    if (ROLE_MEANS[role]) {
      const name = role[0].toUpperCase() + role.slice(1) + (role === "intrudes" ? " into" : "") + (many ? " race window " + place : " the race window");
      found.push(make("li", "", make("b", "", name + ": "), ROLE_MEANS[role]));
    }
  }
  if (step.marks.includes("preempts")) found.push(make("li", "", make("b", "", "Preempts: "), "it took over from a task that could have gone on."));
  if (step.marks.includes("violation")) found.push(make("li", "bad", make("b", "", "Broken after this step: "), report.message));
  return found;
}

function letterLine(message, number) {
  const name = message.kind + " " + message.name;
  if (message.sent === number && message.fate !== "arrived") return make("li", "", "sends " + name + ", which " + (message.fate === "lost" ? "is lost at step " + message.received : "never arrives"));
  if (message.sent === number) return make("li", "", "sends " + name + ", which arrives at step " + message.received);
  const from = message.sent === null ? "" : ", sent by step " + message.sent;
  return make("li", "", (message.fate === "lost" ? "loses " : "receives ") + name + from);
}

function tableSides(table) {
  const parts = [];
  for (const side of ["before", "after"]) {
    const rows = table[side], total = table["rows_" + side];
    if (rows === null) { parts.push(make("p", "side", make("b", "", side), " no such table")); continue; }
    const more = total > rows.length ? ", " + rows.length + " shown" : "";
    parts.push(make("p", "side", make("b", "", side), " " + counted(total, "row") + more));
    if (rows.length) parts.push(make("div", "table-scroll", rowsTable(table.columns, rows, side)));
  }
  if (table.partial) parts.push(make("p", "side", "Too many rows to compare all: of those at the end nothing is known."));
  return parts;
}

function rowsTable(columns, rows, side) {
  const head = make("tr", "", ...columns.map((column) => make("th", "", column)));
  const body = rows.map((row) => make("tr", row.lone ? "lone " + side + "-row" : "", ...row.cells.map((cell, place) => {
    const kind = (cell === null ? "null " : "") + (row.changed.includes(place) ? (side === "before" ? "was" : "now") : "");
    const element = make("td", kind.trim(), cell === null ? "NULL" : cell);
    element.title = cell === null ? "NULL" : visible(cell);
    return element;
  })));
  return make("table", "", make("thead", "", head), make("tbody", "", ...body));
}
