// The page: what it was given, what is chosen and open, and, where a server gave it, what the file becomes.
const page = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  let contents = data.contents, open = data.open, everything = data.everything || [], sizes = null, asked = 0, asking = 0, worst = "";

  // ---------------------------------------------------------------- contents

  function take(next) {
    contents = next;
    const model = contents.model;
    at("title").textContent = model ? model.name + (model.variant ? ` ${model.variant}` : "") : contents.name;
    document.title = `${at("title").textContent} · attndsl`;
    const errors = contents.diagnostics.filter((it) => it.severity === "error").length;
    const warnings = contents.diagnostics.length - errors;
    at("state").textContent = errors ? count(errors + contents.more, "error") : warnings ? count(warnings, "warning") : "ok";
    at("state").className = errors ? "wrong" : warnings ? "warn" : "right";
    document.body.classList.toggle("stale", Boolean(model) && !contents.is_current);
    notice(!contents.is_current && model ? "Diagram, layers and masks are those of the last text without errors."
      : contents.sizes_problem);
    panels.showText(contents);
    const first = JSON.stringify(contents.diagnostics.find((it) => it.severity === "error") || "");
    if (first !== worst && errors) document.querySelector("#text .said.error").scrollIntoView({ block: "nearest" });
    worst = first;
    if (model) {
      panels.showLayers(model);
      panels.showMasks(model);
      panels.showModel(model);
      showSizes(model.sizes);
    }
    search();
  }

  const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

  function notice(text) {
    at("notice").textContent = text || "";
    at("notice").hidden = !text;
  }

  // ---------------------------------------------------------------- sizes

  function showSizes(known) {
    const form = at("sizes"), fields = [...form.querySelectorAll("input")];
    if (fields.map((it) => it.name).join() === known.map((it) => it.name).join()) {
      fields.forEach((it, index) => { if (it !== document.activeElement) it.value = known[index].value; });
      return;
    }
    form.replaceChildren(...known.map((size) => {
      const label = document.createElement("label"), field = document.createElement("input");
      field.name = size.name;
      field.value = size.value;
      field.inputMode = "numeric";
      field.disabled = !data.follows;
      field.title = data.follows ? size.reason || "a size of the inputs" : "`attndsl watch` changes sizes; here they are those that the page was made with";
      label.append(`${size.name} `, field);
      return label;
    }));
  }

  at("sizes").addEventListener("submit", (event) => event.preventDefault());
  at("sizes").addEventListener("change", () => {
    const fields = [...at("sizes").querySelectorAll("input")];
    sizes = fields.filter((it) => /^[0-9]+$/.test(it.value)).map((it) => `${it.name}=${it.value}`).join(",");
    at("numbers").checked = true;
    diagram.sayNumbers(true);
    fields.forEach((it) => it.blur());
    ask().then(() => draw(), () => {});  // where the server is gone, the loop that follows the file tells
  });
  at("numbers").addEventListener("change", () => diagram.sayNumbers(at("numbers").checked));

  const withSizes = (path) => path + (sizes === null ? "" : `&sizes=${encodeURIComponent(sizes)}`);

  // ---------------------------------------------------------------- the diagram

  const isInside = (path, outer) => plain(path).startsWith(`${plain(outer)}.`);
  const plain = (path) => path.split(".").filter((part) => part !== "*" && !/^[0-9]+$/.test(part)).join(".");

  /* Draw with these layers open; without a server, the nearest to it that the page has. */
  async function draw(wanted = open, toward = null, needs = null, lacks = null) {
    const turn = ++asked;
    let view;
    if (data.follows) {
      const late = setTimeout(() => { at("drawn").hidden = false; }, 300);
      try {
        view = await (await fetch(withSizes(`view?open=${encodeURIComponent(wanted.join(" "))}`))).json();
      } catch {
        return;
      } finally {
        clearTimeout(late);
        if (turn === asked) at("drawn").hidden = true;
      }
    } else view = nearest(wanted, needs, lacks);
    if (turn !== asked || !view) return;
    if (!view.svg) {
      const said = (view.diagnostics || []).map((it) => [it.message, ...it.notes, ...it.helps].join("\n")).join("\n\n");
      diagram.tell(said || "A diagram appears here once the text is right.");
      return;
    }
    open = view.open;
    diagram.show(view, toward);
    mark();
    search();
  }

  function nearest(wanted, needs, lacks) {
    const fits = (it) => (!needs || it.open.includes(needs)) && (!lacks || !it.open.includes(lacks));
    const common = (it) => it.open.filter((path) => wanted.includes(path)).length;
    const worth = (it) => common(it) - 1.5 * (it.open.length - common(it));
    return Object.values(data.views).filter(fits).sort((a, b) => worth(b) - worth(a))[0];
  }

  at("close").addEventListener("click", () => draw([]));
  at("everything").addEventListener("click", () => draw(data.follows ? ["*"] : everything));

  // ---------------------------------------------------------------- what is chosen

  let chosen = { path: "", line: 0 };

  /* Choose a layer or a line: it is marked wherever it is shown, and shown where it was not chosen. */
  function choose(what, from) {
    chosen = { path: what.path || "", line: what.line || 0 };
    mark();
    const line = panels.codeLines()[chosen.line - 1];
    if (from !== "text" && line) line.scrollIntoView({ block: "nearest" });
    const row = panels.rows().find((it) => it.classList.contains("chosen"));
    if (from !== "layers" && row) row.scrollIntoView({ block: "nearest" });
    if (from !== "diagram") diagram.goTo(shownFor(chosen));
  }

  function chooseLine(line) {
    choose({ line }, "text");
  }

  /* What the address of the page names behind `#`: a line, or a layer. */
  function chooseNamed() {
    const name = decodeURIComponent(location.hash.slice(1));
    const row = panels.rows().find((it) => it.dataset.path === name);
    if (/^[0-9]+$/.test(name)) choose({ line: Number(name) }, "");
    else if (row) choose({ path: name, line: Number(row.dataset.line) }, "");
  }

  window.addEventListener("hashchange", chooseNamed);

  /* The part of the diagram that shows what is chosen, or the closed layer that it lies in. */
  function shownFor(what) {
    const parts = diagram.parts, paths = what.path ? [what.path] : [];
    const exact = parts.find((it) => (what.path ? it.path === what.path : it.line === what.line));
    if (exact || !contents.model) return exact;
    if (!paths.length) paths.push(...contents.model.layers.filter((it) => it.line === what.line).map((it) => it.path));
    const around = parts.filter((it) => it.path && paths.some((path) => path === it.path || isInside(path, it.path)));
    return around.sort((a, b) => b.path.length - a.path.length)[0];
  }

  function mark() {
    const isChosen = (it) => (chosen.path ? it.path === chosen.path : chosen.line > 0 && Number(it.line) === chosen.line);
    const shown = shownFor(chosen);
    diagram.mark("is-chosen", (it) => (chosen.path || chosen.line) && (isChosen(it) || it === shown));
    for (const row of panels.rows()) row.classList.toggle("chosen", isChosen(row.dataset));
    panels.codeLines().forEach((it, index) => it.classList.toggle("chosen", index + 1 === chosen.line));
  }

  // ---------------------------------------------------------------- search

  let turn = -1;

  function search() {
    const word = at("search").value.trim().toLowerCase();
    const has = (...texts) => word !== "" && texts.some((text) => text && text.toLowerCase().includes(word));
    const boxes = diagram.parts.filter((it) => has(it.words, it.path));
    const rows = panels.rows().filter((it) => has(it.dataset.path, it.cells[0].textContent));
    const lines = panels.codeLines().filter((it) => has(it.textContent));
    diagram.mark("is-found", (it) => boxes.includes(it));
    for (const it of panels.rows()) it.classList.toggle("is-found", rows.includes(it));
    for (const it of panels.codeLines()) it.classList.toggle("is-found", lines.includes(it));
    at("found").textContent = word === "" ? "" : `${count(boxes.length, "box").replace("boxs", "boxes")}, ${count(lines.length, "line")}`;
    return { boxes, rows, lines };
  }

  at("search").addEventListener("input", () => { turn = -1; search(); });
  at("search").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { at("search").value = ""; search(); }
    if (event.key !== "Enter") return;
    const { boxes, rows, lines } = search();
    turn += 1;
    if (boxes.length) { diagram.goTo(boxes[turn % boxes.length]); choose(boxes[turn % boxes.length], "diagram"); }
    else if (rows.length) choose({ ...rows[turn % rows.length].dataset, line: Number(rows[turn % rows.length].dataset.line) }, "");
    else if (lines.length) chooseLine(Number(lines[turn % lines.length].dataset.line));
    if (!boxes.length && !rows.length && lines.length) lines[turn % lines.length].scrollIntoView({ block: "nearest" });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !(event.target instanceof HTMLInputElement)) { event.preventDefault(); at("search").focus(); }
  });

  // ---------------------------------------------------------------- following the file

  /* Take the contents at the sizes of now, unless they are asked for again meanwhile. */
  async function ask() {
    const turn = ++asking, next = await (await fetch(withSizes("contents?now"))).json();
    if (turn === asking) take(next);
  }

  async function follow() {
    let isLost = false;
    for (;;) {
      const before = sizes, mine = asking;
      try {
        const answer = await fetch(isLost ? withSizes("contents?now") : withSizes(`contents?since=${contents.version}`));
        if (answer.status === 200) {
          const next = await answer.json();
          isLost = false;
          if (sizes === before && asking === mine) take(next); else await ask();
          await draw();
        } else if (answer.status !== 204) throw new Error(answer.statusText);
      } catch {
        isLost = true;
        notice("`attndsl watch` has ended: this page follows the file no more. It goes on when it is started again on the same port.");
        await new Promise((done) => setTimeout(done, 1000));
      }
    }
  }

  return {
    /* Whether there is a diagram with this layer open. */
    opens: (path) => data.follows || Object.values(data.views).some((it) => it.open.includes(path)),
    choose,
    chooseLine,
    open: (path) => draw([...open, path], path, path),
    close: (path) => draw(open.filter((it) => it !== path && !isInside(it, path)), path, null, path),
    start() {
      take(contents);
      draw().then(() => {
        chooseNamed();
        if (data.follows) follow();
      });
    },
  };
})();
page.start();
