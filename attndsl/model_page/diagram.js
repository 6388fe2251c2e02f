// The diagram: what Graphviz drew, with boxes that open, frames that close, and a window onto it that zooms and moves.
const diagram = (() => {
  const pane = document.getElementById("diagram");
  const READABLE = 0.8;  // pixels to a point, at least, unless the whole is asked for
  let svg = null, view = null, whole = null, part = null, isBegun = true, asNumbers = false;
  const parts = [];  // of the drawing: {group, title, path, line, words}

  /* Show a view; `toward` is the address of a layer to look at. */
  function show(next, toward) {
    view = next;
    const read = new DOMParser().parseFromString(view.svg, "image/svg+xml").documentElement;
    pane.replaceChildren(document.importNode(read, true));
    svg = pane.firstChild;
    const [x, y, w, h] = svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
    whole = { x, y, w, h };
    svg.removeAttribute("width");
    svg.removeAttribute("height");
    parts.length = 0;
    for (const group of svg.querySelectorAll("g.node, g.cluster")) equip(group);
    say();
    if (isBegun || !part) begin(); else look(part);
    if (toward) goTo(parts.find((it) => it.path === toward));
  }

  function equip(group) {
    const title = group.querySelector("title").textContent;
    const told = view.boxes[title] || view.frames[title];
    if (!told) return;
    const isBox = title in view.boxes, opens = isBox && told.path && page.opens(told.path);
    const what = { group, title, path: told.path, line: told.line, words: (told.lines || []).join(" ") };
    parts.push(what);
    const place = told.line ? `line ${told.line}` : "";
    const hint = opens ? "a click opens it" : told.closes ? "a click on its name closes it" : "";
    group.querySelector("title").textContent = [told.path || title, place, hint].filter(Boolean).join(" · ");
    if (isBox) {
      if (opens) press(group, "opens", () => page.open(told.path), what);
      else group.addEventListener("click", () => page.choose(what, "diagram"));
    } else if (told.closes) {
      for (const text of group.querySelectorAll("text")) press(text, "closes", () => page.close(told.path), what);
    }
  }

  /* What can be pressed, by a pointer or by Enter; with Alt it is chosen only. */
  function press(element, kind, act, what) {
    element.classList.add(kind);
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
    element.setAttribute("aria-expanded", String(kind === "closes"));
    const go = (event) => { page.choose(what, "diagram"); if (!event.altKey) act(); event.preventDefault(); };
    element.addEventListener("click", go);
    element.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") go(event); });
  }

  /* Say shapes by the names of their axes, or by numbers. */
  function say() {
    for (const group of svg.querySelectorAll("g.node, g.edge")) {
      const named = group.dataset.title || (group.dataset.title = titleOf(group));
      const numbers = view.numbers[named];
      for (const text of numbers ? group.querySelectorAll("text") : []) {
        const names = text.dataset.names || (text.dataset.names = text.textContent);
        const said = Object.keys(numbers).find((it) => names.trim() === it);
        if (said === undefined) continue;
        if (asNumbers && group.classList.contains("edge")) hold(text, group.querySelector("path"));
        text.textContent = asNumbers ? names.replace(said, () => numbers[said]) : names;
      }
    }
  }

  /* Let a label grow away from its arrow. */
  function hold(text, way) {
    if (!way || text.getAttribute("text-anchor") !== "middle") return;
    const box = text.getBBox(), middle = box.x + box.width / 2, length = way.getTotalLength();
    const points = [...Array(41).keys()].map((it) => way.getPointAtLength(length * it / 40));
    const far = (it) => Math.hypot(it.x - middle, it.y - box.y - box.height / 2);
    const nearest = points.reduce((best, it) => (far(it) < far(best) ? it : best)), isRight = nearest.x < middle;
    text.setAttribute("text-anchor", isRight ? "start" : "end");
    text.setAttribute("x", isRight ? box.x : box.x + box.width);
  }

  function titleOf(group) {
    const known = parts.find((it) => it.group === group);
    return known ? known.title : group.querySelector("title").textContent;
  }

  // ---------------------------------------------------------------- the window

  function look(at) {
    part = at;
    svg.setAttribute("viewBox", `${at.x} ${at.y} ${at.w} ${at.h}`);
  }

  /* The whole, or its beginning where the whole would be too small to read. */
  function begin() {
    isBegun = true;
    const shape = pane.clientWidth / Math.max(pane.clientHeight, 1);
    const high = Math.min(Math.max(whole.h, whole.w / shape), pane.clientHeight / READABLE), wide = high * shape;
    const x = wide >= whole.w ? whole.x + (whole.w - wide) / 2
      : Math.min(Math.max(top() - wide / 2, whole.x), whole.x + whole.w - wide);
    look({ x, y: whole.y + Math.min(0, (whole.h - high) / 2), w: wide, h: high });
  }

  /* The middle of what stands at the top. */
  function top() {
    const areas = [...svg.querySelectorAll("g.node")].map(areaOf), first = Math.min(...areas.map((it) => it.y));
    const above = areas.filter((it) => it.y < first + 50);
    return (Math.min(...above.map((it) => it.x)) + Math.max(...above.map((it) => it.x + it.w))) / 2;
  }

  /* Where a group is, in the drawing. */
  function areaOf(group) {
    const box = group.getBBox(), matrix = svg.getScreenCTM().inverse().multiply(group.getScreenCTM());
    const corner = new DOMPoint(box.x, box.y).matrixTransform(matrix);
    return { x: corner.x, y: corner.y, w: box.width * matrix.a, h: box.height * matrix.d };
  }

  function fit() {
    isBegun = false;
    look({ ...whole });
  }

  function move(right, down) {
    isBegun = false;
    const scale = svg.getScreenCTM().a;
    look({ ...part, x: part.x + right / scale, y: part.y + down / scale });
  }

  /* Zoom by a factor, with a point (in the drawing) that stays where it is. */
  function zoom(factor, point) {
    if (!svg) return;
    const wide = Math.min(Math.max(part.w / factor, whole.w / 60), whole.w * 3), ratio = wide / part.w;
    const at = point || { x: part.x + part.w / 2, y: part.y + part.h / 2 };
    isBegun = false;
    look({ x: at.x - (at.x - part.x) * ratio, y: at.y - (at.y - part.y) * ratio, w: wide, h: part.h * ratio });
  }

  function pointOf(event) {
    const matrix = svg.getScreenCTM().inverse();
    return new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
  }

  /* Bring a part of the drawing into the middle, large enough to read. */
  function goTo(what) {
    if (!what) return;
    const box = areaOf(what.group), shape = pane.clientWidth / Math.max(pane.clientHeight, 1);
    const least = Math.max(box.h * 1.15, box.w * 1.15 / shape, Math.min(whole.h, pane.clientHeight));
    const high = Math.min(least, pane.clientHeight / READABLE), above = Math.max(high - box.h, high * 0.1) / 2;
    isBegun = false;
    look({ x: box.x + box.w / 2 - high * shape / 2, y: box.y - above, w: high * shape, h: high });
  }

  pane.addEventListener("wheel", (event) => {
    if (!svg) return;
    event.preventDefault();
    const unit = [1, 20, pane.clientHeight][event.deltaMode];
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(-event.deltaY * unit * 0.004), pointOf(event));
    else if (event.shiftKey && !event.deltaX) move(event.deltaY * unit, 0);
    else move(event.deltaX * unit, event.deltaY * unit);
  }, { passive: false });

  let from = null, moved = false;
  pane.addEventListener("pointerdown", (event) => {
    if (svg && event.button === 0) { from = { x: event.clientX, y: event.clientY, part: { ...part } }; moved = false; }
  });
  window.addEventListener("pointermove", (event) => {
    if (!from) return;
    const right = event.clientX - from.x, down = event.clientY - from.y;
    if (!moved && Math.hypot(right, down) < 5) return;
    moved = true;
    isBegun = false;
    pane.classList.add("dragged");
    const scale = svg.getScreenCTM().a;
    look({ ...from.part, x: from.part.x - right / scale, y: from.part.y - down / scale });
  });
  window.addEventListener("pointerup", () => { from = null; pane.classList.remove("dragged"); });
  pane.addEventListener("click", (event) => { if (moved) { event.stopPropagation(); moved = false; } }, true);
  pane.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || !svg) return;
    const ways = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60] };
    if (event.key in ways) { move(...ways[event.key]); event.preventDefault(); }
    if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") fit();
  });
  document.getElementById("in").addEventListener("click", () => zoom(1.25));
  document.getElementById("out").addEventListener("click", () => zoom(0.8));
  document.getElementById("fit").addEventListener("click", () => svg && fit());

  return {
    show,
    get view() { return view; },
    get parts() { return parts; },
    goTo,
    sayNumbers(yes) { asNumbers = yes; if (svg) say(); },
    /* Instead of a diagram: why there is none. */
    tell(text) {
      const said = document.createElement("p");
      said.textContent = text;
      said.style.padding = "3rem 1rem";
      said.style.whiteSpace = "pre-wrap";
      pane.replaceChildren(said);
      svg = view = null;
      parts.length = 0;
    },
    mark(kind, are) { for (const it of parts) it.group.classList.toggle(kind, are(it)); },
  };
})();
