// Brings the page up: what failed and why, the jumps, the keys, one report after another.

const { reports } = JSON.parse(document.getElementById("data").textContent);
const KEYS = [
  ["\u2193 j", "next step"], ["\u2191 k", "step before"], ["Home End", "first and last step"], ["PgUp PgDn", "ten steps"], ["v", "where the rule broke"],
  ["w", "next step of a race window"], ["f", "next fault"], ["t", "next change of a table"], ["/", "find; Enter for the next"],
];
const SIGNS = [
  ["\u25cf", "writes shared data"], ["\u25cb", "reads shared data"], ["\u2715", "a fault strikes"], ["\u25a8", "waits for a lock"],
  ["\u21e2", "a message"], ["\u2503", "the race window of a task"], ["\u0394", "rows committed: click for before and after"],
];
let report, timeline, begun = false;

function show(number) {
  report = reports[number];
  overview();
  jumps();
  document.getElementById("orders").hidden = !report.orders;
  if (report.orders) showOrders(report.orders);
  timeline = new Timeline(report, (step) => {
    showDetails(report, timeline, step);
    // Not for the step it begins with: the browser would go there, past what comes first on the page.
    if (begun) try { history.replaceState(null, "", "#" + (reports.length > 1 ? number + 1 + "-" : "") + "step-" + step); } catch { /* not allowed here */ }
  });
}

function overview() {
  document.title = visible(report.scenario + (report.variant ? ", " + report.variant : "") + ": " + (report.rule || report.kind));
  fill("title", report.scenario, report.variant ? make("span", "variant", " \u00b7 " + report.variant) : "");
  fill("kind", report.kind);
  document.querySelector(".broken").classList.toggle("held", report.kind === "held");
  fill("rule", report.rule || report.kind);
  fill("message", report.message);
  const fact = (text) => { const [number, ...rest] = text.split(" "); return make("li", "", make("b", "", number), " " + rest.join(" ")); };
  fill("facts", ...[counted(report.steps.length, "step"), counted(report.workers, "worker"), counted(report.preemptions, "preemption"), counted(report.faults.length, "fault")].map(fact), make("li", "", "found by " + report.scheduler + ", seed " + report.seed), make("li", "", report.made_with.join(", ")));
  const why = report.why.length ? report.why : report.kind === "held" ? ["Nothing does: in this schedule every rule holds."] : ["The file does not say why: it was made without an explanation."];
  fill("why", ...why.map((sentence) => make("p", "", sentence)));
  const told = report.told.map((call) => make("li", call.kind, make("span", "dot"), make("div", "", make("div", "", make("b", "", call.client), " ", make("code", "", call.call)), make("code", "answer", call.answer))));
  const left = report.left_open.map((text) => make("li", "fail", make("span", "dot"), make("div", "", "Left in a transaction: " + text)));
  fill("told", make("ul", "told", ...told, ...left));
  const again = [];
  if (report.command) again.push(make("code", "command", report.command));
  again.push(make("p", "quiet", "Schedule: ", make("code", "", report.schedule)));
  if (report.passing) again.push(make("p", "quiet", "Nearest schedule that passes: ", make("code", "", report.passing)));
  if (report.no_tables) again.push(make("p", "quiet", "No tables before and after: " + report.no_tables));
  fill("again", ...again);
}

function jump(text, className, step) {
  const element = make("button", "jump " + className, text);
  element.type = "button";
  element.addEventListener("click", () => timeline.choose(step));
  return element;
}

function jumps() {
  const found = [];
  if (report.violation !== null) found.push(jump("Violation, step " + report.violation, "violation", report.violation));
  report.windows.slice(0, 6).forEach((window, place) => {
    const set = make("span", "set", make("span", "jump window", "Window" + (report.windows.length > 1 ? " " + (place + 1) : "")));
    for (const role of ["opens", "intrudes", "closes"]) {
      const named = window[role];
      if (named && named.number !== null) set.append(jump(role + " " + named.number, "window", named.number));
    }
    found.push(set);
  });
  for (const step of report.faults.slice(0, 8)) found.push(jump("\u2715 " + report.steps[step].kind + ", step " + step, "fault", step));
  fill("jumps", ...found);
}

function nextWhere(holds) {
  const { steps } = report;
  for (let ahead = 1; ahead <= steps.length; ahead++) {
    const number = (timeline.selected + ahead) % steps.length;
    if (holds(steps[number])) return timeline.choose(number);
  }
}

const MOVES = {
  ArrowDown: () => timeline.choose(timeline.selected + 1), ArrowUp: () => timeline.choose(timeline.selected - 1),
  PageDown: () => timeline.choose(timeline.selected + 10), PageUp: () => timeline.choose(timeline.selected - 10),
  Home: () => timeline.choose(0), End: () => timeline.choose(report.steps.length - 1),
};
const ANYWHERE = {
  j: MOVES.ArrowDown, k: MOVES.ArrowUp,
  v: () => { if (report.violation !== null) timeline.choose(report.violation); },
  w: () => nextWhere((step) => step.marks.some((mark) => /^(opens|intrudes|closes) /.test(mark))),
  f: () => nextWhere((step) => step.marks.includes("fault")),
  t: () => nextWhere((step) => timeline.changes.has(step.number)),
  "/": () => document.getElementById("find").focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const legend = document.querySelector(".legend");
  if (event.key === "Escape") { legend.open = false; timeline.scroller.focus({ preventScroll: true }); return; }
  if (event.target.closest("input, select")) return;
  const inside = event.target === timeline.scroller || event.target === document.body;
  const move = ANYWHERE[event.key] || (inside && MOVES[event.key]);
  if (move) { event.preventDefault(); move(); }
});

function find(next) {
  const wanted = document.getElementById("find").value.toLowerCase(), told = document.getElementById("status");
  if (!wanted) { told.textContent = ""; return; }
  const holds = (step) => [step.text, step.parameters, step.file + ":" + step.line, step.caller, step.kind, step.error, step.choice, ...step.told].join("\n").toLowerCase().includes(wanted);
  const { steps } = report, from = timeline.selected + (next ? 1 : 0);
  for (let ahead = 0; ahead < steps.length; ahead++) {
    const step = steps[(from + ahead) % steps.length];
    if (holds(step)) { timeline.choose(step.number, false); told.textContent = "Step " + step.number; return; }
  }
  told.textContent = "No step has it";
}

function begin() {
  const pair = ([sign, means]) => [make("dt", "", ...sign.split(" ").map((key) => make("kbd", "", key))), make("dd", "", means)];
  fill("legend", make("dl", "", ...SIGNS.flatMap(([sign, means]) => [make("dt", "", sign), make("dd", "", means)])), make("hr", ""), make("dl", "", ...KEYS.flatMap(pair)));
  const chooser = document.getElementById("chooser");
  chooser.hidden = reports.length < 2;
  reports.forEach((each, number) => { const option = make("option", "", number + 1 + ". " + each.scenario + (each.variant ? " \u00b7 " + each.variant : "")); option.value = number; chooser.append(option); });
  chooser.addEventListener("change", () => { show(Number(chooser.value)); timeline.choose(report.violation === null ? 0 : report.violation, false); });
  const input = document.getElementById("find");
  input.addEventListener("input", () => find(false));
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") find(true); });
  const scroller = document.getElementById("timeline");
  let asked = false;
  scroller.addEventListener("scroll", () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; timeline.draw(); });
  });
  let width = scroller.clientWidth;
  window.addEventListener("resize", () => {
    timeline.measure();
    // A phone changes its height while one scrolls; only with another width do the rows lie elsewhere.
    if (width !== scroller.clientWidth) timeline.choose(timeline.selected, false);
    width = scroller.clientWidth;
  });
  const [, which, step] = location.hash.match(/^#(?:(\d+)-)?step-(\d+)$/) || [];
  chooser.value = String(Math.min(Math.max(Number(which || 1), 1), reports.length) - 1);
  show(Number(chooser.value));
  timeline.choose(step !== undefined ? Number(step) : report.violation === null ? 0 : report.violation, false);
  scroller.focus({ preventScroll: true });
  begun = true;
}

begin();
