// @ts-check
/** A drawing that answers: values under the pointer, sliders, zoom, and sums of what is selected. */

/** @type {WeakSet<SVGSVGElement>} */
const LIVELY = new WeakSet();
const SVG = "http://www.w3.org/2000/svg";
const KEYS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0],
  ArrowUp: [0, -1], ArrowDown: [0, 1] });

/** @typedef {(at: number[]) => void} Chosen */

class Live {
  /** @param {SVGSVGElement} svg @param {Chosen} [chosen] told the numbers of the values that are selected */
  constructor(svg, chosen) {
    this.svg = svg;
    this.chosen = chosen;
    this.lang = svg.getAttribute("lang")?.startsWith("zh") ? "zh" : "en";
    this.whole = { x: 0, y: 0, w: svg.viewBox.baseVal.width, h: svg.viewBox.baseVal.height };
    this.view = { ...this.whole };
    /** @type {Field | null} */
    this.field = null;
    this.cursor = this.anchor = -1;
    /** @type {number[]} */
    this.picked = [];
    this.moving = false;
    this.host = document.createElement("div");
    this.host.className = "pellucid-live";
    this.root = this.host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.root.adoptedStyleSheets = [sheet];
    this.told = made("output", { "aria-live": "polite" });
    this.surface = made("div", { class: "surface", tabindex: "0", role: "application",
      "aria-label": said(this.lang, "explore") });
    this.marks = document.createElementNS(SVG, "svg");
    this.marks.setAttribute("class", "marks");
    this.marks.setAttribute("aria-hidden", "true");
    this.strip = made("div", { class: "strip", role: "group", "aria-label": svg.querySelector("title")?.textContent ?? "" });
  }

  /** Finds what the drawing tells and puts the controls below it. */
  async start() {
    this.field = await fieldOf(this.svg, this.lang);
    const map = /** @type {SVGImageElement | null} */ (this.svg.querySelector("image[data-layer=values]"));
    const limit = Number(this.svg.getAttribute("data-limit")) || 0;
    this.strip.append(this.told);
    if (map) this.slider("opacity", 1, (v) => { map.style.opacity = String(v); });
    if (this.field?.sums && limit) this.slider("threshold", 0, (v) => this.hide(map, v * limit));
    this.strip.append(this.buttons());
    const more = picker(this.svg, this.lang, this.told) ?? wiper(this.svg, this.lang);
    if (more) this.strip.append(more);
    const absent = fontLine(this.svg, this.lang);
    if (absent) this.strip.append(absent);
    this.root.append(this.marks, ...(this.field ? [this.surface] : []), this.strip);
    this.svg.after(this.host);
    this.colours();
    this.listen();
    this.say();
    new ResizeObserver(() => this.lay()).observe(this.svg);
    this.lay();
  }

  /** The drawing's own colours, so that controls are dark where it is. */
  colours() {
    const own = getComputedStyle(this.svg);
    for (const name of ["--ink", "--soft", "--rule", "--ground", "--well", "--neg"]) {
      this.host.style.setProperty(name, own.getPropertyValue(name));
    }
  }

  /** @param {string} key @param {number} value @param {(value: number) => void} changed */
  slider(key, value, changed) {
    const input = /** @type {HTMLInputElement} */ (made("input", { type: "range", min: "0", max: "1", step: "0.01",
      value: String(value), name: key }));
    input.addEventListener("input", () => changed(Number(input.value)));
    this.strip.append(made("label", {}, said(this.lang, key), input));
  }

  buttons() {
    const button = (/** @type {string} */ sign, /** @type {string} */ key, /** @type {() => void} */ act) => {
      const b = made("button", { type: "button", "aria-label": said(this.lang, key), title: said(this.lang, key) }, sign);
      b.addEventListener("click", act);
      return b;
    };
    const move = button("✥", "move", () => {
      this.moving = !this.moving;
      move.setAttribute("aria-pressed", String(this.moving));
      this.surface.classList.toggle("moving", this.moving);
    });
    move.setAttribute("aria-pressed", "false");
    return made("span", { class: "buttons" }, button("−", "zoomOut", () => this.zoom(1 / 1.5)),
      button("+", "zoomIn", () => this.zoom(1.5)), button("⤢", "whole", () => this.zoom(0)), ...(this.field ? [move] : []));
  }

  /** Hides what is smaller than a size. @param {SVGImageElement | null} map @param {number} least */
  hide(map, least) {
    const field = this.field;
    if (!field) return;
    if (!map) {
      for (const rect of /** @type {NodeListOf<SVGElement>} */ (this.svg.querySelectorAll("rect[data-at]"))) {
        rect.style.visibility = Math.abs(field.value(Number(rect.getAttribute("data-at"))).value) < least ? "hidden" : "";
      }
      return;
    }
    let clip = this.svg.querySelector("clipPath[data-live]");
    if (!clip) {
      clip = document.createElementNS(SVG, "clipPath");
      clip.setAttribute("data-live", "");
      clip.id = `${this.svg.id}-live`;
      map.before(clip);
      clip.append(document.createElementNS(SVG, "path"));
    }
    if (least <= 0) {
      map.removeAttribute("clip-path");
      return;
    }
    let d = "";
    const own = place(map), at = shifted(map, this.svg), [dx, dy] = [own.x - at.x, own.y - at.y];
    for (let k = 0; k < field.count; k++) {
      if (!(Math.abs(field.value(k).value) >= least)) continue;
      for (const b of field.boxes(k)) d += `M${b.x + dx} ${b.y + dy}h${b.w}v${b.h}h${-b.w}z`;
    }
    clip.firstElementChild?.setAttribute("d", d);
    map.setAttribute("clip-path", `url(#${clip.id})`);
  }

  /** Larger by a factor about the cursor or the middle; all of it for 0. @param {number} factor */
  zoom(factor) {
    const box = this.cursor >= 0 && this.field ? this.field.boxes(this.cursor)[0] : this.view;
    const [x, y] = [box.x + box.w / 2, box.y + box.h / 2], { whole } = this;
    const w = factor ? Math.min(Math.max(this.view.w / factor, whole.w / 12), whole.w) : whole.w, h = w * whole.h / whole.w;
    this.view = { x: within(x - w / 2, 0, whole.w - w), y: within(y - h / 2, 0, whole.h - h), w, h };
    this.look();
  }

  look() {
    const { x, y, w, h } = this.view;
    this.svg.setAttribute("viewBox", `${x} ${y} ${w} ${h}`);
    this.lay();
  }

  /** Puts the surface over the values, wherever the page has moved or scaled the drawing. */
  lay() {
    const box = this.svg.getBoundingClientRect();
    this.host.hidden = !box.width;
    if (!box.width) return;
    const top = box.top - this.host.getBoundingClientRect().top, scale = box.width / this.view.w;
    Object.assign(this.marks.style, { top: `${top}px`, width: `${box.width}px`, height: `${box.height}px` });
    this.marks.setAttribute("viewBox", `${this.view.x} ${this.view.y} ${this.view.w} ${this.view.h}`);
    if (!this.field) return;
    const f = this.field.box, left = within((f.x - this.view.x) * scale, 0, box.width);
    const up = within((f.y - this.view.y) * scale, 0, box.height);
    Object.assign(this.surface.style, { left: `${left}px`, top: `${top + up}px`,
      width: `${within((f.x + f.w - this.view.x) * scale, 0, box.width) - left}px`,
      height: `${within((f.y + f.h - this.view.y) * scale, 0, box.height) - up}px` });
    this.mark();
  }

  /** The drawing's units under the pointer. @param {PointerEvent} e */
  under(e) {
    const box = this.svg.getBoundingClientRect(), scale = this.view.w / box.width;
    return [this.view.x + (e.clientX - box.left) * scale, this.view.y + (e.clientY - box.top) * scale];
  }

  listen() {
    const { surface, field } = this;
    if (!field) return;
    let dragging = false;
    surface.addEventListener("pointerdown", (e) => {
      dragging = true;
      surface.setPointerCapture(e.pointerId);
      if (this.moving) return;
      this.anchor = this.cursor = field.hit(...this.pair(e));
      this.pick([]);
    });
    surface.addEventListener("pointermove", (e) => {
      if (dragging && this.moving) {
        const scale = this.view.w / this.svg.getBoundingClientRect().width;
        this.view.x = within(this.view.x - e.movementX * scale, 0, this.whole.w - this.view.w);
        this.view.y = within(this.view.y - e.movementY * scale, 0, this.whole.h - this.view.h);
        this.look();
        return;
      }
      const at = field.hit(...this.pair(e));
      if (at < 0 && dragging) return;
      this.cursor = at;
      if (dragging && this.anchor >= 0 && at >= 0 && at !== this.anchor) this.pick(field.between(this.anchor, at));
      else { this.mark(); this.say(); }
    });
    const end = () => { dragging = false; };
    surface.addEventListener("pointerup", end);
    surface.addEventListener("pointercancel", () => { // the finger scrolled the page
      end();
      this.pick([]);
    });
    surface.addEventListener("keydown", (e) => this.key(/** @type {KeyboardEvent} */ (e)));
    surface.addEventListener("wheel", (e) => {
      if (!e.ctrlKey) return;
      e.preventDefault();
      this.zoom(e.deltaY < 0 ? 1.2 : 1 / 1.2);
    }, { passive: false });
  }

  /** @param {PointerEvent} e @returns {[number, number]} */
  pair(e) {
    const [x, y] = this.under(e);
    return [x, y];
  }

  /** @param {KeyboardEvent} e */
  key(e) {
    const field = /** @type {Field} */ (this.field), step = KEYS[e.key];
    if (e.key === "Escape") { this.anchor = -1; this.pick([]); return; }
    if (e.key === "+" || e.key === "=") { this.zoom(1.5); return; }
    if (e.key === "-") { this.zoom(1 / 1.5); return; }
    if (e.key === "0") { this.zoom(0); return; }
    if (!step) return;
    e.preventDefault();
    if (e.shiftKey && this.anchor < 0) this.anchor = this.cursor;
    this.cursor = this.cursor < 0 ? field.first : field.next(this.cursor, ...step);
    if (e.shiftKey && this.anchor >= 0) this.pick(field.between(this.anchor, this.cursor));
    else { this.anchor = this.cursor; this.pick([]); }
  }

  /** @param {number[]} at */
  pick(at) {
    this.picked = at;
    this.chosen?.(at);
    this.mark();
    this.say();
  }

  mark() {
    const field = /** @type {Field} */ (this.field);
    /** @type {SVGElement[]} */
    const shapes = [];
    const rect = (/** @type {Box} */ b, /** @type {string} */ kind) => {
      const r = document.createElementNS(SVG, "rect");
      for (const [name, value] of Object.entries({ x: b.x, y: b.y, width: b.w, height: b.h, class: kind })) {
        r.setAttribute(name, String(value));
      }
      shapes.push(r);
    };
    for (const at of this.picked.slice(0, 4000)) for (const b of field.boxes(at)) rect(b, "chosen");
    if (this.cursor >= 0) for (const b of field.boxes(this.cursor)) { rect(b, "halo"); rect(b, "cursor"); }
    this.marks.replaceChildren(...shapes);
  }

  /** Says the value under the cursor, or the sum of what is selected. */
  say() {
    const { field, lang } = this;
    if (!field) return;
    if (this.picked.length > 1) {
      const found = this.picked.map((at) => field.value(at)), n = found.length;
      if (!field.sums) { this.tell(said(lang, "selected", { n })); return; }
      const sum = found.reduce((s, v) => s + (v.value || 0), 0);
      const known = found.every((v) => v.half !== null) && found.some((v) => v.half);
      const a = Math.sqrt(found.reduce((s, v) => s + (v.half ?? 0) ** 2, 0)), b = found.reduce((s, v) => s + (v.half ?? 0), 0);
      this.tell(said(lang, "sum", { n, v: written(sum) }), known ? said(lang, "apart", { a: written(a, false),
        b: written(b, false) }) : "");
      return;
    }
    if (this.cursor < 0) { this.tell("", said(lang, "point")); return; }
    const { name, value, half } = field.value(this.cursor);
    this.tell(`${name}: ${Number.isFinite(value) ? written(value) : said(lang, "nothing")}`,
      half ? `± ${written(half, false)}` : "");
  }

  /** @param {string} strong @param {string} [more] */
  tell(strong, more = "") {
    this.told.replaceChildren(...(strong ? [made("b", {}, strong)] : []), strong && more ? " " : "", more);
  }
}

/** Makes every drawing under a node live. @param {ParentNode} root */
function enhance(root) {
  for (const svg of /** @type {NodeListOf<SVGSVGElement>} */ (root.querySelectorAll("svg[data-kind]"))) {
    if (LIVELY.has(svg)) continue;
    LIVELY.add(svg);
    lent(svg);
    shown(svg, () => void new Live(svg).start().then(fitted));
  }
}

/** A drawing for narrow windows has the numbers of the one for wide windows. @param {SVGSVGElement} svg */
function lent(svg) {
  const like = document.getElementById(svg.getAttribute("data-like") ?? "");
  if (!like) return;
  for (const name of ["data-values", "data-error"]) {
    const value = like.getAttribute(name);
    if (value !== null) svg.setAttribute(name, value);
  }
}

/** Acts when a drawing takes room for the first time. @param {SVGSVGElement} svg @param {() => void} act */
function shown(svg, act) {
  const watch = new ResizeObserver(() => {
    if (!svg.getBoundingClientRect().width) return;
    watch.disconnect();
    act();
  });
  watch.observe(svg);
}

/** A page in a frame of a notebook makes the frame as tall as it is. */
function fitted() {
  const frame = window.frameElement, whole = document.documentElement;
  if (!frame || !whole.hasAttribute("data-framed")) return;
  const fit = () => frame.setAttribute("height", String(Math.ceil(document.body.scrollHeight) + 4));
  new ResizeObserver(fit).observe(document.body);
  fit();
}

/**
 * A notebook's widget: draws the model's `svg` and says in `selected` which values are.
 * @param {{model: {get(name: string): any, set(name: string, value: any): void, save_changes(): void,
 *   on(name: string, act: () => void): void}, el: HTMLElement}} given
 */
function render({ model, el }) {
  const show = () => {
    const svg = new DOMParser().parseFromString(model.get("svg"), "image/svg+xml").documentElement;
    el.replaceChildren(document.importNode(svg, true));
    const drawn = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (el.firstElementChild));
    LIVELY.add(drawn);
    void new Live(drawn, (at) => { model.set("selected", at); model.save_changes(); }).start();
  };
  model.on("change:svg", show);
  show();
}

export { enhance, render };
export default { render };
