// @ts-check
/** Small maps made large: one of many picked by layer and name, or two laid over one another. */

/** Full colour's opacity and its curve: what the drawing's palette does, undone. */
const OPAQUE = 0.85, CURVE = 0.85;

/**
 * Values of a map from its colours, to a step of the palette.
 * @param {ImageData} seen
 * @param {number} limit
 */
function decoded(seen, limit) {
  return (/** @type {number} */ at) => {
    const [r, , b, a] = seen.data.slice(4 * at, 4 * at + 4);
    return (r >= b ? 1 : -1) * limit * Math.min(1, (a / 255 / OPAQUE) ** (1 / CURVE));
  };
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
  return { label: made("label", {}, label, select), select };
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
  const frame = made("div", { class: "frame", tabindex: "0", role: "application" }, canvas);
  /** @type {ImageData | null} */
  let seen = null;
  let cell = -1, limit = 1, name = "";
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
    name = `${image.getAttribute("data-group")}, ${image.getAttribute("data-tile")}`;
    [canvas.width, canvas.height] = [drawn.width, drawn.height];
    canvas.getContext("2d")?.putImageData(drawn, 0, 0);
    frame.setAttribute("aria-label", `${said(lang, "enlarged")}: ${name}`);
  };
  const say = () => {
    if (!seen || cell < 0) return;
    const value = decoded(seen, limit)(cell);
    told.textContent = `${name} · ${said(lang, "cell", { r: Math.floor(cell / seen.width) + 1, c: (cell % seen.width) + 1 })
    }: ${said(lang, "about", { v: written(value) })}`;
  };
  frame.addEventListener("pointermove", (e) => {
    const box = canvas.getBoundingClientRect();
    if (!seen) return;
    const c = within(Math.floor((e.clientX - box.x) / box.width * seen.width), 0, seen.width - 1);
    cell = within(Math.floor((e.clientY - box.y) / box.height * seen.height), 0, seen.height - 1) * seen.width + c;
    say();
  });
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
  return made("div", { class: "lens" }, frame, made("div", { class: "side" }, layers.label, tiles.label));
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
  };
  range.addEventListener("input", show);
  menus[0].select.selectedIndex = 0;
  menus[1].select.selectedIndex = 1;
  show();
  return made("div", { class: "lens" }, stage, made("div", { class: "side" }, menus[0].label, menus[1].label,
    made("label", {}, said(lang, "wipe"), range)));
}
