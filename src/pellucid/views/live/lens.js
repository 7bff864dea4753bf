// @ts-check
/** Small maps made large: one of many picked by layer and name, or two laid over one another. */

/**
 * Full colour's opacity and its curve: what the drawing's palette does, undone. Two opacities, in bytes, say that there
 * is no value, and that it lies past the limit.
 */
const OPAQUE = 0.85, CURVE = 0.85, UNKNOWN = 1, BEYOND = 218;

/**
 * A value of a map from its colour, to a step of the palette: NaN where there is none; `past` is the word for one that
 * lies past the limit.
 * @param {ImageData} seen
 * @param {number} limit
 * @param {number} at
 */
function decoded(seen, limit, at) {
  const [r, , b, a] = seen.data.slice(4 * at, 4 * at + 4), sign = r >= b ? 1 : -1;
  const value = a === UNKNOWN ? NaN : sign * limit * Math.min(1, (a / 255 / OPAQUE) ** (1 / CURVE));
  return { value, past: a < BEYOND ? "about" : sign > 0 ? "least" : "most" };
}

/** @param {string} tag @param {Record<string, string>} [attributes] @param {...(Node | string)} inside */
function made(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

/**
 * A menu with its label.
 * @param {string} label
 * @param {string[]} options
 * @param {(value: number) => void} chosen
 * @returns {{label: HTMLElement, select: HTMLSelectElement}}
 */
function menu(label, options, chosen) {
  const select = /** @type {HTMLSelectElement} */ (made("select", {},
    ...options.map((o, k) => made("option", { value: String(k) }, o))));
  select.addEventListener("change", () => chosen(select.selectedIndex));
  Object.assign(select.style, { flex: "1 1 6em", minWidth: "0", maxWidth: "100%" });
  const whole = made("label", {}, label, select);
  Object.assign(whole.style, { maxWidth: "100%", minWidth: "0" });
  return { label: whole, select };
}

/**
 * The lens: a picture, and beside it or below it, where there is no room, what chooses it.
 * @param {HTMLElement} frame
 * @param {...HTMLElement} controls
 */
function laid(frame, ...controls) {
  const side = made("div", { class: "side" }, ...controls), lens = made("div", { class: "lens" }, frame, side);
  Object.assign(lens.style, { gridTemplateColumns: "repeat(auto-fit, minmax(min(100%, 240px), 1fr))", minWidth: "0" });
  Object.assign(frame.style, { maxWidth: "340px", minWidth: "0", width: "100%", boxSizing: "border-box" });
  side.style.minWidth = "0";
  return lens;
}

/**
 * Picks one map of many, by the layer it belongs to and its name, and shows it large; its cells can be read.
 * @param {SVGSVGElement} svg
 * @param {string} lang
 * @param {HTMLElement} told where a cell is said
 * @returns {HTMLElement | null}
 */
function picker(svg, lang, told) {
  const images = [...svg.querySelectorAll("image[data-tile]")].filter((i) => i.getAttribute("data-group"));
  if (images.length < 2) return null;
  const groups = [...new Set(images.map((i) => i.getAttribute("data-group") ?? ""))];
  const canvas = /** @type {HTMLCanvasElement} */ (document.createElement("canvas"));
  const mark = made("div", { "aria-hidden": "true", hidden: "" });
  Object.assign(mark.style, { position: "absolute", pointerEvents: "none", boxSizing: "border-box",
    boxShadow: "0 0 0 2px var(--ink, #16191d), 0 0 0 4px var(--ground, #fff)" });
  canvas.style.minHeight = "24px"; // a single row
  const frame = made("div", { class: "frame", tabindex: "0", role: "application" }, canvas, mark), known = tokens(svg);
  /** @type {ImageData | null} */
  let seen = null;
  let cell = -1, limit = 1, name = "", block = 1, rows = 1, columns = 1, named = false;
  const inside = (/** @type {number} */ g) => images.filter((i) => i.getAttribute("data-group") === groups[g]);
  const tiles = menu(said(lang, "tile"), [], () => show());
  const layers = menu(said(lang, "layer"), groups, (g) => fill(g));

  const fill = (/** @type {number} */ g) => {
    tiles.select.replaceChildren(...inside(g).map((i, k) => made("option", { value: String(k) },
      i.getAttribute("data-tile") ?? "")));
    show();
  };
  const show = async () => {
    const image = inside(layers.select.selectedIndex)[tiles.select.selectedIndex];
    const drawn = await pixels(image.getAttribute("href") ?? "");
    [seen, limit, cell] = [drawn, Number(image.getAttribute("data-limit")) || 1, -1];
    block = Number(image.getAttribute("data-block")) || 1;
    [rows, columns] = JSON.parse(image.getAttribute("data-shape") ?? `[${drawn.height},${drawn.width}]`);
    named = image.hasAttribute("data-named") && known.length === rows && rows === columns;
    mark.hidden = true;
    name = `${image.getAttribute("data-group")}, ${image.getAttribute("data-tile")}`;
    [canvas.width, canvas.height] = [drawn.width, drawn.height];
    canvas.getContext("2d")?.putImageData(drawn, 0, 0);
    frame.setAttribute("aria-label", `${said(lang, "enlarged")}: ${name}`);
  };
  const say = () => {
    if (!seen || cell < 0) return;
    const { width, height } = seen, row = Math.floor(cell / width), column = cell % width;
    Object.assign(mark.style, { left: `${100 * column / width}%`, top: `${100 * row / height}%`, width: `${100 / width}%`,
      height: `${100 / height}%` });
    mark.hidden = false;
    // from one place of the whole map to another: a dot of the picture is a block of values
    const span = (/** @type {number} */ at, /** @type {number} */ end) => [at * block, Math.min((at + 1) * block, end) - 1];
    const range = (/** @type {(string | number)[]} */ [a, b]) => (a === b ? String(a) : `${a}–${b}`);
    const ends = [span(row, rows), span(column, columns)], [r, c] = ends.map((s) => range(s.map((k) => k + 1)));
    const where = said(lang, block === 1 ? "cell" : "cells", { r, c });
    const [from, to] = ends.map((s) => (named ? range(s.map((k) => known[k])) : ""));
    const { value, past } = decoded(seen, limit, cell), figure = said(lang, past, { v: written(value) });
    told.textContent = `${name} · ${where}${named ? `, ${looked(lang, from, to)}` : ""}: ${
      Number.isNaN(value) ? said(lang, "nothing") : block > 1 ? said(lang, "mean", { v: figure }) : figure}`;
  };
  const point = (/** @type {PointerEvent} */ e) => {
    const box = canvas.getBoundingClientRect();
    if (!seen) return;
    const c = within(Math.floor((e.clientX - box.x) / box.width * seen.width), 0, seen.width - 1);
    cell = within(Math.floor((e.clientY - box.y) / box.height * seen.height), 0, seen.height - 1) * seen.width + c;
    say();
  };
  frame.addEventListener("pointermove", point);
  frame.addEventListener("pointerdown", point); // a finger that taps does not move
  frame.addEventListener("keydown", (e) => {
    const step = /** @type {Record<string, number[]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
      ArrowDown: [0, 1] })[e.key];
    if (!step || !seen) return;
    e.preventDefault();
    const c = within((Math.max(cell, 0) % seen.width) + (cell < 0 ? 0 : step[0]), 0, seen.width - 1);
    const r = within(Math.floor(Math.max(cell, 0) / seen.width) + (cell < 0 ? 0 : step[1]), 0, seen.height - 1);
    cell = r * seen.width + c;
    say();
  });
  fill(0);
  return laid(frame, layers.label, tiles.label);
}

/**
 * Two maps of a comparison over one another, parted by a slider.
 * @param {SVGSVGElement} svg
 * @param {string} lang
 * @returns {HTMLElement | null}
 */
function wiper(svg, lang) {
  const groups = [...svg.querySelectorAll("g[data-tile]")].filter((g) => g.querySelector("image"));
  if (groups.length < 2) return null;
  const names = groups.map((g) => g.getAttribute("data-tile") ?? "");
  const stage = made("div", { class: "frame" });
  const range = /** @type {HTMLInputElement} */ (made("input", { type: "range", min: "0", max: "100", value: "50",
    "aria-label": said(lang, "wipe") }));
  const apart = made("p", { role: "status" });
  apart.style.margin = "0";
  const menus = ["before", "after"].map((key) => menu(said(lang, key), names, () => show()));
  const layers = (/** @type {number} */ k) => [...groups[k].querySelectorAll("image")].map((i) => i.getAttribute("href") ?? "");
  const show = () => {
    const [left, right] = menus.map((m) => m.select.selectedIndex);
    const picture = (/** @type {string} */ href, /** @type {string} */ alt, /** @type {boolean} */ over) => made("img",
      { src: href, alt, class: over ? "over" : "" });
    const under = layers(right).map((h, k) => picture(h, k ? names[right] : "", k > 0));
    const above = layers(left).map((h, k) => picture(h, k ? names[left] : "", true));
    for (const image of above) image.style.clipPath = `inset(0 ${100 - Number(range.value)}% 0 0)`;
    stage.replaceChildren(...under, ...above);
    const [a, b] = [left, right].map((k) => written(Number(groups[k].getAttribute("data-limit")), false));
    const same = groups[left].getAttribute("data-scale") === groups[right].getAttribute("data-scale");
    const told = same ? "" : said(lang, "scales", { a, b });
    if (apart.textContent !== told) apart.textContent = told;
  };
  range.addEventListener("input", show);
  menus[0].select.selectedIndex = 0;
  menus[1].select.selectedIndex = 1;
  show();
  return laid(stage, menus[0].label, menus[1].label, made("label", {}, said(lang, "wipe"), range), apart);
}
