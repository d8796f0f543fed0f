"use strict";
(() => {
  const rank = (cell) => {
    const said = cell ? cell.textContent.trim() : "";
    const read = parseFloat(said.replace(/−/g, "-").replace(/[,+$]/g, ""));
    return /^[−+$-]?\d[\d,.]*(e[+−-]?\d+)?\s*(%|×|bps)?$/.test(said) ? read : said;
  };
  const compare = (a, b) => {
    const [one, other] = [a[0], b[0]];
    if (typeof one === typeof other) {
      return typeof one === "number" ? one - other : one.localeCompare(other, "en");
    }
    return typeof one === "number" ? -1 : 1;
  };
  const unknown = (value) => value === "" || value === "n/a";
  const sort = (table, column, head) => {
    const falls = head.getAttribute("aria-sort") === "descending" ||
      (head.getAttribute("aria-sort") !== "ascending" && head.classList.contains("t"));
    const rows = Array.from(table.tBodies[0].rows, (row) => [rank(row.cells[column]), row]);
    const known = rows.filter((row) => !unknown(row[0])).sort(compare);
    if (!falls) known.reverse();
    const last = rows.filter((row) => unknown(row[0]));
    table.tBodies[0].append(...known.concat(last).map((row) => row[1]));
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", falls ? "ascending" : "descending");
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sort(table, column, head));
    });
  }

  const read = (figure) => {
    const holder = figure.querySelector("table");
    const svg = figure.querySelector("svg");
    if (!holder || !svg) return;
    const names = Array.from(holder.tHead.rows[0].cells, (cell) => cell.textContent);
    const rows = Array.from(holder.tBodies[0].rows);
    const left = +figure.dataset.left, right = +figure.dataset.right;
    const span = figure.dataset.scrub.split(" ").map(Date.parse);
    const is_band = figure.dataset.scrub === "band";
    const places = rows.map((row, k) => {
      const share = is_band ? (k + 0.5) / rows.length :
        (Date.parse(row.dataset.key) - span[0]) / Math.max(1, span[1] - span[0]);
      return left + share * (right - left);
    });
    const words = rows.map((row) => Array.from(row.cells, (cell) => cell.textContent));
    const panel = document.createElement("div");
    panel.className = "read";
    const slider = document.createElement("input");
    slider.type = "range";
    slider.min = 0;
    slider.max = rows.length - 1;
    slider.step = 1;
    slider.setAttribute("aria-label", "Read values: " + svg.querySelector("title").textContent);
    const said = document.createElement("span");
    said.className = "said";
    panel.append(slider, said);
    svg.after(panel);
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y1", 8);
    cursor.setAttribute("y2", svg.viewBox.baseVal.height - 24);
    const show = (k, is_drawn) => {
      slider.value = k;
      const cells = words[k];
      said.replaceChildren();
      const all = [];
      cells.forEach((cell, column) => {
        if (cell === "") return;
        const bold = document.createElement("b");
        bold.textContent = cell;
        if (column) said.append("   " + names[column] + " ");
        said.append(bold);
        all.push(column ? names[column] + " " + cell : cell);
      });
      slider.setAttribute("aria-valuetext", all.join(", "));
      if (!is_drawn) return;
      cursor.setAttribute("x1", places[k]);
      cursor.setAttribute("x2", places[k]);
      if (!cursor.isConnected) svg.append(cursor);
    };
    const point = (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
      let nearest = 0;
      places.forEach((place, k) => {
        if (Math.abs(place - x) < Math.abs(places[nearest] - x)) nearest = k;
      });
      show(nearest, true);
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    slider.addEventListener("input", () => show(+slider.value, true));
    slider.addEventListener("focus", () => show(+slider.value, true));
    show(rows.length - 1, false);
  };
  for (const figure of document.querySelectorAll("figure[data-scrub]")) read(figure);

  const reach = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      const is_cut = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
      if (!is_cut) {
        box.removeAttribute("tabindex");
        continue;
      }
      const caption = box.querySelector("caption");
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      if (caption) box.setAttribute("aria-label", caption.textContent);
    }
  };
  reach();
  addEventListener("resize", reach);
  document.addEventListener("toggle", reach, true);
})();
