// The steps as rows, of which only those in sight are in the document, with the lanes drawn beside them.

class Timeline {
  constructor(report, chosen) {
    this.report = report;
    this.chosen = chosen;
    this.scroller = document.getElementById("timeline");
    this.canvas = document.getElementById("canvas");
    this.selected = -1;
    this.changes = new Map(report.tables.map((at) => [at.step, at.tables]));
    this.items = this.lay();
    this.measure();
  }

  lay() {
    const { steps, violation, rule, kind } = this.report, items = [];
    this.rows = new Int32Array(steps.length);
    let now = 0;
    for (const step of steps) {
      if (step.now > now) items.push({ is: "time", step: step.number, text: "time passes: " + Number(step.now.toPrecision(6)) + " s" });
      now = step.now;
      this.rows[step.number] = items.length;
      items.push({ is: "step", step: step.number });
      if (step.error) items.push({ is: "error", step: step.number, text: "! " + step.error });
      for (const text of step.told) items.push({ is: "told", step: step.number, text: "\u21d2 " + text, bad: !/ returned /.test(text) });
      if (violation === step.number) items.push({ is: "violation", step: step.number, text: "Broken here: " + kind + (rule ? " \u2018" + rule + "\u2019" : "") });
    }
    return items;
  }

  measure() {
    const { lanes } = this.report, width = this.scroller.clientWidth, many = Math.max(lanes.length, 1);
    this.narrow = window.matchMedia("(max-width: 560px)").matches;
    const share = (width * (this.narrow ? 0.2 : 0.28)) / many;
    this.pitch = Math.min(Math.max(share, Math.min(5, (width * 0.4) / many)), this.narrow ? 20 : 64);
    this.left = this.narrow ? 32 : 52;
    this.area = Math.ceil(this.pitch * many) + 10;
    const heights = { step: this.narrow ? 46 : 29 }, other = this.narrow ? 40 : 26;
    this.tops = new Float64Array(this.items.length + 1);
    this.items.forEach((item, row) => { this.tops[row + 1] = this.tops[row] + (heights[item.is] || other); });
    this.canvas.style.height = this.tops[this.items.length] + "px";
    this.head();
    this.draw();
  }

  x(lane) { return 5 + this.pitch * (lane + 0.5); }
  y(row) { return (this.tops[row] + this.tops[row + 1]) / 2; }

  head() {
    const { lanes } = this.report, tracks = make("div", "tracks");
    tracks.style.width = this.area + "px";
    tracks.style.minHeight = this.pitch >= 34 ? "34px" : "18px";
    for (let from = 0; from < lanes.length;) {
      let to = from;
      while (to < lanes.length && lanes[to].worker === lanes[from].worker) to++;
      const width = this.pitch * (to - from), lane = lanes[from];
      const long = lane.role === "clients" ? "clients" : lane.process;
      const label = make("span", "process", width > 62 ? long : lane.role === "worker" ? "w" + lane.worker : long[0]);
      label.style.left = 5 + this.pitch * from + 1 + "px";
      label.style.width = Math.max(width - 2, 2) + "px";
      label.style.color = colourOf(lane);
      tracks.append(label);
      from = to;
    }
    if (this.pitch >= 34) lanes.forEach((lane, place) => {
      const label = make("span", "task", lane.task);
      label.style.left = 5 + this.pitch * place + "px";
      label.style.width = this.pitch + "px";
      tracks.append(label);
    });
    fill("head", make("span", "number", "#"), tracks, make("span", "what", this.narrow ? "what ran, by whom, where" : "what ran"), this.narrow ? "" : make("span", "source", "source"));
  }

  rowAt(top) {
    let low = 0, high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] <= top) low = middle + 1; else high = middle;
    }
    return low;
  }

  draw() {
    const top = this.scroller.scrollTop, first = Math.max(this.rowAt(top) - 10, 0);
    const last = Math.min(this.rowAt(top + this.scroller.clientHeight) + 10, this.items.length - 1);
    const rows = [];
    for (let row = first; row <= last; row++) rows.push(this.row(this.items[row], row));
    if (first <= last) rows.push(this.picture(first, last));
    this.canvas.replaceChildren(...rows);
    const active = document.getElementById("step-" + this.selected);
    if (active) this.scroller.setAttribute("aria-activedescendant", active.id);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  row(item, row) {
    const step = this.report.steps[item.step], isStep = item.is === "step";
    const element = make("div", "row " + (isStep ? "" : "note " + item.is + "-row" + (item.bad ? " told-bad" : "")));
    element.style.top = this.tops[row] + "px";
    element.style.height = this.tops[row + 1] - this.tops[row] + "px";
    const tracks = make("span", "tracks");
    tracks.style.width = this.area + "px";
    element.append(make("span", "number", isStep ? item.step : ""), tracks);
    if (this.inWindow(item.step) && item.is !== "violation") element.classList.add("in-window");
    if (!isStep) {
      element.setAttribute("role", "presentation");
      element.append(make("span", "what", make("span", "text", item.text)));
      element.title = visible(item.text);
      element.addEventListener("click", () => this.choose(item.step));
      return element;
    }
    this.option(element, step);
    if (step.marks.includes("fault")) element.classList.add("fault-row");
    if (step.state === "waits" || step.state === "still waits" || step.state === "gave up") element.classList.add("waits");
    const text = make("span", "text", this.words(step), step.parameters ? make("span", "parameters", step.parameters) : null);
    const source = make("span", "source", step.place), chips = this.chips(step), label = this.label(step);
    if (this.narrow) element.append(make("span", "what", text, make("span", "second", label, chips, source)));
    else element.append(make("span", "what", label, text, chips), source);
    return element;
  }

  option(element, step) {
    element.id = "step-" + step.number;
    element.setAttribute("role", "option");
    element.setAttribute("aria-posinset", step.number + 1);
    element.setAttribute("aria-setsize", this.report.steps.length);
    element.setAttribute("aria-selected", step.number === this.selected);
    if (step.number === this.selected) element.classList.add("selected");
    element.addEventListener("click", () => this.choose(step.number));
  }

  words(step) {
    const shows = ["call", "fetch", "await", "request", "answer"].includes(step.kind) || step.marks.includes("fault");
    return shows && !step.text.startsWith(step.kind) ? step.kind + " " + step.text : step.text || step.kind;
  }

  label(step) {
    const lane = step.lane === null ? null : this.report.lanes[step.lane];
    const element = make("span", "lane", lane ? lane.name : step.worker >= 0 ? "w" + step.worker : "fault");
    if (lane) element.style.setProperty("--c", colourOf(lane));
    return element;
  }

  chips(step) {
    const found = make("span", "chips");
    if (step.state) found.append(make("span", "chip window", step.state));
    for (const mark of step.marks) {
      if (mark === "preempts") found.append(make("span", "chip plain", "preempts"));
      else if (mark !== "fault" && mark !== "violation") found.append(make("span", "chip window", this.report.windows.length > 1 ? mark : mark.split(" ")[0]));
    }
    const changed = this.changes.get(step.number);
    if (changed) found.append(make("span", "chip plain", "\u0394 " + changed.map((table) => table.table).join(", ")));
    return found;
  }

  span(place) {
    const { opens, closes, at } = this.report.windows[place], end = this.report.steps.length - 1;
    const from = opens && opens.number !== null ? opens.number : at;
    return [from, closes && closes.number !== null ? closes.number : end];
  }

  inWindow(step) {
    return this.report.windows.some((_, place) => { const [from, to] = this.span(place); return from <= step && step <= to; });
  }

  choose(step, focus = true) {
    const { length } = this.report.steps;
    if (!length) return;
    this.selected = Math.min(Math.max(step, 0), length - 1);
    const row = this.rows[this.selected], { scroller } = this, margin = 60;
    if (this.tops[row] - margin < scroller.scrollTop) scroller.scrollTop = this.tops[row] - margin;
    const below = this.tops[row + 1] + margin - scroller.clientHeight;
    if (below > scroller.scrollTop) scroller.scrollTop = below;
    this.draw();
    if (focus) {
      scroller.focus({ preventScroll: true });
      document.getElementById("step-" + this.selected).scrollIntoView({ block: "nearest" });
    }
    this.chosen(this.selected);
  }
}
