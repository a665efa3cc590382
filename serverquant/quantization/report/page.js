"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const W = 240, H = 84; // of a small picture

function make(name, attributes, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return parent.appendChild(made);
}

function short(x) {
  return String(Number(x.toPrecision(3)));
}

// A small picture with a title and lines below it; `draw` gets its svg.
function picture(place, title, lines, draw) {
  const figure = document.getElementById(place).appendChild(document.createElement("figure"));
  draw(make("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title }, figure));
  const caption = figure.appendChild(document.createElement("figcaption"));
  caption.appendChild(document.createElement("b")).textContent = title;
  for (const line of lines) {
    const part = caption.appendChild(document.createElement("div"));
    part.textContent = line.text;
    if (line.cut) part.className = "cut";
  }
}

function histogram(blob) {
  const { lo, width, counts } = blob.histogram;
  const begin = Math.min(lo, blob.range[0]), end = Math.max(lo + width * counts.length, blob.range[1]);
  const x = (value) => ((value - begin) / (end - begin || 1)) * W;
  const most = Math.log1p(Math.max(...counts)) || 1;
  const lines = [
    { text: `range ${short(blob.range[0])} to ${short(blob.range[1])}, seen ${short(blob.seen[0])} to ${short(blob.seen[1])}` },
    { text: `${blob.bits} bits, scale ${short(blob.scale)}, zero point ${blob.zero_point}` },
    { text: `${short(100 * blob.clipped)} % cut`, cut: blob.clipped > 0 },
  ];
  picture("blobs", blob.blob, lines, (svg) => {
    const band = { x: x(blob.range[0]), y: 0, width: x(blob.range[1]) - x(blob.range[0]), height: H, fill: "var(--band)" };
    make("rect", band, svg);
    let inside = "", outside = "";
    counts.forEach((n, i) => {
      if (!n) return;
      const left = lo + i * width, right = left + width;
      const bar = `M${x(left).toFixed(1)} ${H}V${(H - (Math.log1p(n) / most) * (H - 4)).toFixed(1)}H${x(right).toFixed(1)}V${H}Z`;
      if (right <= blob.range[0] || left >= blob.range[1]) outside += bar;
      else inside += bar;
    });
    make("path", { d: inside, fill: "var(--after)" }, svg);
    make("path", { d: outside, fill: "var(--cut)" }, svg);
    make("path", { d: `M${x(0).toFixed(1)} 0V${H}`, stroke: "var(--ink)", "stroke-width": 0.5 }, svg);
  });
}

function channels(weight) {
  const [low, high] = weight.range, top = Math.max(high, ...weight.hi), bottom = Math.min(low, ...weight.lo);
  const y = (value) => H - 2 - ((value - bottom) / (top - bottom || 1)) * (H - 4);
  const lines = [
    { text: `${weight.weight}: ${weight.shape.join(" x ")}` },
    { text: `${weight.bits} bits, ${weight.scales.length > 1 ? "a scale for each channel" : `scale ${short(weight.scales[0])}`}` },
    { text: `channels use ${short(100 * weight.used[0])} to ${short(100 * weight.used[1])} % of their range` },
  ];
  picture("weights", weight.blob, lines, (svg) => {
    make("rect", { x: 0, y: y(high), width: W, height: y(low) - y(high), fill: "var(--band)" }, svg);
    const step = W / weight.hi.length;
    const bars = weight.hi.map((hi, i) => `M${((i + 0.5) * step).toFixed(1)} ${y(weight.lo[i]).toFixed(1)}V${y(hi).toFixed(1)}`);
    make("path", { d: bars.join(""), stroke: "var(--after)", "stroke-width": Math.max(step * 0.7, 0.3) }, svg);
  });
}

// Rows by the values of a column; numbers stand in data-v.
function sortBy(table, column, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? String(a).localeCompare(b) : a - b);
  const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)) * (down ? -1 : 1));
  body.append(...rows);
}

const table = document.getElementById("operators");
[...table.tHead.rows[0].cells].forEach((heading, column) => {
  heading.querySelector("button").addEventListener("click", () => sortBy(table, column, heading));
});

document.getElementById("by").addEventListener("change", (event) => {
  const colours = data.colours[event.target.value];
  document.querySelectorAll("#net rect").forEach((box, i) => box.setAttribute("fill", colours[i]));
});

data.blobs.forEach(histogram);
data.weights.forEach(channels);
