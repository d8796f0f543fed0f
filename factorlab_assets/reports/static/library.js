"use strict";
// The table of experiments: sort, filter, pick; its state lives in the address after the hash.
// Comparing is in library_compare.js, which is called with what is picked.
const lab = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const count = data.names.length;
  const ROW = 44, SPARE = 8, POINTS = 60;
  const $ = (id) => document.getElementById(id);
  const described = new Map(data.figures.map((each) => [each.name, each]));
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const haystack = data.names.map((name, i) =>
    [name, data.sweeps[i], data.light[i], data.keys[i]].join(" ").toLowerCase());
  const place = new Map(data.keys.map((key, i) => [key, i]));

  function el(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // ---- numbers
  const WRITERS = {
    percent: (value, digits) => `${(100 * value).toFixed(digits)}%`,
    ratio: (value, digits) => value.toFixed(digits),
    count: (value) => Math.round(value).toLocaleString("en"),
  };
  function write(format, value, signed = false) {
    const digits = Number(format.match(/\d*$/)[0] || 0);
    let said = WRITERS[format.replace(/\d+$/, "")](value, digits);
    if (!/[1-9]/.test(said)) said = said.replace("-", "");
    else if (signed && value > 0) said = `+${said}`;
    return said.replace("-", "−");
  }
  const unpacked = new Map();
  function returns(i) { // months as numbers, and decimals per month
    if (!unpacked.has(i)) {
      const bytes = Uint8Array.from(atob(data.returns[i]), (c) => c.charCodeAt(0));
      const view = new DataView(bytes.buffer);
      const net = Float64Array.from({ length: bytes.length / 4 },
        (_, k) => view.getInt32(4 * k, true) * data.scale);
      const said = data.months[i];
      const months = Array.isArray(said) ? said : Array.from(net, (_, k) => said + k);
      unpacked.set(i, { months, net });
    }
    return unpacked.get(i);
  }
  function growth(net) {
    let nav = 1;
    return Float64Array.from(net, (value) => (nav *= 1 + value));
  }
  function reason(part, i) {
    const found = (data.blank[part] || {})[i];
    return found === undefined ? "" : data.reasons[found];
  }

  // ---- state
  const start = data.composite.some((v) => v !== null) ? "composite"
    : described.has("sharpe") ? "sharpe" : "name";
  const usual = data.figures.filter((each) => each.shown).map((each) => each.name);
  const fresh = () => ({ query: "", sort: start, rising: start === "name", picks: [], columns: usual });
  let state = fresh(), order = [], lost = 0;

  function readAddress() {
    const said = new URLSearchParams(location.hash.slice(1));
    const read = fresh();
    read.query = said.get("q") || "";
    const sort = said.get("sort");
    if (sort && (["name", "composite"].includes(sort) || described.has(sort))) {
      read.sort = sort;
      read.rising = said.get("dir") === "up";
    }
    const picks = said.getAll("pick");
    read.picks = [...new Set(picks.filter((key) => place.has(key)).map((key) => place.get(key)))]
      .slice(0, data.most);
    lost = picks.filter((key) => !place.has(key)).length;
    if (said.has("cols")) read.columns = said.get("cols").split(" ").filter((c) => described.has(c));
    state = read;
  }
  function writeAddress() {
    const said = new URLSearchParams(), usually = fresh();
    if (state.query) said.set("q", state.query);
    if (state.sort !== usually.sort || state.rising !== usually.rising) {
      said.set("sort", state.sort);
      said.set("dir", state.rising ? "up" : "down");
    }
    state.picks.forEach((i) => said.append("pick", data.keys[i]));
    if (state.columns.join() !== usual.join()) said.set("cols", state.columns.join(" "));
    history.replaceState(null, "", `#${said}`);
  }

  // ---- filter and sort
  const CONDITION = /([A-Za-z_][\w.]*)\s*(<=|>=|<|>|=)\s*([-−]?\d*\.?\d+(?:e[-+]?\d+)?)(%?)/gi;
  const HOLDS = {
    "<": (a, b) => a < b, ">": (a, b) => a > b, "=": (a, b) => a === b,
    "<=": (a, b) => a <= b, ">=": (a, b) => a >= b,
  };
  const column = (name) => (name === "composite" ? data.composite : data.values[name]);
  function parse(query) {
    const conditions = [], unknown = [];
    const words = query.replace(CONDITION, (_, name, sign, number, percent) => {
      const values = column(name.toLowerCase());
      const limit = Number(number.replace("−", "-")) / (percent ? 100 : 1);
      if (values) conditions.push({ values, holds: HOLDS[sign], limit });
      else unknown.push(name);
      return " ";
    });
    return { conditions, unknown, words: words.toLowerCase().split(/\s+/).filter(Boolean) };
  }
  function filtered() {
    const { conditions, unknown, words } = parse(state.query);
    const kept = [];
    for (let i = 0; i < count; i += 1) {
      if (words.every((word) => haystack[i].includes(word)) &&
          conditions.every(({ values, holds, limit }) => values[i] !== null && holds(values[i], limit)))
        kept.push(i);
    }
    return { kept, unknown };
  }
  function sorted(kept) {
    const sign = state.rising ? 1 : -1;
    if (state.sort === "name")
      return kept.sort((a, b) => sign * collator.compare(data.names[a], data.names[b]) || a - b);
    const values = column(state.sort);
    return kept.sort((a, b) => { // what is not known comes last either way
      const one = values[a], other = values[b];
      if (one === null || other === null) return (one === null) - (other === null) || a - b;
      return sign * (one - other) || a - b;
    });
  }

  // ---- the table
  const scroller = $("scroller"), table = $("rows"), body = table.tBodies[0];
  let shownRows = new Map(), everyRow = false, seen = 700, drawnHead = null;
  const sparks = new Map();
  const measure = () => { seen = Math.min(0.62 * innerHeight, 16 * ROW); };

  function heads() {
    return [
      { name: "", label: "", width: 40 }, { name: "name", label: "Experiment", width: 0 },
      { name: "composite", label: "Verdict", width: 118, about: "light, grade and composite" },
      { name: "", label: "NAV", width: 128 },
      ...state.columns.map((name) => ({ ...described.get(name), width: 88, number: true })),
    ];
  }
  function drawHead() {
    const columns = heads();
    drawnHead = state.columns.join();
    table.querySelector("colgroup").replaceChildren(...columns.map((each) =>
      el("col", each.width ? { style: `width:${each.width}px` } : { class: "name" })));
    table.tHead.rows[0].replaceChildren(...columns.map((each) => {
      if (!each.name)
        return el("th", { scope: "col" }, each.label || el("span", { class: "unseen" }, "Pick"));
      const button = el("button", { type: "button", "data-sort": each.name }, each.label,
        el("span", { class: "arrow", "aria-hidden": "true" }));
      if (each.about) button.dataset.why = `${each.label} (${each.name}): ${each.about}`;
      return el("th", { scope: "col", class: each.number ? "number" : each.name }, button);
    }));
    markSort();
    const narrow = window.matchMedia("(max-width: 640px)").matches;
    const fixed = columns.reduce((sum, each) => sum + each.width, narrow ? 150 : 200);
    table.style.minWidth = `${fixed}px`;
  }
  function markSort() {
    for (const button of table.tHead.querySelectorAll("button")) {
      const on = state.sort === button.dataset.sort;
      button.lastChild.textContent = on ? (state.rising ? " ▲" : " ▼") : "";
      button.parentNode.setAttribute("aria-sort", on ? (state.rising ? "ascending" : "descending") : "none");
    }
  }
  const nothing = (why) => el("span", { class: "blank", tabindex: "0", "data-why": why,
    role: "note", "aria-label": `not known: ${why}` }, "–");
  function verdict(i) {
    if (!data.light[i]) return nothing(reason("verdict", i));
    const composite = data.composite[i];
    const said = `${data.light[i]}${data.grade[i] ? `, grade ${data.grade[i]}` : ", no grade"}`;
    const told = composite === null ? said : `${said}, composite ${Math.round(composite)}`;
    return el("span", { class: `verdict ${data.light[i]}`, tabindex: "0", role: "note",
      "aria-label": `${told}. ${data.note[i]}`, "data-why": `${told}. ${data.note[i]}` },
      el("span", { class: "lamp", "aria-hidden": "true" }),
      el("b", {}, data.grade[i] || "–"), composite === null ? "" : ` ${Math.round(composite)}`);
  }
  function spark(i) {
    if (!sparks.has(i)) sparks.set(i, drawnSpark(i));
    return sparks.get(i);
  }
  function drawnSpark(i) {
    const logs = Array.from(growth(returns(i).net), (v) => (v > 0 ? Math.log(v) : NaN));
    const known = [0, ...logs].filter((v) => !Number.isNaN(v));
    if (known.length < 3) return nothing(reason("returns", i) || "fewer than two months");
    const low = Math.min(...known), high = Math.max(...known), all = [0, ...logs];
    const size = Math.min(POINTS, all.length);
    const at = Array.from({ length: size }, (_, k) => Math.round((k * (all.length - 1)) / (size - 1)));
    const line = at.filter((k) => !Number.isNaN(all[k])).map((k) =>
      `${(1 + (110 * k) / (all.length - 1)).toFixed(1)},${(25 - (22 * (all[k] - low)) / (high - low || 1)).toFixed(1)}`);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const end = growth(returns(i).net).at(-1);
    for (const [name, value] of Object.entries({ viewBox: "0 0 112 28", class: "spark", role: "img",
      "aria-label": `NAV ended at ${end.toFixed(2)}` })) svg.setAttribute(name, value);
    const path = document.createElementNS(svg.namespaceURI, "polyline");
    path.setAttribute("points", line.join(" "));
    svg.append(path);
    return svg;
  }
  function makeRow(i) {
    const id = `pick-${i}`, picked = state.picks.includes(i), sweep = data.sweeps[i];
    const box = el("input", { type: "checkbox", id, "data-pick": i, "aria-label": `Compare ${data.names[i]}` });
    box.checked = picked;
    const link = data.links[i];
    const name = link ? el("a", { href: link }, data.names[i])
      : el("span", { tabindex: "0", "data-why": `No tear sheet: ${reason("link", i)}` }, data.names[i]);
    const cells = [el("td", { class: "pick" }, el("label", { for: id }, box)),
      el("th", { scope: "row", class: "name", title: sweep ? `${sweep}: ${data.names[i]}` : data.names[i] },
        sweep ? el("div", { class: "two" }, el("span", { class: "sweep" }, `${sweep} `), name) : el("div", { class: "clip" }, name)),
      el("td", {}, verdict(i)), el("td", {}, spark(i))];
    for (const column of state.columns) {
      const value = data.values[column][i];
      cells.push(el("td", { class: "number" }, value === null ? nothing(reason(column, i))
        : write(described.get(column).format, value)));
    }
    return el("tr", picked ? { class: "on" } : {}, ...cells);
  }
  function drawRows(again = false, from = scroller.scrollTop) {
    let first = Math.max(0, Math.floor(from / ROW) - SPARE);
    let last = Math.min(order.length, Math.ceil((from + seen) / ROW) + SPARE);
    if (everyRow) [first, last] = [0, order.length];
    const held = document.activeElement, within = body.contains(held);
    const kept = new Map();
    const rows = order.slice(first, last).map((i, k) => {
      const row = (!again && shownRows.get(i)) || makeRow(i);
      row.setAttribute("aria-rowindex", first + k + 2);
      kept.set(i, row);
      return row;
    });
    const space = (n) => el("tr", { class: "space", "aria-hidden": "true", style: `height:${n * ROW}px` });
    const none = order.length ? [] : [el("tr", {}, el("td", { class: "none", colspan: heads().length },
      "No experiment matches the filter."))];
    body.replaceChildren(space(first), ...rows, ...none, space(order.length - last));
    shownRows = kept;
    if (within) (held.isConnected ? held : $(held.id) || scroller).focus({ preventScroll: true });
  }
  function tell(unknown) {
    const parts = [`${order.length.toLocaleString("en")} of ${count.toLocaleString("en")} shown`];
    if (unknown.length) parts.push(`no figure is called ${unknown.join(", ")}`);
    if (lost) parts.push(`${lost} picked in the address ${lost === 1 ? "is" : "are"} not in this month`);
    $("told").textContent = parts.join("; ");
  }
  function refresh({ address = true, top = true } = {}) {
    const { kept, unknown } = filtered();
    order = sorted(kept);
    table.setAttribute("aria-rowcount", order.length + 1);
    if (drawnHead === state.columns.join()) markSort();
    else drawHead();
    if (top) {
      scroller.scrollTop = 0;
      drawRows(true, 0);
    } else drawRows(true);
    tell(unknown);
    if (address) writeAddress();
  }
  function showPicks() {
    const full = state.picks.length >= data.most;
    $("tray").hidden = !state.picks.length;
    $("picked").textContent = `${state.picks.length} of ${data.most} picked${full ? ": no more fit" : ""}`;
    lab.compare(state.picks);
  }
  function pick(i, on) {
    if (on && state.picks.length >= data.most) return false;
    state.picks = on ? [...state.picks, i] : state.picks.filter((each) => each !== i);
    const row = shownRows.get(i);
    if (row) {
      row.classList.toggle("on", on);
      row.querySelector("input").checked = on;
    }
    writeAddress();
    showPicks();
    return true;
  }

  // ---- what the reader does
  function listen() {
    let due = 0;
    scroller.addEventListener("scroll", () => {
      cancelAnimationFrame(due);
      due = requestAnimationFrame(() => drawRows());
    });
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-sort]");
      if (!button) return;
      const name = button.dataset.sort, falls = name !== "name";
      state.rising = state.sort === name ? !state.rising : !falls;
      state.sort = name;
      refresh();
    });
    body.addEventListener("change", (event) => {
      const box = event.target;
      if (box.dataset.pick !== undefined && !pick(Number(box.dataset.pick), box.checked)) box.checked = false;
    });
    let later = 0;
    $("query").addEventListener("input", () => {
      clearTimeout(later);
      later = setTimeout(() => { state.query = $("query").value; lost = 0; refresh(); }, 80);
    });
    $("controls").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = $("figure").value;
      const said = [[">=", $("least")], ["<=", $("most")]].filter(([, box]) => box.value.trim())
        .map(([sign, box]) => `${name} ${sign} ${box.value.trim().replace(",", ".")}`);
      if (said.length) state.query = [state.query.trim(), ...said].filter(Boolean).join(" ");
      $("least").value = $("most").value = "";
      $("ranges").open = false;
      $("query").value = state.query;
      refresh();
    });
    $("columns").addEventListener("change", () => {
      state.columns = [...$("columns").querySelectorAll("input:checked")].map((box) => box.value);
      refresh({ top: false });
    });
    $("reset").addEventListener("click", () => { state = fresh(); lost = 0; show(); writeAddress(); });
    $("clear").addEventListener("click", () => { state.picks = []; writeAddress(); drawRows(true); showPicks(); $("query").focus(); });
    document.addEventListener("click", (event) => {
      const jump = event.target.closest("[data-jump]");
      if (jump) { // the hash holds the state: a jump must not replace it
        event.preventDefault();
        $(jump.dataset.jump).scrollIntoView();
        $(jump.dataset.jump).focus({ preventScroll: true });
      }
      for (const each of document.querySelectorAll(".controls details[open]"))
        if (!each.contains(event.target)) each.open = false;
    });
    window.addEventListener("hashchange", () => { readAddress(); show(); });
    window.addEventListener("resize", () => { measure(); drawHead(); drawRows(); });
    window.addEventListener("beforeprint", () => { everyRow = true; drawRows(); });
    window.addEventListener("afterprint", () => { everyRow = false; drawRows(); });
    tips();
  }
  function tips() {
    const tip = $("tip");
    const hide = () => { tip.hidden = true; };
    const say = (event) => {
      const about = event.target.closest?.("[data-why]");
      if (!about) return hide();
      tip.textContent = about.dataset.why;
      tip.hidden = false;
      const box = about.getBoundingClientRect(), { offsetWidth: wide, offsetHeight: tall } = tip;
      tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - wide - 8))}px`;
      tip.style.top = `${box.bottom + tall + 8 < innerHeight ? box.bottom + 6 : box.top - tall - 6}px`;
    };
    for (const name of ["mouseover", "focusin"]) document.addEventListener(name, say);
    for (const name of ["focusout", "scroll"]) document.addEventListener(name, hide, true);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  }
  function show() {
    $("query").value = state.query;
    for (const box of $("columns").querySelectorAll("input")) box.checked = state.columns.includes(box.value);
    refresh({ address: false });
    showPicks();
  }
  function begin() {
    const choices = [{ name: "composite", label: "Composite" }, ...data.figures];
    $("figure").append(...choices.map((each) => el("option", { value: each.name }, `${each.label} (${each.name})`)));
    $("columns").querySelector("fieldset").append(...data.figures.map((each) =>
      el("label", {}, el("input", { type: "checkbox", value: each.name }), ` ${each.label}`)));
    readAddress();
    measure();
    listen();
    show();
  }
  return { data, el, write, returns, growth, reason, nothing, pick, begin, compare: () => {} };
})();
