// The lanes: who ran when, who took over, who waited, which messages went where, the race windows.

Timeline.prototype.picture = function (first, last) {
  const { steps, lanes, blocked, messages, windows } = this.report;
  const above = this.tops[first], height = this.tops[last + 1] - above;
  const svg = drawn("svg", { width: this.area, height, "aria-hidden": "true" });
  svg.style.top = above + "px";
  svg.style.left = this.left + "px";
  svg.append(patterns());
  const y = (step) => this.y(this.rows[step]) - above, x = (lane) => this.x(lane), end = steps.length - 1;
  const sees = (from, to) => this.rows[from] <= last && this.rows[to] >= first;
  const line = (x1, y1, x2, y2, more) => svg.append(drawn("line", { x1, y1, x2, y2, ...more }));
  if (!this.extents) this.extents = extents(steps, lanes.length);
  lanes.forEach((lane, place) => {
    const [from, to] = this.extents[place];
    if (sees(from, to)) line(x(place), y(from), x(place), y(to), { stroke: colourOf(lane), "stroke-opacity": 0.28 });
  });
  windows.forEach((window, place) => {
    const [from, to] = this.span(place);
    if (window.lane === null || !sees(from, to)) return;
    const wide = Math.min(this.pitch * 0.62, 20), at = x(window.lane);
    svg.append(drawn("rect", { x: at - wide / 2, y: y(from), width: wide, height: Math.max(y(to) - y(from), 1), rx: 3, fill: "var(--warn)", "fill-opacity": 0.22, stroke: "var(--warn)", "stroke-opacity": 0.7 }));
    const guest = window.intrudes && window.intrudes.number;
    if (guest !== null && guest !== undefined && steps[guest].lane !== null)
      line(x(steps[guest].lane), y(guest), at, y(guest), { stroke: "var(--warn)", "stroke-width": 2, "stroke-dasharray": "2 3" });
  });
  for (const span of blocked) {
    const to = span.end === null ? end : span.end, wide = Math.min(this.pitch * 0.5, 10);
    if (sees(span.start, to))
      svg.append(drawn("rect", { x: x(span.lane) - wide / 2, y: y(span.start), width: wide, height: Math.max(y(to) - y(span.start), 2), rx: 2, fill: "url(#waits)", stroke: "var(--warn)", "data-blocked": span.how }));
  }
  for (const message of messages) this.message(svg, message, x, y, sees);
  const near = this.items[Math.max(first - 1, 0)].step, until = this.items[last].step;
  for (let n = Math.max(near, 1); n <= Math.min(until + 1, end); n++) {
    const before = steps[n - 1], after = steps[n];
    if (before.lane === null || after.lane === null) continue;
    const from = [x(before.lane), y(n - 1)], to = [x(after.lane), y(n)], middle = (from[1] + to[1]) / 2;
    const took = after.marks.includes("preempts"), same = before.lane === after.lane;
    const path = `M${from} C${from[0]},${middle} ${to[0]},${middle} ${to}`;
    svg.append(drawn("path", { d: path, fill: "none", stroke: same ? colourOf(lanes[after.lane]) : took ? "var(--warn)" : "var(--dim)", "stroke-width": same || took ? 2 : 1.2, "stroke-opacity": same || took ? 0.9 : 0.45 }));
  }
  for (let n = near; n <= Math.min(until, end); n++) this.node(svg, steps[n], x, y(n));
  return svg;
};

Timeline.prototype.node = function (svg, step, x, y) {
  const { steps, lanes, messages } = this.report, radius = Math.min(this.pitch * 0.34, 4.5);
  if (step.lane === null) {
    let struck = lanes.map((_, place) => place).filter((place) => step.worker < 0 || lanes[place].worker === step.worker);
    const letter = messages.find((message) => message.received === step.number && message.target === null);
    if (letter && letter.source !== null) struck = [letter.source];
    if (!struck.length) return;
    const from = x(struck[0]), to = x(struck[struck.length - 1]);
    svg.append(drawn("line", { x1: from - 5, x2: to + 5, y1: y, y2: y, stroke: "var(--bad)", "stroke-width": 2 }));
    const alive = struck.filter((place) => this.extents[place][0] < step.number);
    const near = alive.sort((one, other) => lastBefore(steps, other, step.number) - lastBefore(steps, one, step.number))[0];
    svg.append(cross(x(near === undefined ? struck[0] : near), y));
    return;
  }
  const colour = colourOf(lanes[step.lane]), at = x(step.lane);
  if (step.marks.includes("fault")) { svg.append(cross(at, y)); return; }
  const fill = step.does === "writes" ? colour : "var(--surface)";
  svg.append(drawn("circle", { cx: at, cy: y, r: step.does ? radius : radius * 0.6, fill: step.does ? fill : colour, stroke: colour, "stroke-width": 2 }));
  if (step.marks.includes("violation")) svg.append(drawn("circle", { cx: at, cy: y, r: radius + 4, fill: "none", stroke: "var(--bad)", "stroke-width": 2 }));
};

Timeline.prototype.message = function (svg, message, x, y, sees) {
  const { sent, source, received, target } = message;
  if (sent === null || source === null || !sees(sent, received === null ? sent : received)) return;
  const style = { fill: "none", stroke: "var(--message)", "stroke-width": 1.4, "stroke-dasharray": "5 3" };
  if (target === null) {
    const aside = x(source) - 10;
    svg.append(drawn("path", { d: `M${x(source)},${y(sent)} L${aside},${received === null ? y(sent) + 14 : y(received)}`, ...style }));
    return;
  }
  const from = x(source), to = x(target), side = to < from ? 1 : -1, tip = to + side * 7;
  const path = `M${from},${y(sent)} C${from - side * Math.abs(from - to) * 0.4},${y(sent)} ${tip + side * 14},${y(received)} ${tip},${y(received)}`;
  svg.append(drawn("path", { d: path, "marker-end": "url(#arrow)", "data-message": message.kind, ...style }));
};

function extents(steps, lanes) {
  const found = Array.from({ length: lanes }, () => [Infinity, 0]);
  for (const step of steps) {
    if (step.lane === null) continue;
    found[step.lane] = [Math.min(found[step.lane][0], step.number), step.number];
  }
  return found;
}

function lastBefore(steps, lane, number) {
  let at = number - 1;
  while (at >= 0 && steps[at].lane !== lane) at--;
  return at;
}

function cross(x, y) {
  return drawn("path", { d: `M${x - 5},${y - 5} L${x + 5},${y + 5} M${x - 5},${y + 5} L${x + 5},${y - 5}`, stroke: "var(--bad)", "stroke-width": 2.6, "stroke-linecap": "round" });
}

function patterns() {
  const all = drawn("defs", {}), waits = drawn("pattern", { id: "waits", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  waits.append(drawn("rect", { width: 5, height: 5, fill: "var(--warn-soft)" }), drawn("rect", { width: 2, height: 5, fill: "var(--warn)" }));
  const arrow = drawn("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" });
  arrow.append(drawn("path", { d: "M0,0 L8,4 L0,8 z", fill: "var(--message)" }));
  all.append(waits, arrow);
  return all;
}
