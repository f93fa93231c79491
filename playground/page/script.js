"use strict";
// The page knows how to draw and when it is; what happens is the module's to say.
const SPAN_MS = 120000; // of the timeline
const SAMPLE_MS = 200; // between two of its points
const samples = [];
let door, view, chosen = null, paused = false, last = null, owed = 0;

const element = (name) => document.getElementById(name);
const text = (length) => new TextDecoder().decode(new Uint8Array(door.memory.buffer, door.playground_text(), length));
const look = () => { view = JSON.parse(text(door.playground_view())); };
const colour = (tier) => getComputedStyle(document.documentElement).getPropertyValue(`--t${tier}`);

function knob(name, value, max, step, unit, act) {
  const label = document.createElement("label"), shown = document.createElement("output"), input = document.createElement("input");
  Object.assign(input, { type: "range", min: 0, max, step, value, name });
  const show = () => { shown.value = `${input.value} ${unit}`; };
  let taken = value;
  input.oninput = () => {
    if (act(Number(input.value)) === 0) input.value = taken; // reserves are not more than all there is
    taken = input.value;
    show();
  };
  label.append(name, shown, input);
  element("knobs").append(label);
  show();
}

function knobs() {
  element("knobs").replaceChildren();
  const starts = [[240, 30], [120, 10], [180, 5]]; // what the module begins with: see TIERS in world.rs
  view.tiers.forEach(({ name }, tier) => {
    knob(`load of ${name}`, starts[tier][0], 1200, 10, "a minute", (value) => door.playground_load(tier, value));
    knob(`reserve of ${name}`, starts[tier][1], 100, 1, "%", (value) => door.playground_reserve(tier, value * 10000));
  });
  knob("hold window", 2, 30, 1, "s", (value) => door.playground_hold(value * 1000));
}

function begin() {
  door.playground_new(Number(new URLSearchParams(location.hash.slice(1)).get("seed") ?? 1));
  samples.length = 0;
  chosen = null;
  look();
  knobs();
}

function advance(ms) {
  for (let left = ms; left > 0; left -= SAMPLE_MS) {
    door.playground_advance(SAMPLE_MS);
    look();
    samples.push({ at: view.now_ms, units: view.tiers.map((tier) => tier.in_use) });
    while (samples[0].at < view.now_ms - SPAN_MS) samples.shift();
  }
}

function timeline() {
  const canvas = element("timeline"), pen = canvas.getContext("2d"), { width, height } = canvas;
  const x = (at) => width * (1 - (view.now_ms - at) / SPAN_MS), y = (units) => height * (1 - units / view.slots);
  pen.clearRect(0, 0, width, height);
  const below = samples.map(() => 0);
  view.tiers.forEach((_, tier) => {
    pen.beginPath();
    samples.forEach(({ at }, i) => pen.lineTo(x(at), y(below[i])));
    samples.forEach(({ units }, i) => { below[i] += units[tier]; });
    for (let i = samples.length - 1; i >= 0; i--) pen.lineTo(x(samples[i].at), y(below[i]));
    pen.fillStyle = colour(tier);
    pen.fill();
  });
  pen.strokeStyle = colour(0);
  pen.setLineDash([6, 4]);
  pen.beginPath(); // the first tier's reserve
  pen.moveTo(0, y(view.tiers[0].reserve));
  pen.lineTo(width, y(view.tiers[0].reserve));
  pen.stroke();
}

function square(request, tier, classes, title) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `t${tier} ${classes} ${request === chosen ? "chosen" : ""}`;
  button.title = title;
  button.dataset.request = request;
  return button;
}

function line(name, squares) {
  const row = document.createElement("div"), label = document.createElement("span");
  row.className = "line";
  label.textContent = name;
  row.append(label, ...squares);
  return row;
}

function draw() {
  element("clock").value = `${(view.now_ms / 1000).toFixed(1)} s`;
  timeline();
  element("tiers").replaceChildren(...view.tiers.map((tier) => {
    const row = document.createElement("tr"), delay = tier.delay_ms_p99;
    const cells = [tier.name, tier.reserve, tier.in_use, tier.waiting, delay === null ? "" : `${delay} ms`, tier.completed, tier.preempted, tier.refused];
    row.append(...cells.map((cell) => Object.assign(document.createElement("td"), { textContent: cell })));
    return row;
  }));
  const free = () => Object.assign(document.createElement("button"), { className: "free", disabled: true, type: "button" });
  const each = view.slots / view.workers.length;
  element("engines").replaceChildren(...view.workers.map((seats, worker) => line(`engine ${worker + 1}`, [
    ...seats.map((seat) => square(seat.request, seat.tier, `${seat.started} ${seat.stopping ? "stopping" : ""}`, seat.started)),
    ...Array.from({ length: each - seats.length }, free),
  ])));
  element("queues").replaceChildren(...view.queues.map((queue, tier) => line(view.tiers[tier].name,
    queue.map(({ request, waits_ms }) => square(request, tier, "waiting", `waits ${waits_ms} ms`)))));
  element("said").replaceChildren(...view.said.map((what) => Object.assign(document.createElement("li"), { textContent: what })));
  why();
}

function why() {
  if (chosen === null) return;
  const length = door.playground_explain(BigInt.asIntN(64, BigInt(chosen)));
  const bits = BigInt(chosen), name = `Request ${bits & 0xffffffffn}.${bits >> 32n}`; // as the scheduler prints it
  element("why").textContent = `${name}: ${length ? text(length) : "it has ended"}.`;
}

function frame(at) {
  if (!paused && last !== null) {
    owed = Math.min(owed + (at - last) * Number(element("speed").value), 4000); // a hidden tab does not catch up
    const due = Math.floor(owed / SAMPLE_MS) * SAMPLE_MS;
    owed -= due;
    if (due) {
      advance(due);
      draw();
    }
  }
  last = at;
  requestAnimationFrame(frame);
}

document.addEventListener("pointerdown", ({ target }) => { // squares are drawn anew between a press and a release
  if (target.dataset.request) {
    chosen = target.dataset.request;
    draw();
  }
});
element("pause").onclick = () => {
  paused = !paused;
  element("pause").textContent = paused ? "Go on" : "Pause";
};
element("again").onclick = () => { begin(); draw(); };

WebAssembly.instantiate(Uint8Array.from(atob(MODULE), (byte) => byte.charCodeAt(0))).then(({ instance }) => {
  door = instance.exports;
  const asked = new URLSearchParams(location.hash.slice(1));
  begin();
  advance(Number(asked.get("advance") ?? 0)); // #seed=7&advance=60000&pause: a page that is the same each time
  if (asked.has("pause")) element("pause").click();
  draw();
  requestAnimationFrame(frame);
  document.documentElement.dataset.ready = "yes";
});
