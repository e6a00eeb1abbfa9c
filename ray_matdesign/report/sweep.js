"use strict";
(() => {
  const data = JSON.parse(document.getElementById("sweep-data").textContent);
  const NS = "http://www.w3.org/2000/svg";

  /* Drawing */
  function mark(parent, name, attributes, text) {
    const node = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  }

  function canvas(id, width, height, label) {
    const svg = document.createElementNS(NS, "svg");
    svg.setAttribute("class", "chart");
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    document.getElementById(id).replaceChildren(svg);
    return svg;
  }

  function shown(value) {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    if (size && (size < 1e-3 || size >= 1e5)) return value.toExponential(2).replace("-", "−");
    return String(Number(value.toPrecision(4))).replace("-", "−");
  }

  function ticks(low, high, wanted) {
    if (!(high > low)) return [low];
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high * (1 + 1e-12); k += 1) found.push(k * step);
    return found;
  }

  function padded(values) {
    const low = Math.min(...values);
    const high = Math.max(...values);
    const margin = 0.05 * (high - low) || 0.5 * Math.abs(low) || 0.5;
    return [low - margin, high + margin];
  }

  /* A frame with two axes; returns the maps from data to picture. */
  function frame(svg, width, height, xs, ys, xLabel, yLabel) {
    const [left, right, top, bottom] = [78, width - 20, 14, height - 48];
    const x = (v) => left + ((v - xs[0]) / (xs[1] - xs[0])) * (right - left);
    const y = (v) => bottom - ((v - ys[0]) / (ys[1] - ys[0])) * (bottom - top);
    for (const tick of ticks(ys[0], ys[1], 5)) {
      mark(svg, "path", { class: "grid", d: `M${left} ${y(tick)}H${right}` });
      mark(svg, "text", { class: "tick", x: left - 8, y: y(tick) + 4, "text-anchor": "end" }, shown(tick));
    }
    for (const tick of ticks(xs[0], xs[1], 6)) {
      mark(svg, "path", { class: "rule", d: `M${x(tick)} ${bottom}v5` });
      mark(svg, "text", { class: "tick", x: x(tick), y: bottom + 19, "text-anchor": "middle" }, shown(tick));
    }
    mark(svg, "path", { class: "rule", d: `M${left} ${bottom}H${right}` });
    mark(svg, "text", { class: "axis-title", x: (left + right) / 2, y: height - 8, "text-anchor": "middle" }, xLabel);
    const middle = (top + bottom) / 2;
    const turned = `translate(14 ${middle}) rotate(-90)`;
    mark(svg, "text", { class: "axis-title", "text-anchor": "middle", transform: turned }, yLabel);
    return [x, y];
  }

  /* Every chart shows the trial that the reader points at. */
  const followers = [];
  function point(trial) {
    for (const follow of followers) follow(trial);
    const told = document.getElementById("sweep-pointed");
    const found = data.trials.find((t) => t.trial === trial);
    told.textContent = found ? `Trial ${trial} (${found.state}): ${found.told}` : data.hint;
  }

  function listens(node, trial) {
    node.addEventListener("pointerenter", () => point(trial));
    node.addEventListener("pointerleave", () => point(null));
  }

  /* Parallel coordinates: drag along an axis to keep the trials that pass there. */
  function parallel() {
    const axes = data.axes;
    if (!axes.length || !data.trials.length) return;
    const width = Math.max(1120, 130 * axes.length);
    const [height, top, bottom] = [400, 52, 370];
    const svg = canvas("sweep-parallel", width, height, "Parallel coordinates of the trials");
    const x = (k) => 70 + (k * (width - 140)) / Math.max(1, axes.length - 1);
    const maps = axes.map((axis) => {
      const known = axis.values.filter((v) => v !== null);
      if (axis.kind === "category") {
        const names = [...new Set(known.map(String))].sort();
        const gap = (bottom - top) / Math.max(1, names.length);
        const at = (v) => bottom - (names.indexOf(String(v)) + 0.5) * gap;
        return { at, ticks: names.map((name) => [at(name), name]) };
      }
      const scale = axis.kind === "log" ? Math.log10 : (v) => v;
      let [low, high] = [Math.min(...known.map(scale)), Math.max(...known.map(scale))];
      if (!(high > low)) [low, high] = [low - 0.5, high + 0.5];
      const at = (v) => bottom - ((scale(v) - low) / (high - low)) * (bottom - top);
      const back = axis.kind === "log" ? (v) => 10 ** v : (v) => v;
      const marks = [0, 0.25, 0.5, 0.75, 1].map((s) => back(low + s * (high - low)));
      return { at, ticks: marks.map((v) => [at(v), shown(v)]) };
    });
    const brushes = axes.map(() => null);
    const layer = mark(svg, "g", {});
    const lines = data.trials.map((trial, row) => {
      const places = axes.map((axis, k) =>
        axis.values[row] === null ? null : [x(k), maps[k].at(axis.values[row])]);
      const path = places.filter(Boolean).map(([a, b], k) => `${k ? "L" : "M"}${a} ${b}`).join("");
      const kind = trial.best ? "best" : trial.on_front ? "front" : "";
      const line = mark(layer, "path", { class: `trial ${kind}`, d: path });
      listens(line, trial.trial);
      return { line, trial, places };
    });
    function refresh() {
      for (const { line, places } of lines) {
        const kept = brushes.every((range, k) =>
          !range || (places[k] && places[k][1] >= range[0] && places[k][1] <= range[1]));
        line.classList.toggle("off", !kept);
      }
    }
    axes.forEach((axis, k) => {
      mark(svg, "path", { class: "rule", d: `M${x(k)} ${top}V${bottom}` });
      const title = mark(svg, "text", { class: axis.metric ? "axis-title strong" : "axis-title", x: x(k), y: k % 2 ? 34 : 16, "text-anchor": "middle" }, axis.label);
      mark(title, "title", {}, axis.key);
      for (const [place, label] of maps[k].ticks) {
        mark(svg, "text", { class: "tick", x: x(k) + 7, y: place + 4 }, label);
      }
      const band = mark(svg, "rect", { class: "brush", x: x(k) - 9, width: 18, y: top, height: 0 });
      const grip = mark(svg, "rect", { class: "grip", x: x(k) - 14, width: 28, y: top - 8, height: bottom - top + 16 });
      let from = null;
      const place = (event) => {
        const box = svg.getBoundingClientRect();
        const y = ((event.clientY - box.top) / box.height) * height;
        return Math.min(bottom + 1, Math.max(top - 1, y));
      };
      grip.addEventListener("pointerdown", (event) => {
        grip.setPointerCapture(event.pointerId);
        from = place(event);
      });
      grip.addEventListener("pointermove", (event) => {
        if (from === null) return;
        const to = place(event);
        brushes[k] = Math.abs(to - from) < 4 ? null : [Math.min(from, to), Math.max(from, to)];
        band.setAttribute("y", brushes[k] ? brushes[k][0] : top);
        band.setAttribute("height", brushes[k] ? brushes[k][1] - brushes[k][0] : 0);
        refresh();
      });
      grip.addEventListener("pointerup", () => {
        if (from !== null && brushes[k] === null) band.setAttribute("height", 0);
        from = null;
      });
      grip.addEventListener("click", () => refresh());
      grip.addEventListener("dblclick", () => {
        brushes[k] = null;
        band.setAttribute("height", 0);
        refresh();
      });
    });
    followers.push((pointed) => {
      for (const { line, trial } of lines) {
        line.classList.toggle("pointed", trial.trial === pointed);
      }
    });
  }

  /* The front over crystals, as it stood after any number of evaluations. */
  function front(task, horizontal, vertical, upTo) {
    const svg = canvas("sweep-front", 560, 400, `Front of ${task.name}`);
    const [tx, ty] = [task.terms[horizontal], task.terms[vertical]];
    const xs = padded(task.crystals.map((c) => c.values[horizontal]));
    const ys = padded(task.crystals.map((c) => c.values[vertical]));
    const [x, y] = frame(svg, 560, 400, xs, ys, tx.label, ty.label);
    const dots = [];
    for (const crystal of task.crystals) {
      if (crystal.order >= upTo) continue;
      const on = crystal.until !== null && (crystal.until < 0 || crystal.until >= upTo);
      const dot = mark(svg, "circle", {
        class: on ? "dot accent" : "dot quiet", r: on ? 5 : 2.4,
        cx: x(crystal.values[horizontal]), cy: y(crystal.values[vertical]),
      });
      const told = crystal.values.map((v, k) => `${task.terms[k].label}: ${shown(v)}`);
      mark(dot, "title", {}, `${crystal.formula}, trial ${crystal.trial}\n${told.join("\n")}`);
      listens(dot, crystal.trial);
      dots.push([dot, crystal.trial]);
      if (on) svg.append(dot);
    }
    return (pointed) => {
      for (const [dot, trial] of dots) {
        dot.classList.toggle("off", pointed !== null && trial !== pointed);
      }
    };
  }

  /* Hypervolume over evaluations: of each trial, and of all together. */
  function volume(task) {
    const svg = canvas("sweep-volume", 560, 400, `Hypervolume of ${task.name}`);
    const all = task.curves.flatMap((curve) => curve.points);
    const longest = Math.max(1, ...all.map((p) => p[0]));
    const highest = Math.max(1e-6, ...all.map((p) => p[1]));
    const [x, y] = frame(svg, 560, 400, [0, longest], [0, 1.05 * highest],
      "Evaluations (of the trial; bold: of all)", task.volume);
    const lines = task.curves.map((curve) => {
      const steps = curve.points.map(([n, v], k) => (k ? `H${x(n)}V${y(v)}` : `M${x(n)} ${y(v)}`));
      const kind = curve.trial === 0 ? "line accent" : "trial";
      const line = mark(svg, "path", { class: kind, d: steps.join("") });
      if (curve.trial) listens(line, curve.trial);
      return [line, curve.trial];
    });
    return (pointed) => {
      for (const [line, trial] of lines) line.classList.toggle("pointed", trial === pointed);
    };
  }

  function choices(id, names, chosen, change) {
    const select = document.getElementById(id);
    names.forEach((name, k) => select.append(new Option(name, k, false, k === chosen)));
    select.hidden = select.parentElement.hidden = names.length < 2;
    select.addEventListener("change", change);
    return select;
  }

  function crystals() {
    if (!data.tasks.length) return;
    const slider = document.getElementById("sweep-slider");
    const count = document.getElementById("sweep-count");
    const follow = [() => {}, () => {}];
    followers.push((trial) => follow.forEach((f) => f(trial)));
    let task = data.tasks[0];
    const picked = choices("sweep-task", data.tasks.map((t) => t.name), 0, () => turn());
    const pairs = () => task.terms.flatMap((_, a) => task.terms.map((__, b) => [a, b])).filter(([a, b]) => a < b);
    const axes = document.getElementById("sweep-axes");
    function draw() {
      const [a, b] = pairs()[Number(axes.value) || 0] || [0, 0];
      follow[0] = front(task, a, b, Number(slider.value));
      count.textContent = `after ${slider.value} of ${task.crystals.length} evaluations`;
    }
    function turn() {
      task = data.tasks[Number(picked.value) || 0];
      slider.max = task.crystals.length;
      slider.value = task.crystals.length;
      axes.replaceChildren(...pairs().map(([a, b], k) =>
        new Option(`${task.terms[a].label} and ${task.terms[b].label}`, k)));
      axes.parentElement.hidden = pairs().length < 2;
      follow[1] = volume(task);
      draw();
    }
    slider.addEventListener("input", draw);
    axes.addEventListener("change", draw);
    turn();
  }

  parallel();
  crystals();
  point(null);
})();
