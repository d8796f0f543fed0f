"use strict";
// What is picked, side by side. All of it is arithmetic of stored monthly returns over the calendar
// months that every pick has, as evaluation/compare.py does it; figures are the store's.
(() => {
  const { data, el, write, returns, growth, nothing, reason } = lab;
  const $ = (id) => document.getElementById(id);
  const FEWEST = 12, NOISE = 1e-12;
  const colour = (k) => `var(--pick${k})`;
  const monthName = (m) => `${Math.floor(m / 12)}-${String((m % 12) + 1).padStart(2, "0")}`;
  const exact = (value, said) => el("data", { value: String(value) }, said);
  const swatch = (k) => el("span", { class: "swatch", style: `background:${colour(k)}`, "aria-hidden": "true" });
  const short = (name, most) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);

  // ---- arithmetic
  function aligned(picks) {
    const all = picks.map(returns);
    let months = Array.from(all[0].months);
    for (const each of all.slice(1)) {
      const has = new Set(each.months);
      months = months.filter((m) => has.has(m));
    }
    const wanted = new Set(months);
    return { months, net: all.map((each) => each.net.filter((_, k) => wanted.has(each.months[k]))) };
  }
  function drawdown(nav) {
    let top = 1;
    return nav.map((value) => { top = Math.max(top, value); return value / top - 1; });
  }
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  function apart(net) { // less the mean; and its length, NaN where that is only rounding
    const middle = mean(net), off = Array.from(net, (value) => value - middle);
    const size = Math.sqrt(off.reduce((sum, value) => sum + value * value, 0));
    const largest = net.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    return { off, size: size > NOISE * (1 + largest) * Math.sqrt(net.length) ? size : NaN };
  }
  function correlations(nets) {
    const parts = nets.map(apart);
    return parts.map((a) => parts.map((b) => {
      const product = a.off.reduce((sum, value, k) => sum + value * b.off[k], 0) / (a.size * b.size);
      return Math.max(-1, Math.min(1, product));
    }));
  }
  function clustered(matrix) { // average linkage of 1 − ρ; what does not vary comes last
    const far = (a, b) => (Number.isNaN(matrix[a][b]) ? 3 : 1 - matrix[a][b]);
    let groups = matrix.map((_, i) => [i]);
    while (groups.length > 1) {
      let best = [Infinity, 0, 1];
      groups.forEach((one, i) => groups.slice(i + 1).forEach((other, k) => {
        const distance = mean(one.flatMap((a) => other.map((b) => far(a, b))));
        if (distance < best[0] - 1e-12) best = [distance, i, i + 1 + k];
      }));
      const [, i, j] = best;
      groups = [...groups.filter((_, k) => k !== i && k !== j), [...groups[i], ...groups[j]]];
    }
    return groups[0];
  }
  function summary(net, nav, below) {
    const n = net.length, last = nav[n - 1], sd = apart(net).size;
    return {
      mean: 12 * mean(net),
      volatility: n > 1 ? (Number.isNaN(sd) ? 0 : Math.sqrt(12 / (n - 1)) * sd) : NaN,
      growth: last, worst: Math.min(...below), cagr: last >= 0 ? last ** (12 / n) - 1 : NaN,
    };
  }

  // ---- drawing
  function svg(tag, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }
  function ticks(low, high, most) {
    const rough = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5, 10].find((each) => each * power >= rough) || 10);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step);
    return found;
  }
  function logTicks(low, high) {
    for (const steps of [[1], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], [1, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 7, 8, 9]]) {
      const found = [];
      for (let p = Math.floor(low) - 1; p <= high + 1; p += 1)
        found.push(...steps.map((s) => Math.log10(s) + p).filter((v) => v >= low && v <= high));
      if (found.length >= 3) return found;
    }
    return ticks(low, high, 4);
  }
  function spread(labels, gap, least, most) { // heights pushed apart, within the picture
    labels.sort((a, b) => a.y - b.y);
    labels.forEach((each, k) => { each.y = Math.max(each.y, k ? labels[k - 1].y + gap : least); });
    for (let k = labels.length - 1; k >= 0; k -= 1)
      labels[k].y = Math.min(labels[k].y, k === labels.length - 1 ? most : labels[k + 1].y - gap);
  }
  function lines(box, { months, series, names, log, format, label }) {
    const wide = Math.max(260, box.clientWidth), tall = 260, left = 46;
    const roomy = wide > 480, right = wide - (roomy ? 184 : 58), top = 10, bottom = tall - 26;
    const at = (v) => (log ? (v > 0 ? Math.log10(v) : NaN) : v);
    const all = series.flatMap((values) => Array.from(values, at)).filter((v) => !Number.isNaN(v));
    let low = Math.min(...all, 0), high = Math.max(...all, 0);
    const pad = Math.max(0.04 * (high - low), 0.005);
    [low, high] = [low - pad, log ? high + pad : high];
    const x = (k) => left + ((right - left) * k) / Math.max(1, months.length - 1);
    const y = (v) => bottom - ((bottom - top) * (v - low)) / (high - low);
    const parts = [];
    for (const tick of log ? logTicks(low, high) : ticks(low, high, 5)) {
      parts.push(svg("line", { x1: left, x2: right, y1: y(tick), y2: y(tick), class: "grid" }));
      const said = log ? `${Number((10 ** tick).toPrecision(2))}×` : write("percent0", tick);
      parts.push(svg("text", { x: left - 6, y: y(tick) + 4, class: "end" }, said));
    }
    const years = months.map((m, k) => [m, k]).filter(([m]) => m % 12 === 0);
    const every = Math.ceil(years.length / Math.max(1, Math.floor((right - left) / 52)));
    for (const [m, k] of years.filter((_, n) => n % every === 0))
      parts.push(svg("line", { x1: x(k), x2: x(k), y1: bottom, y2: bottom + 4, class: "grid" }),
        svg("text", { x: x(k), y: bottom + 18, class: "middle" }, String(m / 12)));
    const ends = [];
    series.forEach((values, s) => {
      const points = Array.from(values, (v, k) => [x(k), y(at(v))]).filter(([, h]) => !Number.isNaN(h));
      parts.push(svg("polyline", { points: points.map((p) => p.map((v) => v.toFixed(1)).join()).join(" "),
        class: "line", style: `stroke:${colour(s)}` }));
      if (points.length) ends.push({ y: points.at(-1)[1] + 4, s, said: format(values.at(-1)) });
    });
    spread(ends, 14, top + 4, bottom);
    for (const { y: height, s, said } of ends)
      parts.push(svg("text", { x: right + 8, y: height, class: "label", style: `fill:${colour(s)}` },
        roomy ? `${said} ${short(names[s], 14)}` : said));
    const cursor = svg("line", { x1: 0, x2: 0, y1: top, y2: bottom, class: "cursor", visibility: "hidden" });
    const picture = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, width: wide, height: tall, tabindex: 0, role: "slider",
      "aria-label": `${label}; arrow keys move from month to month`, "aria-valuemin": 0, "aria-valuemax": months.length - 1,
      "aria-valuenow": months.length - 1 }, ...parts, cursor);
    const readout = el("p", { class: "readout" });
    let now = months.length - 1;
    function tell(k, show = true) {
      now = Math.max(0, Math.min(months.length - 1, k));
      const said = names.map((name, s) => `${name} ${format(series[s][now])}`);
      readout.replaceChildren(`${monthName(months[now])}  `, ...said.flatMap((text, s) => [swatch(s), `${text}  `]));
      picture.setAttribute("aria-valuenow", now);
      picture.setAttribute("aria-valuetext", `${monthName(months[now])}: ${said.join(", ")}`);
      cursor.setAttribute("x1", x(now));
      cursor.setAttribute("x2", x(now));
      cursor.setAttribute("visibility", show ? "visible" : "hidden");
    }
    picture.addEventListener("pointermove", (event) => {
      const from = picture.getBoundingClientRect();
      const seen = ((event.clientX - from.left) * wide) / from.width;
      tell(Math.round(((seen - left) / (right - left)) * (months.length - 1)));
    });
    picture.addEventListener("pointerleave", () => tell(months.length - 1, false));
    picture.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -1e6, End: 1e6 }[event.key];
      if (step) { event.preventDefault(); tell(now + step); }
    });
    tell(now, false);
    box.replaceChildren(picture, readout);
  }
  function scatter(box, points) {
    const universe = data.universe, wide = Math.max(260, box.clientWidth), tall = 300;
    const left = 46, right = wide - 16, top = 10, bottom = tall - 40;
    const known = points.filter((p) => Number.isFinite(p.volatility) && Number.isFinite(p.mean));
    const everything = [...known.map((p) => [p.volatility, p.mean]), ...(universe.points || []), ...universe.frontier];
    if (!everything.length) return box.replaceChildren(el("p", { class: "facts" }, universe.note));
    const reach = (k) => everything.map((p) => p[k]);
    const far = Math.max(...reach(0)) * 1.08 || 0.01;
    const low = Math.min(0, ...reach(1)) * 1.1, high = Math.max(0.01, ...reach(1)) * 1.08;
    const x = (v) => left + ((right - left) * v) / far, y = (v) => bottom - ((bottom - top) * (v - low)) / (high - low);
    const parts = [], taken = [];
    const free = (cx, cy, text) => { // a label only where it covers nothing else
      const size = 7 * text.length;
      for (const [dx, dy, side] of [[9, 4, ""], [-9, 4, "end"], [0, -10, "middle"], [0, 20, "middle"], [9, -9, ""], [9, 18, ""], [0, -24, "middle"], [0, 34, "middle"]]) {
        const from = cx + dx - (side === "end" ? size : side ? size / 2 : 0), area = [from, cy + dy - 11, from + size, cy + dy + 3];
        if (from < left || area[2] > right + 12 || area[1] < 0 || area[3] > bottom) continue;
        if (taken.some((t) => area[0] < t[2] && t[0] < area[2] && area[1] < t[3] && t[1] < area[3])) continue;
        taken.push(area);
        return { x: cx + dx, y: cy + dy, class: side };
      }
      return null;
    };
    everything.forEach(([v, m], k, _, r = k < known.length ? 7 : 3) => taken.push([x(v) - r, y(m) - r, x(v) + r, y(m) + r]));
    for (const v of ticks(low, high, 5)) parts.push(svg("line", { x1: left, x2: right, y1: y(v), y2: y(v), class: "grid" }),
      svg("text", { x: left - 6, y: y(v) + 4, class: "end" }, write("percent0", v)));
    for (const v of ticks(0, far, wide > 480 ? 6 : 4))
      parts.push(svg("text", { x: x(v), y: bottom + 16, class: "middle" }, write("percent0", v)));
    parts.push(svg("text", { x: (left + right) / 2, y: tall - 6, class: "middle" }, "volatility per year; upwards: mean return per year"));
    const dot = (p, radius, name, extra) => svg("circle", { cx: x(p[0]), cy: y(p[1]), r: radius, tabindex: 0, role: "img",
      "data-why": `${name}: mean ${write("percent1", p[1])}, volatility ${write("percent1", p[0])}`,
      "aria-label": `${name}: mean ${write("percent1", p[1])}, volatility ${write("percent1", p[0])}`, ...extra });
    if (universe.frontier.length) parts.push(svg("polyline", { class: "frontier",
      points: universe.frontier.map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" ") }));
    const own = [];
    known.forEach((p) => {
      const label = free(x(p.volatility), y(p.mean), short(p.name, 22));
      own.push(dot([p.volatility, p.mean], 6, p.name, { style: `fill:${colour(p.s)}`, class: "pick" }));
      if (label) own.push(svg("text", { ...label, class: `label ${label.class}`, style: `fill:${colour(p.s)}` }, short(p.name, 22)));
    });
    if (universe.frontier.length > 1) {
      const [v, m] = universe.frontier[Math.floor(universe.frontier.length / 2)];
      const label = free(x(v), y(m), "frontier");
      if (label) parts.push(svg("text", { ...label, class: `quiet ${label.class}` }, "frontier"));
    }
    universe.tickers.forEach((ticker, k) => {
      const p = universe.points[k], label = free(x(p[0]), y(p[1]), short(ticker, 10));
      parts.push(dot(p, 3, ticker, { class: "ticker" }));
      if (label) parts.push(svg("text", { ...label, class: `quiet ${label.class}` }, short(ticker, 10)));
    });
    box.replaceChildren(svg("svg", { viewBox: `0 0 ${wide} ${tall}`, width: wide, height: tall, role: "group",
      "aria-label": "Risk and return of the picked experiments and the universe" }, ...parts, ...own));
  }

  // ---- tables
  function heading(picks, corner) {
    const names = picks.map((i, k) => el("th", { scope: "col" }, swatch(k), data.names[i],
      data.sweeps[i] ? el("div", { class: "sweep" }, `sweep ${data.sweeps[i]}`) : ""));
    return el("thead", {}, el("tr", {}, el("th", { scope: "col" }, corner), ...names));
  }
  function figureRow(figure, values, why) {
    const known = values.filter((v) => Number.isFinite(v)), first = values[0];
    const said = values.map((v) => (Number.isFinite(v) ? write(figure.format, v) : ""));
    const differs = new Set(said.filter(Boolean)).size > 1;
    const best = differs && figure.better && known.length > 1
      ? write(figure.format, Math[figure.better > 0 ? "max" : "min"](...known)) : null;
    const cells = values.map((v, k) => {
      if (!Number.isFinite(v)) return el("td", { class: "number" }, nothing(why(k)));
      const is = said[k] === best;
      const off = differs && k && Number.isFinite(first) ? write(figure.format, v - first, true).replace("%", " pp") : "";
      return el("td", { class: `number${is ? " best" : ""}` }, is ? "▲ " : "",
        is ? el("span", { class: "unseen" }, "best: ") : "", exact(v, said[k]), off ? el("small", {}, off) : "");
    });
    return el("tr", differs ? { "data-figure": figure.name } : { class: "same", "data-figure": figure.name },
      el("th", { scope: "row", "data-why": figure.about || null }, figure.label), ...cells);
  }
  function figures(picks, sums, months) {
    const group = (text) => el("tr", { class: "group" }, el("th", { colspan: picks.length + 1, scope: "rowgroup" }, text));
    const verdicts = picks.map((i) => data.light[i]
      ? el("td", { class: "number", "data-why": data.note[i] }, el("span", { class: `verdict ${data.light[i]}` },
        el("span", { class: "lamp", "aria-hidden": "true" }), `${data.light[i]} ${data.grade[i] || "no grade"}`))
      : el("td", { class: "number" }, nothing(reason("verdict", i))));
    const stored = [{ ...data.described.composite, values: data.composite, part: "verdict" },
      ...data.figures.map((each) => ({ ...each, values: data.values[each.name], part: each.name }))];
    const rows = stored.map((each) => figureRow(each, picks.map((i) => each.values[i] ?? NaN), (k) => reason(each.part, picks[k]) || "no composite"));
    const here = [["growth", "Growth of 1", "ratio2", 1], ["cagr", "CAGR", "percent1", 1], ["mean", "Mean", "percent1", 1],
      ["volatility", "Volatility", "percent1", -1], ["worst", "Max drawdown", "percent1", 1]];
    const computed = months.length < 1 ? [] : here.map(([name, label, format, better]) =>
      figureRow({ name: `common_${name}`, label, format, better }, sums.map((s) => s[name]), () => "not defined"));
    $("figures").replaceChildren(heading(picks, ""), el("tbody", {}, group("As stored, each over its own months"),
      el("tr", {}, el("th", { scope: "row" }, "Verdict"), ...verdicts), ...rows,
      ...(computed.length ? [group(`Over the ${months.length} months shown, from the stored monthly returns`), ...computed] : [])));
  }
  function heat(picks, nets) {
    if (picks.length < 2) return $("correlation").replaceChildren(el("p", { class: "facts" }, "Pick a second experiment."));
    const matrix = correlations(nets), sequence = clustered(matrix);
    const cell = (a, b) => {
      const value = matrix[a][b];
      if (Number.isNaN(value)) return el("td", {}, nothing("one of the two never varies"));
      const hue = value >= 0 ? "var(--positive)" : "var(--negative)";
      return el("td", { style: `background:color-mix(in srgb,${hue} ${Math.round(55 * Math.abs(value))}%,var(--panel))` },
        exact(value, write("ratio2", value)));
    };
    const name = (k, scope) => el("th", { scope, title: data.names[picks[k]] }, swatch(k), data.names[picks[k]]);
    $("correlation").replaceChildren(el("table", { class: "heat" }, el("caption", { class: "unseen" }, "Correlation of monthly net returns"),
      el("thead", {}, el("tr", {}, el("td", {}), ...sequence.map((k) => name(k, "col")))),
      el("tbody", {}, ...sequence.map((a) => el("tr", { "data-of": data.keys[picks[a]] }, name(a, "row"), ...sequence.map((b) => cell(a, b)))))));
  }
  function numbers(picks, months, navs, belows) {
    const heads = picks.flatMap((i, k) => [el("th", { scope: "col" }, swatch(k), `${data.names[i]} NAV`), el("th", { scope: "col" }, "drawdown")]);
    $("numbers").replaceChildren(el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Month"), ...heads)),
      el("tbody", {}, ...months.map((m, k) => el("tr", {}, el("th", { scope: "row" }, monthName(m)), ...picks.flatMap((_, s) => [
        el("td", { class: "number" }, exact(navs[s][k], write("ratio4", navs[s][k]))),
        el("td", { class: "number" }, exact(belows[s][k], write("percent2", belows[s][k])))])))));
  }

  // ---- from refresh to refresh
  const FOLLOWED = ["composite", "sharpe", "cagr", "volatility_ann", "max_drawdown", "information_ratio"];
  function multiples(picks) {
    const told = picks.map((i, s) => ({ s, name: data.names[i], rows: data.sweeps[i] ? [] : data.history[data.names[i]] || [] }))
      .filter((each) => each.rows.length > 1);
    const months = [...new Set(told.flatMap((each) => each.rows.map(([m]) => m)))].sort();
    $("refreshes").textContent = told.length
      ? `The same strategies as each month's data knew them, ${months[0]} to ${months.at(-1)}: figures as stored then.`
      : "None of these strategies has an earlier refresh in the store.";
    const panels = FOLLOWED.map((name) => ({ ...(data.described[name] || { label: name, format: "ratio2" }), name }))
      .filter(({ name }) => told.some((each) => each.rows.some(([, known]) => name in known)));
    $("history").replaceChildren(...panels.map((figure) => multiple(figure, told, months)));
  }
  function multiple({ name, label, format }, told, months) {
    const wide = 296, tall = 130, left = 6, right = 176, top = 12, bottom = 100;
    const lined = told.map(({ s, name: of, rows }) => ({ s, of, points: rows.filter(([, known]) => name in known)
      .map(([m, known]) => ({ k: months.indexOf(m), m, v: known[name] })) })).filter((each) => each.points.length);
    const all = lined.flatMap((each) => each.points.map((p) => p.v));
    const low = Math.min(...all), high = Math.max(...all);
    const x = (k) => left + ((right - left) * k) / Math.max(1, months.length - 1);
    const y = (v) => bottom - ((bottom - top) * (v - low)) / (high - low || 1);
    const parts = [svg("line", { x1: left, x2: right, y1: bottom + 6, y2: bottom + 6, class: "grid" }),
      svg("text", { x: left, y: bottom + 22 }, months[0]), svg("text", { x: right, y: bottom + 22, class: "end" }, months.at(-1))];
    const ends = [];
    for (const { s, of, points } of lined) {
      parts.push(svg("polyline", { class: "line", style: `stroke:${colour(s)}`, points: points.map((p) => `${x(p.k).toFixed(1)},${y(p.v).toFixed(1)}`).join(" ") }));
      for (const p of points) {
        const said = `${of}, ${p.m}: ${write(format, p.v)}`;
        parts.push(svg("circle", { cx: x(p.k), cy: y(p.v), r: 3, style: `fill:${colour(s)}`, "data-why": said, tabindex: 0, role: "img", "aria-label": said }));
      }
      const [first, last] = [points[0], points.at(-1)];
      ends.push({ y: y(last.v) + 4, s, said: `${write(format, last.v)} (${write(format, last.v - first.v, true).replace("%", " pp")})` });
    }
    spread(ends, 14, top, bottom + 4);
    for (const { y: height, s, said } of ends) parts.push(svg("text", { x: right + 8, y: height, class: "label", style: `fill:${colour(s)}` }, said));
    return el("figure", { "data-figure": name }, el("figcaption", {}, label),
      svg("svg", { viewBox: `0 0 ${wide} ${tall}`, role: "group", "aria-label": `${label} at each refresh` }, ...parts));
  }

  // ---- all of it
  let current = [];
  function compare(picks) {
    current = picks;
    $("comparison").hidden = !picks.length;
    $("invitation").hidden = picks.length > 0;
    if (!picks.length) return;
    const names = picks.map((i) => data.names[i]);
    $("legend").replaceChildren(...picks.map((i, k) => {
      const drop = el("button", { type: "button", "aria-label": `Take ${data.names[i]} out` }, "×");
      drop.addEventListener("click", () => { lab.pick(i, false); $("compare").focus({ preventScroll: true }); });
      return el("li", { style: `color:${colour(k)}` }, swatch(k), short(data.names[i], 60), drop);
    }));
    const { months, net } = aligned(picks), enough = months.length >= (picks.length > 1 ? FEWEST : 2);
    $("window").textContent = enough
      ? `${monthName(months[0])} to ${monthName(months.at(-1))}: the ${months.length} months that ${picks.length > 1 ? "all of them have" : "it has"}. NAV, drawdown, correlation, mean and volatility here are arithmetic of the stored monthly net returns over these months.`
      : (picks.length > 1 ? `${months.length} months in common: too few to compare (${FEWEST} at least). Leave out the one with the shortest history.`
        : `${months.length} months with a known return: too few to draw.`);
    for (const each of document.querySelectorAll("#curves, #side .over > figure, #months")) each.hidden = !enough;
    $("side").classList.toggle("many", picks.length > 3 || !enough);
    const navs = net.map(growth), belows = navs.map(drawdown);
    const sums = net.map((each, k) => summary(each, navs[k], belows[k]));
    figures(picks, sums, enough ? months : []);
    multiples(picks);
    if (!enough) return;
    const times = (v) => `${write(Math.abs(v) < 10 ? "ratio2" : "ratio1", v)}×`;
    lines($("nav"), { months, series: navs, names, log: true, format: times, label: "NAV" });
    lines($("drawdown"), { months, series: belows, names, log: false, format: (v) => write("percent1", v), label: "Drawdown" });
    heat(picks, net);
    scatter($("scatter"), sums.map((each, s) => ({ ...each, s, name: names[s] })));
    const { span, note } = data.universe;
    $("hindsight").textContent = span ? `Grey: the universe's tickers and their long-only efficient frontier, ${span}, rebalanced monthly, before costs. It is known only in hindsight: nobody could have held it. ${note}` : `No frontier: ${note}.`;
    numbers(picks, months, navs, belows);
  }
  lab.compare = compare;
  let wide = innerWidth;
  window.addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; compare(current); } });
  lab.begin();
})();
