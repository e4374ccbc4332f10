// Why a history is not linearizable: the calls over time, and each order that came furthest with where it stopped.

function showOrders(orders) {
  const last = Math.max(1, ...orders.calls.map((call) => Math.max(call.begin, call.end || 0))) + 1;
  const stuck = new Set(orders.orders.map((order) => order.stuck));
  const calls = orders.calls.map((call, number) => {
    const bar = make("div", "bar" + (call.end === null ? " open" : ""));
    bar.style.left = (100 * call.begin) / last + "%";
    bar.style.width = (100 * ((call.end === null ? last : call.end + 0.6) - call.begin)) / last + "%";
    const element = make("div", "call" + (stuck.has(number) ? " stuck" : ""), bar, make("div", "label", number + 1 + "  " + call.text));
    element.title = visible(call.text);
    return element;
  });
  const about = "Each bar is a call from its beginning to its answer, in real-time order. One after another, as " + orders.spec + (orders.partition ? ", for " + orders.partition : "") + ", they must give the answers that were given. No order does; these came furthest:";
  fill("orders-view", make("p", "quiet", about), make("div", "orders-calls", ...calls), ...orders.orders.map((order) => chainOf(orders, order)));
}

function chainOf(orders, order) {
  const name = (number) => make("span", "", number + 1 + "  " + orders.calls[number].text);
  const parts = [make("span", "state", orders.initial)];
  for (const placed of order.placed) {
    parts.push(name(placed.call));
    if (placed.state) parts.push(make("span", "state", placed.state));
  }
  const end = name(order.stuck);
  end.className = "stuck";
  parts.push(end);
  const others = order.others.length ? " Nor can " + order.others.map((number) => number + 1).join(", ") + " help." : "";
  const why = "Where the state is " + order.state + ", call " + (order.stuck + 1) + " can't have been answered like that." + others;
  return make("div", "order", make("div", "chain", ...parts), make("p", "quiet", why));
}
