/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report.js - draws one migration
 *
 * The data stands in the page as JSON. Whatever text is in it goes onto the page as text, never as
 * markup. All charts share the time axis: one crosshair, one zoom.
 */
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const curves = data.curves;
  const totals = data.totals;
  const seconds = curves.at_us.map((us) => us / 1e6);
  const end = Math.max(totals.duration_us / 1e6, 0.001);
  const AXIS_WIDTH = 92;
  const RIGHT_PADDING = 12;

  /* --- Words and figures --- */

  const byId = (id) => document.getElementById(id);
  const printable = (text) => String(text).replace(/\p{C}/gu, "?");
  const fixed = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });

  function element(name, text, properties) {
    const made = document.createElement(name);
    if (text !== undefined)
      made.textContent = printable(text);
    return Object.assign(made, properties);
  }

  function duration(us) {
    if (us >= 60e6)
      return `${Math.floor(us / 60e6)} min ${fixed(us % 60e6 / 1e6, 0)} s`;
    if (us >= 1e6)
      return `${fixed(us / 1e6, us >= 1e7 ? 1 : 2)} s`;
    return us >= 1000 ? `${fixed(us / 1e3, us >= 1e4 ? 0 : 1)} ms` : `${fixed(us, 0)} µs`;
  }

  function bytes(value) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    for (; value >= 1024 && unit < units.length - 1; unit++)
      value /= 1024;
    return `${fixed(value, value < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
  }

  const rate = (pages) => `${fixed(pages, 0)} pages/s`;
  const percent = (value) => `${fixed(value, 0)} %`;
  const clock = (s) => end >= 120 ? `${Math.floor(s / 60)}:${fixed(s % 60, 0).padStart(2, "0")} min`
    : `${fixed(s, end >= 10 ? 1 : 2)} s`;
  const knownOr = (us) => us > 0 ? duration(us) : "–";

  /* --- Head and summary --- */

  const downtime = data.switchover ? data.switchover.downtime_us : 0;
  const verdicts = { done: "good", failed: "bad", cancelled: "warn", released: "warn" };

  function showHead() {
    byId("domain").textContent = printable(data.domain);
    byId("result").textContent = printable(data.result);
    byId("result").classList.add(verdicts[data.result] || "warn");
    byId("about").textContent = printable(
      `policy ${data.policy || "none"}${data.observed ? ", observed only" : ""} · ${data.uuid}`);
    byId("problem").textContent = printable(data.problem);
    byId("problem").hidden = data.problem === "";
  }

  /* "goal met" or by how much it was missed; nothing where there is no goal or no figure. */
  function judge(actual, goal, format) {
    if (!goal || !actual)
      return ["", ""];
    if (actual <= goal)
      return [`goal of ${format(goal)} met`, "good"];
    return [`goal of ${format(goal)} missed`, "bad"];
  }

  function showCards() {
    const lost = totals.duration_us > 0 ? 100 * totals.guest_lost_us / totals.duration_us : 0;
    const memory = totals.private_pages * totals.page_size_bytes;
    const sent = totals.pages * totals.page_size_bytes;
    const busy = totals.duration_us > 0 ? 100 * totals.service_us / totals.duration_us : 0;
    const rows = [
      ["Downtime", knownOr(downtime), `promised ${knownOr(data.promised_downtime_us)}`,
        judge(downtime, data.goals.downtime_us, duration)],
      ["Total time", duration(totals.duration_us), `${totals.passes} passes`,
        judge(totals.duration_us, data.goals.duration_us, duration)],
      ["Guest time lost", duration(totals.guest_lost_us), `${percent(lost)} of the migration`,
        judge(lost, data.goals.slowdown_percent, percent)],
      ["Encrypted", bytes(sent),
        memory > 0 ? `${fixed(sent / memory, 2)} times the guest's ${bytes(memory)}` : "", ["", ""]],
      ["Pages a command", totals.commands > 0 ? fixed(totals.pages / totals.commands, 1) : "–",
        totals.submissions > 0 ? `${fixed(totals.pages / totals.submissions, 1)} a submission` : "",
        ["", ""]],
      ["Firmware busy", percent(busy), `waited for ${duration(totals.wait_us)}`, ["", ""]],
    ];
    for (const [title, figure, more, [verdict, colour]] of rows) {
      const card = element("div", undefined, { className: "card" });
      card.append(element("small", title), element("b", figure), element("small", more));
      if (verdict !== "")
        card.append(element("span", verdict, { className: colour }));
      byId("cards").append(card);
    }
  }

  /* --- Tables --- */

  function fillTable(table, heads, rows) {
    const head = element("tr");
    for (const [title, kind] of heads)
      head.append(element("th", title, { className: kind || "" }));
    const body = element("tbody");
    for (const cells of rows) {
      const row = element("tr");
      cells.forEach((cell, i) => row.append(element("td", cell, { className: heads[i][1] || "" })));
      body.append(row);
    }
    const top = element("thead");
    top.append(head);
    table.append(top, body);
    return body;
  }

  function showPromises() {
    const goals = data.goals;
    const lost = totals.duration_us > 0 ? 100 * totals.guest_lost_us / totals.duration_us : 0;
    fillTable(byId("promises"),
      [["", "name"], ["goal", "number"], ["promised", "number"], ["actual", "number"]], [
        ["downtime", knownOr(goals.downtime_us), knownOr(data.promised_downtime_us), knownOr(downtime)],
        ["total time", knownOr(goals.duration_us), "–", duration(totals.duration_us)],
        ["guest time lost", goals.slowdown_percent ? percent(goals.slowdown_percent) : "–", "–",
          percent(lost)],
        ["most throttle", "–", "–", percent(totals.max_throttle_percent)],
        ["samples", "–", "–", `${totals.samples}, ${totals.samples_missed} missed`],
      ]);
  }

  function showPasses() {
    const size = totals.page_size_bytes;
    fillTable(byId("passes"),
      [["pass", "number"], ["began at", "number"], ["took", "number"], ["to send then", "number"],
        ["encrypted", "number"], ["pages/s", "number"]],
      data.passes.filter((pass) => pass.pages > 0 || pass.end_us > pass.start_us).map((pass) => {
        const took = pass.end_us - pass.start_us;
        return [pass.pass, clock(pass.start_us / 1e6), duration(took), bytes(pass.remaining_pages * size),
          bytes(pass.pages * size), took > 0 ? fixed(pass.pages / took * 1e6, 0) : "–"];
      }));
  }

  /* --- What all charts share: colours, crosshair, zoom --- */

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (name) => () => style(`--${name}`);
  const charts = [];
  const readouts = [];
  const shared = { at: null, from: null, to: null, min: 0, max: end };

  function nearest(at) {
    let low = 0;
    let high = seconds.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (seconds[middle] < at)
        low = middle + 1;
      else
        high = middle;
    }
    return low > 0 && at - seconds[low - 1] < seconds[low] - at ? low - 1 : low;
  }

  const crosshair = {
    id: "crosshair",
    afterDatasetsDraw(chart) {
      const { ctx, chartArea: area, scales: { x } } = chart;
      ctx.save();
      if (shared.from !== null) {
        const left = x.getPixelForValue(Math.min(shared.from, shared.to));
        const right = x.getPixelForValue(Math.max(shared.from, shared.to));
        ctx.globalAlpha = 0.15;
        ctx.fillStyle = style("--remaining");
        ctx.fillRect(left, area.top, right - left, area.bottom - area.top);
      } else if (shared.at !== null && shared.at >= x.min && shared.at <= x.max) {
        const at = Math.round(x.getPixelForValue(shared.at)) + 0.5;
        ctx.strokeStyle = style("--muted");
        ctx.setLineDash([3, 3]);
        ctx.beginPath();
        ctx.moveTo(at, area.top);
        ctx.lineTo(at, area.bottom);
        ctx.stroke();
      }
      ctx.restore();
    },
  };

  function redraw() {
    for (const chart of charts)
      chart.draw();
    for (const readout of readouts)
      readout(nearest(shared.at === null ? end : shared.at));
  }

  function zoom(min, max) {
    shared.min = min;
    shared.max = max;
    for (const chart of charts) {
      Object.assign(chart.options.scales.x, { min, max });
      chart.update("none");
    }
    byId("reset").hidden = min === 0 && max === end;
    showPhases();
  }

  function follow(chart) {
    const canvas = chart.canvas;
    const timeOf = (event) => {
      const at = chart.scales.x.getValueForPixel(event.clientX - canvas.getBoundingClientRect().left);
      return Math.min(Math.max(at, shared.min), shared.max);
    };
    canvas.addEventListener("mousedown", (event) => {
      shared.from = shared.to = timeOf(event);
      event.preventDefault();
    });
    canvas.addEventListener("mousemove", (event) => {
      shared.at = timeOf(event);
      if (shared.from !== null)
        shared.to = shared.at;
      redraw();
    });
    canvas.addEventListener("mouseleave", () => {
      shared.at = null;
      redraw();
    });
    canvas.addEventListener("dblclick", () => zoom(0, end));
  }

  window.addEventListener("mouseup", () => {
    if (shared.from === null)
      return;
    const min = Math.min(shared.from, shared.to);
    const max = Math.max(shared.from, shared.to);
    shared.from = shared.to = null;
    if (max - min > (shared.max - shared.min) / 100)
      zoom(min, max);
    else
      redraw();
  });

  function axes(y) {
    const font = { size: 11 };
    const grid = { color: colour("grid"), borderColor: colour("line"), drawTicks: false };
    return {
      x: { type: "linear", min: 0, max: end, grid,
           ticks: { color: colour("muted"), font, maxRotation: 0, padding: 6, callback: clock } },
      y: { grid, afterFit: (scale) => { scale.width = AXIS_WIDTH; }, ...y,
           ticks: { color: colour("muted"), font, padding: 6, maxTicksLimit: 6, ...y.ticks } },
    };
  }

  function draw(canvas, type, datasets, y, options) {
    const chart = new Chart(canvas, {
      type,
      data: { datasets },
      plugins: [crosshair],
      options: {
        animation: false, parsing: false, normalized: true, maintainAspectRatio: false, events: [],
        layout: { padding: { right: RIGHT_PADDING } },
        plugins: { legend: { display: false }, tooltip: { enabled: false } },
        scales: axes(y),
        ...options,
      },
    });
    charts.push(chart);
    follow(chart);
    return chart;
  }

  /* --- The course --- */

  /* Ticks at powers of two, six or fewer. */
  const mostRemaining = Math.max(...curves.remaining_pages, 1);
  const remainingStep = 2 ** Math.ceil(Math.log2(mostRemaining / 6));
  const pageBytes = (pages) => pages * totals.page_size_bytes;
  const course = [
    { id: "remaining", title: "Remaining", tall: true,
      lines: [{ name: "to send", key: "remaining_pages", colour: "remaining", fill: true, format: (v) => bytes(pageBytes(v)) }],
      y: { beginAtZero: true, ticks: { stepSize: remainingStep, callback: (v) => bytes(pageBytes(v)) } } },
    { id: "rates", title: "Dirty against encrypted", tall: true,
      lines: [{ name: "dirtied", key: "dirty_pages_per_s", colour: "dirty", format: rate },
              { name: "encrypted", key: "encrypt_pages_per_s", colour: "encrypt", format: rate }],
      y: { beginAtZero: true, ticks: { callback: (v) => `${fixed(v, 0)}/s` } } },
    { id: "predicted", title: "Downtime if it stopped now", tall: true,
      lines: [{ name: "predicted", key: "predicted_downtime_us", colour: "predicted", format: knownOr, positive: true },
              { name: "goal", key: "downtime_goal_us", colour: "goal", format: knownOr, positive: true, stepped: true,
                dash: [6, 4] }],
      y: { type: "logarithmic", ticks: { callback: (v) => Number.isInteger(Math.log10(v)) ? duration(v) : null,
                                         maxTicksLimit: 50, autoSkip: false } } },
    { id: "throttle", title: "Throttle",
      lines: [{ name: "of each vCPU's time, at most", key: "throttle_percent", colour: "throttle", format: percent, stepped: true,
                fill: true }],
      y: { min: 0, max: 100, ticks: { stepSize: 25, callback: percent } } },
    { id: "batch", title: "Batch",
      lines: [{ name: "pages a submission", key: "batch_pages", colour: "batch", format: (v) => fixed(v, 0), stepped: true }],
      y: { beginAtZero: true, ticks: { precision: 0, callback: (v) => fixed(v, 0) } } },
  ];

  function dataset(line) {
    const values = curves[line.key];
    const points = [];
    values.forEach((y, i) => {
      if (!line.positive || y > 0)
        points.push({ x: seconds[i], y });
    });
    return {
      label: line.name, data: points, borderColor: colour(line.colour), borderWidth: 1.6, pointRadius: points.length > 1 ? 0 : 2,
      stepped: line.stepped ? "before" : false, borderDash: line.dash || [], fill: line.fill ? "origin" : false,
      backgroundColor: () => `${style(`--${line.colour}`)}22`,
    };
  }

  function showCourse() {
    for (const part of course) {
      const figure = element("figure");
      const caption = element("figcaption");
      caption.append(element("strong", part.title));
      for (const line of part.lines) {
        const legend = element("span", `${line.name} `);
        const value = element("i", "");
        legend.className = "legend";
        legend.dataset.colour = line.colour;
        legend.append(value);
        caption.append(legend);
        readouts.push((i) => { value.textContent = line.format(curves[line.key][i]); });
      }
      const plot = element("div", undefined, { className: part.tall ? "plot tall" : "plot" });
      const canvas = element("canvas", undefined, { id: part.id });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${part.title} over time`);
      plot.append(canvas);
      figure.append(caption, plot);
      byId("charts").append(figure);
      draw(canvas, "line", part.lines.map(dataset), part.y, {});
    }
    if (curves.stride > 1) {
      byId("thinned").textContent = `One of ${curves.stride} samples is drawn.`;
      byId("thinned").hidden = false;
    }
  }

  function showPhases() {
    const width = shared.max - shared.min;
    byId("phases").replaceChildren(...data.phases.map((phase) => {
      const name = element("span", phase.phase, { title: printable(phase.phase) });
      name.dataset.phase = phase.phase;
      name.style.left = `${100 * (phase.start_us / 1e6 - shared.min) / width}%`;
      name.style.width = `${100 * (phase.end_us - phase.start_us) / 1e6 / width}%`;
      return name;
    }));
  }

  /* --- Decisions --- */

  const kinds = [...new Set(data.decisions.map((d) => d.action))];
  const palette = ["batch", "throttle", "predicted", "dirty", "encrypt", "remaining", "goal"];
  const kindColour = (kind) => colour(kind === "note" ? "goal" : palette[kinds.indexOf(kind) % palette.length]);
  const nameOfKind = (kind) => kind.replace(/-(us|pages)$/, "");
  const rowOf = [];

  function point(index) {
    const decision = data.decisions[index];
    const why = byId("why");
    document.querySelectorAll("tr.pointed").forEach((row) => row.classList.remove("pointed"));
    rowOf[index].classList.add("pointed");
    shared.at = decision.at_us / 1e6;
    why.replaceChildren(element("strong", `${clock(shared.at)} ${decision.brief || decision.action}`),
      document.createTextNode(` — ${printable(decision.reason)}`));
    redraw();
  }

  function showTimeline() {
    byId("timeline-plot").style.height = `${48 + 26 * Math.max(kinds.length, 1)}px`;
    const chart = draw(byId("timeline"), "scatter",
      kinds.map((kind) => ({
        label: kind, pointRadius: 5, pointHoverRadius: 5, pointStyle: "rectRot", borderWidth: 0, backgroundColor: kindColour(kind),
        data: data.decisions.flatMap((d, index) => d.action === kind ? [{ x: d.at_us / 1e6, y: nameOfKind(kind), index }] : []),
      })),
      { type: "category", labels: kinds.map(nameOfKind), offset: true, ticks: { autoSkip: false } }, {});
    chart.canvas.addEventListener("mousemove", (event) => {
      const found = chart.getElementsAtEventForMode(event, "nearest", { intersect: false }, true)[0];
      if (found && shared.from === null)
        point(chart.data.datasets[found.datasetIndex].data[found.index].index);
    });
  }

  function showKinds(rows) {
    kinds.forEach((kind, i) => {
      const count = data.decisions.filter((d) => d.action === kind).length;
      const button = element("button", `${nameOfKind(kind)} (${count})`, { type: "button" });
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        rows.forEach((row, n) => { if (data.decisions[n].action === kind) row.hidden = !on; });
        charts.find((c) => c.canvas.id === "timeline").setDatasetVisibility(i, on);
        charts.find((c) => c.canvas.id === "timeline").update("none");
      });
      byId("kinds").append(button);
    });
  }

  function showDecisions() {
    const body = fillTable(byId("decisions"), [["at", "number"], ["phase", "name"], ["what", "name"], ["why"]],
      data.decisions.map((d) => [clock(d.at_us / 1e6), d.phase, d.brief || d.action, d.reason]));
    rowOf.push(...body.rows);
    rowOf.forEach((row, index) => row.addEventListener("click", () => point(index)));
    showTimeline();
    showKinds(rowOf);
    if (data.decisions_left_out > 0) {
      byId("cut").textContent =
        `${data.decisions_left_out} more are not shown: "sevmigctl replay --decisions" lists them all.`;
      byId("cut").hidden = false;
    }
  }

  /* --- The switchover: goal, promise, and what the time went into --- */

  function showSwitchover() {
    const parts = [["stop", "stop_us", "goal"], ["memory", "ram_us", "encrypt"], ["devices", "device_us", "batch"],
      ["finish", "finish_us", "dirty"]];
    const bar = (label, values, name) => ({ label, data: values, backgroundColor: colour(name), barThickness: 18 });
    const datasets = [bar("goal", [data.goals.downtime_us, 0, 0], "goal"),
      bar("promised", [0, data.promised_downtime_us, 0], "predicted")];
    const known = data.switchover ? parts.reduce((sum, [, key]) => sum + data.switchover[key], 0) : 0;
    if (data.switchover) {
      for (const [label, key, name] of parts)
        datasets.push(bar(label, [0, 0, data.switchover[key]], name));
      datasets.push(bar("other", [0, 0, Math.max(downtime - known, 0)], "remaining"));
    }
    new Chart(byId("switchover"), {
      type: "bar",
      data: { labels: ["goal", "promised", "actual"], datasets },
      options: {
        indexAxis: "y", animation: false, maintainAspectRatio: false,
        plugins: {
          legend: { position: "bottom", labels: { color: colour("muted"), boxWidth: 10, boxHeight: 10, font: { size: 11 },
            filter: (item) => item.datasetIndex > 1 } },
          tooltip: { filter: (item) => item.raw > 0,
                     callbacks: { label: (item) => ` ${item.dataset.label} ${duration(item.raw)}` } },
        },
        scales: {
          x: { stacked: true, grid: { color: colour("grid"), borderColor: colour("line") },
               ticks: { color: colour("muted"), font: { size: 11 }, maxTicksLimit: 6, maxRotation: 0, callback: duration } },
          y: { stacked: true, grid: { display: false, borderColor: colour("line") }, ticks: { color: colour("muted") } },
        },
      },
    });
  }

  /* --- All of it --- */

  showHead();
  showCards();
  showPromises();
  showPasses();
  showSwitchover();
  showCourse();
  showDecisions();
  zoom(0, end);
  redraw();
  byId("reset").addEventListener("click", () => zoom(0, end));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
    () => Object.values(Chart.instances).forEach((chart) => chart.update("none")));
  document.documentElement.dataset.drawn = "yes";
})();
