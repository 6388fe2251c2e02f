// What stands around the diagram: the text with what is said of it in place, the table of layers, masks, the model.
const panels = (() => {
  const at = (id) => document.getElementById(id);

  function make(tag, text, kind) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  // ---------------------------------------------------------------- the text

  function showText(contents) {
    const pane = at("text"), before = pane.scrollTop, lines = contents.text.split("\n");
    if (lines.length > 1 && lines[lines.length - 1] === "") lines.pop();
    const own = contents.file;
    const said = new Map(), marks = new Map();
    const elsewhere = [];
    for (const it of contents.diagnostics) {
      const isHere = it.primary && it.primary.file === own;
      if (!isHere) elsewhere.push(it);
      else {
        const line = Math.min(it.primary.start.line, lines.length);
        said.set(line, [...(said.get(line) || []), it]);
      }
      for (const [label, kind] of [[it.primary, it.severity], ...it.secondary.map((other) => [other, "beside"])]) {
        if (label && label.file === own) markOut(marks, label, kind, lines);
      }
    }
    const shown = elsewhere.map((it) => saying(it, true));
    lines.forEach((line, index) => {
      const row = make("div", undefined, "code");
      row.dataset.line = index + 1;
      row.style.setProperty("--hang", `${line.match(/^ */)[0].length + 2}ch`);
      fill(row, line, marks.get(index + 1) || []);
      row.addEventListener("click", () => page.chooseLine(index + 1));
      shown.push(row, ...(said.get(index + 1) || []).map((it) => saying(it, false)));
    });
    if (contents.more) shown.push(make("p", `… and ${contents.more} more`, "said"));
    pane.replaceChildren(...shown);
    pane.scrollTop = before;
  }

  /* Note on each line that a label covers from which column to which; columns count characters, from 1. */
  function markOut(marks, label, kind, lines) {
    for (let line = label.start.line; line <= Math.min(label.end.line, lines.length); line++) {
      const from = line === label.start.line ? label.start.column - 1 : 0;
      const to = line === label.end.line ? label.end.column - 1 : [...lines[line - 1]].length;
      const mark = { from, to: Math.max(to, from + 1), kind, text: label.text };
      marks.set(line, [...(marks.get(line) || []), mark]);
    }
  }

  function fill(row, line, marks) {
    const letters = [...line], ends = new Set([0, letters.length]);
    for (const mark of marks) { ends.add(Math.min(mark.from, letters.length)); ends.add(Math.min(mark.to, letters.length)); }
    const sorted = [...ends].sort((a, b) => a - b);
    for (let i = 0; i + 1 < sorted.length; i++) {
      const text = letters.slice(sorted[i], sorted[i + 1]).join("");
      const over = marks.filter((mark) => mark.from <= sorted[i] && mark.to >= sorted[i + 1]);
      const mark = over.find((it) => it.kind !== "beside") || over[0];
      const piece = mark ? make("mark", text, mark.kind) : document.createTextNode(text);
      if (mark && mark.text) piece.title = mark.text;
      row.append(piece);
    }
    if (!letters.length) row.append(marks.length ? make("mark", " ", marks[0].kind) : " ");
  }

  function saying(it, withPlace) {
    const box = make("div", undefined, `said ${it.severity}`);
    box.append(make("b", `${it.severity}[${it.code}]`), `: ${it.message}`);
    if (withPlace && it.primary) box.append(make("p", `${it.primary.file}:${it.primary.start.line}`, "place"));
    if (it.primary && it.primary.text) box.append(make("p", it.primary.text));
    for (const label of it.secondary) box.append(make("p", `line ${label.start.line}: ${label.text}`));
    for (const note of it.notes) box.append(make("p", `note: ${note}`));
    for (const help of it.helps) box.append(make("p", `help: ${help}`));
    return box;
  }

  // ---------------------------------------------------------------- layers

  function showLayers(model) {
    const table = make("table"), head = make("tr"), body = make("tbody");
    head.append(...model.headings.map((text) => { const th = make("th", text); th.scope = "col"; return th; }));
    for (const layer of model.layers) {
      const row = make("tr");
      row.append(make("td", layer.label), ...layer.cells.map((text) => make("td", text)));
      row.cells[1].title = layer.cells[0];
      if (layer.path) {
        row.dataset.path = layer.path;
        row.dataset.line = layer.line;
        row.title = layer.path + (layer.line ? ` · line ${layer.line}` : "");
        row.addEventListener("click", () => page.choose(layer, "layers"));
      }
      body.append(row);
    }
    const top = make("thead");
    top.append(head);
    table.append(top, body);
    at("layers").replaceChildren(table, ...model.remarks.map((it) => make("p", it, "soft")));
  }

  // ---------------------------------------------------------------- masks

  const COLOURS = { 1: [32, 84, 160], 0: [255, 255, 255], "?": [196, 196, 196] };

  function showMasks(model) {
    if (!model.masks.length) {
      at("masks").replaceChildren(make("p", "No attention in this model has a mask."));
      return;
    }
    const all = make("div", undefined, "masks");
    for (const mask of model.masks) all.append(maskFigure(mask));
    const legend = "Rows are queries q, columns keys k, both from their first: dark may be attended to, white not, grey depends on data.";
    at("masks").replaceChildren(make("p", legend, "soft"), all);
  }

  function maskFigure(mask) {
    const figure = make("figure"), canvas = make("canvas"), caption = make("figcaption");
    const high = mask.rows.length, wide = mask.rows[0] ? mask.rows[0].length : 0;
    canvas.width = wide;
    canvas.height = high;
    canvas.style.height = high === 1 ? "16px" : `${Math.max(16, Math.round(144 * high / Math.max(wide, 1)))}px`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `mask ${mask.formula}: ${mask.words.join(", ")}`);
    const pixels = new ImageData(Math.max(wide, 1), Math.max(high, 1));
    mask.rows.forEach((row, y) => [...row].forEach((sign, x) => pixels.data.set([...COLOURS[sign], 255], 4 * (y * wide + x))));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    caption.append(make("code", mask.formula), make("div", mask.words.join(" · ")));
    const [down, across] = mask.steps;
    if (down > 1 || across > 1) caption.append(make("div", `each cell is one of ${down} × ${across} places`, "soft"));
    for (const layer of mask.layers) {
      const place = make("button", layer.path || "outside layers", "place");
      place.type = "button";
      place.addEventListener("click", () => page.choose(layer, "masks"));
      caption.append(place, " ");
    }
    figure.append(canvas, caption);
    return figure;
  }

  // ---------------------------------------------------------------- the model

  function showModel(model) {
    const shown = [];
    if (model.doc) shown.push(make("p", model.doc));
    shown.push(make("h2", "hyperparameters"), pairs(model.hyperparameters));
    shown.push(make("h2", "sizes of the inputs"), pairs(model.sizes.map((it) => [it.name, `${it.value.toLocaleString("en")}${it.reason ? ` (${it.reason})` : ""}`])));
    shown.push(make("h2", "in all"), pairs(model.totals.map(([name, value, remark]) => [name, `${value}   ${remark}`])));
    at("model").replaceChildren(...shown);
  }

  function pairs(entries) {
    const table = make("table");
    for (const [name, value] of entries) {
      const row = make("tr"), said = make("td", value);
      said.style.whiteSpace = "normal";
      row.append(make("td", name), said);
      table.append(row);
    }
    return table;
  }

  const tabs = [...document.querySelectorAll("[data-panel]")];
  function tab(name) {
    for (const it of tabs) {
      it.setAttribute("aria-selected", String(it.dataset.panel === name));
      at(it.dataset.panel).hidden = it.dataset.panel !== name;
    }
  }
  for (const it of tabs) it.addEventListener("click", () => tab(it.dataset.panel));
  tab("layers");

  return {
    showText,
    showLayers,
    showMasks,
    showModel,
    codeLines: () => [...document.querySelectorAll("#text .code")],
    rows: () => [...document.querySelectorAll("#layers tbody tr")],
  };
})();
