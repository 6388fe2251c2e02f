"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const panel = document.getElementById("panel");
  const NS = "http://www.w3.org/2000/svg";
  let pinned = null, shown = null;

  const make = (name, attributes, text) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // The weights behind a small map, read back from its pixels: from 0 to 1, as shares of the largest of all.
  const read = (address) => new Promise((resolve) => {
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      resolve({ width: canvas.width, pixels: context.getImageData(0, 0, canvas.width, canvas.height).data });
    };
    image.src = address;
  });
  const level = (sum) => {  // the sums fall
    let low = 0, high = 255;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (data.sums[middle] > sum) low = middle + 1; else high = middle;
    }
    return low;
  };
  const share = (found, layer, row, column) => {
    const at = 4 * (row * found.width + column), p = found.pixels;
    return layer.picture ? p[at + 3] / 255 / data.veiled : level(p[at] + p[at + 1] + p[at + 2]) / 255;
  };

  const show = (button) => {
    if (shown === button) return;
    shown = button;
    const [group, place, head] = button.dataset.map.split(" ").map(Number);
    const layer = data.groups[group][place];
    const address = [...button.querySelectorAll("image")].pop().getAttribute("href");
    const close = document.createElement("button");
    close.className = "close";
    close.type = "button";
    close.textContent = "×";
    close.setAttribute("aria-label", "close");
    close.onclick = leave;
    const title = document.createElement("p");
    title.textContent = layer.titles[head];
    const reading = document.createElement("p");
    reading.className = "read";
    panel.replaceChildren(close, title, reading, draw(layer, head, address, reading));
    const at = button.getBoundingClientRect();  // beside what is pointed at, not over it
    panel.classList.toggle("left", at.left + at.width / 2 > window.innerWidth / 2);
    panel.hidden = false;
  };

  const draw = (layer, head, address, reading) => {
    const [rows, columns] = layer.picture ? data.grid : [layer.rows.length, layer.columns.length];
    const [tall, broad] = layer.picture ? data.picture : [rows, columns];
    const cell = layer.picture ? 0 : Math.min(26, Math.max(6, 520 / Math.max(rows, columns)));
    const scale = layer.picture ? 440 / Math.max(tall, broad) : cell;
    const width = broad * scale, height = tall * scale, font = layer.picture ? 0 : Math.min(12, cell + 1);
    const longest = (labels) => Math.max(0, ...labels.map((text) => [...text].length));
    const left = layer.picture ? 1 : 8 + 0.62 * font * longest(layer.rows);
    const top = layer.picture ? 1 : 8 + 0.62 * font * longest(layer.columns);
    const svg = make("svg", { width: left + width + 2, height: top + height + 2, role: "img", "aria-label": layer.titles[head] });
    const box = { x: left, y: top, width, height };
    if (layer.picture) svg.append(make("use", { href: "#picture", ...box }));
    svg.append(make("image", { ...box, href: address, preserveAspectRatio: "none", style: "image-rendering: pixelated" }));
    if (layer.picture) svg.append(lines(columns, rows, box));
    const down = layer.picture ? [] : layer.rows.map((text, i) =>
      make("text", { x: left - 6, y: top + (i + 0.5) * cell + 0.35 * font, "font-size": font, "text-anchor": "end" }, text));
    const across = layer.picture ? [] : layer.columns.map((text, i) => {
      const x = left + (i + 0.5) * cell + 0.35 * font, y = top - 6;
      return make("text", { x, y, "font-size": font, transform: `rotate(-90 ${x} ${y})` }, text);
    });
    svg.append(...down, ...across);
    const mark = make("rect", { fill: "none", stroke: "#b3470b", "stroke-width": 1.5, visibility: "hidden" });
    svg.append(make("rect", { ...box, fill: "none", stroke: "#888" }), mark);
    read(address).then((found) => {
      const high = height / rows, wide = width / columns;
      svg.addEventListener("pointermove", (event) => {
        const at = svg.getBoundingClientRect();
        const column = Math.floor((event.clientX - at.left - left) / wide);
        const row = Math.floor((event.clientY - at.top - top) / high);
        const inside = row >= 0 && column >= 0 && row < rows && column < columns;
        down.forEach((text, i) => text.classList.toggle("at", inside && i === row));
        across.forEach((text, i) => text.classList.toggle("at", inside && i === column));
        mark.setAttribute("visibility", inside ? "visible" : "hidden");
        if (!inside) { reading.textContent = ""; return; }
        const weight = (share(found, layer, row, column) * data.most).toFixed(3);
        reading.textContent = layer.picture
          ? `patch ${row},${column}: ${weight}`
          : `${layer.rows[row]} → ${layer.columns[column]}: ${weight}`;
        for (const [key, value] of Object.entries({ x: left + column * wide, y: top + row * high, width: wide, height: high }))
          mark.setAttribute(key, value);
      });
    });
    return svg;
  };

  // The grid of patches over a picture.
  const lines = (columns, rows, box) => {
    let path = "";
    for (let i = 1; i < columns; i++) path += `M${box.x + i * box.width / columns},${box.y}v${box.height}`;
    for (let i = 1; i < rows; i++) path += `M${box.x},${box.y + i * box.height / rows}h${box.width}`;
    return make("path", { d: path, stroke: "#fff", "stroke-opacity": 0.35, fill: "none" });
  };

  const pin = (button) => {
    if (pinned) pinned.removeAttribute("aria-pressed");
    pinned = button;
    if (button) button.setAttribute("aria-pressed", "true");
  };
  const leave = () => { pin(null); shown = null; panel.hidden = true; };

  for (const button of document.querySelectorAll("button[data-map]")) {
    button.addEventListener("pointerenter", () => { if (!pinned) show(button); });
    button.addEventListener("click", () => {
      if (pinned === button) { leave(); return; }
      pin(button);
      show(button);
    });
  }
  const first = document.querySelector("button[data-map]");
  if (first) show(first);  // tokens can be read before anything is pointed at
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") leave(); });
})();
