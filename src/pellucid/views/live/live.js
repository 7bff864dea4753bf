// @ts-check
/** A drawing that answers: values under the pointer, sliders, zoom, and sums of what is selected. */

/** @type {WeakMap<Element, Live>} */
const LIVES = new WeakMap();
const SVG = "http://www.w3.org/2000/svg";
const KEYS = /** @type {Record<string, [number, number]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0],
  ArrowUp: [0, -1], ArrowDown: [0, 1] });

/** @param {HTMLElement | SVGElement} one @param {number[]} box left, top, width and height in pixels */
const lies = (one, ...box) => ["left", "top", "width", "height"].forEach((name, k) => one.style.setProperty(name,
  `${box[k]}px`));

/** Keys that are the browser's own. @param {KeyboardEvent} e */
const held = (e) => e.ctrlKey || e.altKey || e.metaKey;

class Live {
  /** @param {SVGSVGElement} svg @param {Chosen} [chosen] told the numbers of the values that are selected */
  constructor(svg, chosen) {
    LIVES.set(svg, this);
    this.svg = svg;
    this.chosen = chosen;
    this.lang = svg.getAttribute("lang")?.startsWith("zh") ? "zh" : "en";
    this.whole = { x: 0, y: 0, w: svg.viewBox.baseVal.width, h: svg.viewBox.baseVal.height };
    this.view = { ...this.whole };
    /** @type {Field | null} */
    this.field = null;
    this.state = stateOf(svg);
    /** @type {{picked: number[], shapes: Element[]} | null} */
    this.drawn = null;
    /** @type {{picked: number[], told: [string, string]} | null} */
    this.summed = null;
    /** @type {[SVGElement, number][] | null} */
    this.parts = null;
    this.news = false;
    this.mode = "";
    this.corner = [0, 0];
    /** How strong colours are, and below which size values are hidden. */
    this.seen = { colour: 1, least: 0 };
    /** @type {{view: Box, seen: {colour: number, least: number}} | null} */
    this.unprinted = null;
    this.map = /** @type {SVGImageElement | null} */ (svg.querySelector("image[data-layer=values]"));
    this.host = document.createElement("div");
    this.host.className = "pellucid-live";
    this.root = this.host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.root.adoptedStyleSheets = [sheet];
    this.title = svg.querySelector("title")?.textContent ?? "";
    this.told = made("output", { "aria-live": "polite" });
    this.surface = made("div", { class: "surface" });
    this.spot = made("div", { class: "spot" });
    this.marks = document.createElementNS(SVG, "svg");
    this.marks.setAttribute("class", "marks");
    this.marks.setAttribute("aria-hidden", "true");
    this.strip = made("div", { class: "strip", role: "group", "aria-label": this.title });
  }

  /** Finds what the drawing tells and puts the controls below it. */
  async start() {
    this.field = await fieldOf(this.svg, this.lang);
    const limit = Number(this.svg.getAttribute("data-limit")) || 0, hiding = eased(() => this.hide());
    this.strip.append(this.told);
    if (this.map) this.slider("opacity", 1, (v) => { this.seen.colour = v; this.fade(); return `${Math.round(v * 100)} %`; });
    if (this.field?.sums && limit) {
      this.slider("threshold", 0, (v) => { this.seen.least = v * limit; hiding.soon(); return written(v * limit, false); });
    }
    this.strip.append(this.buttons());
    const more = picker(this.svg, this.lang, this.told) ?? wiper(this.svg, this.lang);
    if (more) this.strip.append(more);
    const absent = fontLine(this.svg, this.lang);
    if (absent) this.strip.append(absent);
    const role = { tabindex: "0", role: "application", "aria-label": `${this.title} – ${said(this.lang, "explore")}` };
    for (const [name, value] of Object.entries(this.field ? role : {})) this.surface.setAttribute(name, value);
    this.root.append(this.marks, this.spot, this.surface, this.strip);
    this.svg.after(this.host);
    this.colours();
    this.listen();
    this.adopt();
    const watch = new ResizeObserver(() => this.lay());
    watch.observe(this.svg);
    watch.observe(this.strip);
    this.lay();
  }

  /** The drawing's own colours, so that controls are dark where it is. */
  colours() {
    const own = getComputedStyle(this.svg);
    for (const name of ["--ink", "--soft", "--rule", "--ground", "--well", "--neg"]) {
      this.host.style.setProperty(name, own.getPropertyValue(name));
    }
  }

  /** Lets go of what this size of the drawing does not show, and tells the rest. */
  adopt() {
    const { state, field } = this;
    if (!field) return;
    const here = (/** @type {number} */ at) => at < 0 || field.between(at, at).includes(at);
    if (![state.cursor, ...state.picked].every(here)) Object.assign(state, { cursor: -1, anchor: -1, picked: [] });
    this.mark();
    this.say();
  }

  /** @param {string} key @param {number} value @param {(value: number) => string} changed acts, and says what is set */
  slider(key, value, changed) {
    const input = /** @type {HTMLInputElement} */ (made("input", { type: "range", min: "0", max: "1", step: "0.01",
      value: String(value), name: key }));
    const set = made("span", { class: "set", "aria-hidden": "true" });
    const act = () => {
      set.textContent = changed(Number(input.value));
      input.setAttribute("aria-valuetext", set.textContent);
    };
    input.addEventListener("input", act);
    act();
    this.strip.append(made("label", {}, said(this.lang, key), input, set));
  }

  buttons() {
    const button = (/** @type {string} */ sign, /** @type {string} */ key, /** @type {() => void} */ act) => {
      const b = made("button", { type: "button", "aria-label": said(this.lang, key), title: said(this.lang, key) }, sign);
      b.addEventListener("click", act);
      return b;
    };
    /** @type {Record<string, HTMLElement>} */
    const modes = {};
    const mode = (/** @type {string} */ sign, /** @type {string} */ key) => {
      modes[key] = button(sign, key, () => {
        this.mode = this.mode === key ? "" : key;
        for (const [name, b] of Object.entries(modes)) b.setAttribute("aria-pressed", String(name === this.mode));
        this.surface.classList.toggle("moving", this.mode === "move");
        this.surface.classList.toggle("selecting", this.mode === "select");
        this.lay();
      });
      modes[key].setAttribute("aria-pressed", "false");
    };
    mode("✥", "move");
    if (this.field) mode("⬚", "select");
    modes.move.addEventListener("keydown", (e) => {
      const step = held(e) ? null : KEYS[e.key];
      if (!step || this.view.w >= this.whole.w) return;
      e.preventDefault();
      this.shift(step[0] * this.view.w / 8, step[1] * this.view.h / 8);
    });
    return made("span", { class: "buttons" }, button("−", "zoomOut", () => this.zoom(1 / 1.5)),
      button("+", "zoomIn", () => this.zoom(1.5)), button("⤢", "whole", () => this.zoom(0)), ...Object.values(modes));
  }

  /** Colours as strong as they are set. */
  fade() {
    if (this.map) this.map.style.opacity = this.seen.colour < 1 ? String(this.seen.colour) : "";
  }

  /** Hides what is smaller than the size that is set. */
  hide() {
    const { field, map, seen: { least } } = this;
    if (!field) return;
    const small = (/** @type {number} */ at) => least > 0 && !(Math.abs(field.value(at).value) >= least);
    if (!map) {
      for (const [part, at] of this.parts ??= partsOf(this.svg, field)) part.style.visibility = small(at) ? "hidden" : "";
      return;
    }
    if (least <= 0) {
      map.removeAttribute("clip-path");
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
    const own = place(map), at = shifted(map, this.svg), left = [];
    for (let k = 0; k < field.count; k++) if (!small(k)) left.push(...field.boxes(k));
    clip.firstElementChild?.setAttribute("d", filled(left.map((b) => ({ ...b, x: b.x + own.x - at.x, y: b.y + own.y - at.y }))));
    map.setAttribute("clip-path", `url(#${clip.id})`);
  }

  /** Paper shows the whole, whatever is set here. @param {boolean} on */
  paper(on) {
    if (on === Boolean(this.unprinted)) return;
    const next = this.unprinted ?? { view: { ...this.whole }, seen: { colour: 1, least: 0 } };
    this.unprinted = on ? { view: this.view, seen: this.seen } : null;
    [this.view, this.seen] = [next.view, next.seen];
    this.look();
    this.fade();
    this.hide();
  }

  /** Larger by a factor about the cursor or the middle; all of it for 0. @param {number} factor */
  zoom(factor) {
    const box = this.state.cursor >= 0 && this.field ? this.field.boxes(this.state.cursor)[0] : this.view;
    const [x, y] = [box.x + box.w / 2, box.y + box.h / 2], { whole } = this;
    const w = factor ? Math.min(Math.max(this.view.w / factor, whole.w / 12), whole.w) : whole.w, h = w * whole.h / whole.w;
    this.view = { x: within(x - w / 2, 0, whole.w - w), y: within(y - h / 2, 0, whole.h - h), w, h };
    this.look();
  }

  /** Moves what is seen of it. @param {number} x @param {number} y */
  shift(x, y) {
    const { view, whole } = this;
    Object.assign(view, { x: within(view.x + x, 0, whole.w - view.w), y: within(view.y + y, 0, whole.h - view.h) });
    this.look();
  }

  /** Brings what the keyboard is at into sight, in the drawing and in the window. */
  follow() {
    const { view, state, field } = this, b = field?.boxes(state.cursor)[0];
    if (!b) return;
    const [x, y] = [view.w / 10, view.h / 10];
    this.shift(within(view.x, b.x + b.w + x - view.w, b.x - x) - view.x,
      within(view.y, b.y + b.h + y - view.h, b.y - y) - view.y);
    const scale = this.svg.getBoundingClientRect().width / view.w;
    lies(this.spot, this.corner[0] + (b.x - view.x) * scale, this.corner[1] + (b.y - view.y) * scale, b.w * scale, b.h * scale);
    this.spot.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  look() {
    const { x, y, w, h } = this.view;
    this.svg.setAttribute("viewBox", `${x} ${y} ${w} ${h}`);
    this.lay();
  }

  /** Lies over the drawing, with the surface over its values, wherever the page has moved or scaled it. */
  lay() {
    const box = this.svg.getBoundingClientRect(), { view, host, strip } = this, back = host.hidden && box.width > 0;
    host.hidden = !box.width;
    if (!box.width) return;
    host.style.setProperty("--tall", `${box.height}px`);
    const own = host.getBoundingClientRect(), [left, top] = this.corner = [box.left - own.left, box.top - own.top];
    lies(this.marks, left, top, box.width, box.height);
    this.marks.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.h}`);
    const f = this.mode === "move" || !this.field ? view : this.field.box, scale = box.width / view.w;
    const x = within((f.x - view.x) * scale, 0, box.width), y = within((f.y - view.y) * scale, 0, box.height);
    lies(this.surface, left + x, top + y, within((f.x + f.w - view.x) * scale, 0, box.width) - x,
      within((f.y + f.h - view.y) * scale, 0, box.height) - y);
    const bar = strip.getBoundingClientRect(), end = this.told.getBoundingClientRect().bottom;
    const line = [...strip.children].map((one) => one.getBoundingClientRect()).filter((b) => b.top < end);
    const low = Math.max(...line.map((b) => b.bottom)), row = (low + 11 > bar.bottom ? bar.bottom : low + 5) - bar.top;
    strip.style.bottom = `${row - bar.height}px`; // the line that tells stays in sight, not all of the strip
    this.spot.style.scrollMargin = `12px 0 ${row + 8}px`;
    if (back) this.adopt();
  }

  /** The drawing's units under the pointer. @param {{clientX: number, clientY: number}} e @returns {[number, number]} */
  under(e) {
    const box = this.svg.getBoundingClientRect(), scale = this.view.w / box.width;
    return [this.view.x + (e.clientX - box.left) * scale, this.view.y + (e.clientY - box.top) * scale];
  }

  listen() {
    const { surface, field, state } = this;
    let holding = -1, now = { clientX: 0, clientY: 0 }, before = now;
    const moved = eased(() => {
      const [x, y] = this.under(now), [x0, y0] = this.under(before);
      before = now;
      if (holding >= 0 && this.mode === "move") this.shift(x0 - x, y0 - y);
      else if (field) this.meet(field.hit(x, y), holding >= 0);
    });
    surface.addEventListener("pointerdown", (e) => {
      if (holding >= 0 || e.button) return;
      moved.now();
      [holding, before, now] = [e.pointerId, e, e];
      surface.setPointerCapture(e.pointerId);
      if (!field || this.mode === "move") return;
      const at = state.anchor = state.cursor = field.hit(...this.under(e));
      this.pick(at < 0 ? [] : [at]);
    });
    surface.addEventListener("pointermove", (e) => {
      if (holding >= 0 && holding !== e.pointerId) return;
      now = e;
      if (holding < 0) before = e;
      moved.soon();
    });
    const end = (/** @type {PointerEvent} */ e) => {
      if (holding !== e.pointerId) return;
      moved.now();
      holding = -1;
      if (e.type === "pointercancel" && this.mode !== "move") this.pick([]); // the finger scrolled the page
      this.settle();
    };
    surface.addEventListener("pointerup", end);
    surface.addEventListener("pointercancel", end);
    surface.addEventListener("keydown", (e) => this.key(e));
    for (const done of ["keyup", "blur"]) surface.addEventListener(done, () => this.settle());
    surface.addEventListener("wheel", (e) => {
      if (!e.ctrlKey) return;
      e.preventDefault();
      this.zoom(e.deltaY < 0 ? 1.2 : 1 / 1.2);
    }, { passive: false });
  }

  /** The pointer is at a value, or drags to it. @param {number} at @param {boolean} drags */
  meet(at, drags) {
    const { state } = this;
    if (at === state.cursor || (at < 0 && drags)) return;
    state.cursor = at;
    if (drags && state.anchor < 0) state.anchor = at;
    if (drags) this.pick(/** @type {Field} */ (this.field).between(state.anchor, at));
    else {
      this.mark();
      this.say();
    }
  }

  /** @param {KeyboardEvent} e */
  key(e) {
    const field = this.field, { state } = this;
    if (!field || held(e)) return;
    const zoom = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, 0: 0 }[e.key], step = KEYS[e.key];
    if (zoom !== undefined) { this.zoom(zoom); return; }
    if (e.key === "Escape") { state.anchor = -1; this.pick([]); return; }
    const end = { Home: field.first, End: field.last, Enter: state.cursor, " ": state.cursor }[e.key];
    if (!step && end === undefined) return;
    e.preventDefault();
    const one = e.key === "Enter" || e.key === " ", more = !one && (e.shiftKey || this.mode === "select");
    if (state.anchor < 0) state.anchor = state.cursor;
    state.cursor = end ?? (state.cursor < 0 ? field.first : field.next(state.cursor, ...step));
    if (state.cursor < 0) state.cursor = field.first;
    if (!more || state.anchor < 0) state.anchor = state.cursor;
    this.pick(one || more ? field.between(state.anchor, state.cursor) : []);
    this.follow();
  }

  /** @param {number[]} at */
  pick(at) {
    const { state } = this;
    this.news ||= at.length !== state.picked.length || at.some((v, k) => v !== state.picked[k]);
    state.picked = at;
    this.mark();
    this.say();
  }

  /** Tells outside what is selected, once a choice is made. */
  settle() {
    if (this.news) this.chosen?.(this.state.picked);
    this.news = false;
  }

  mark() {
    const { field, state } = this;
    if (!field) return;
    const shape = (/** @type {string} */ d, /** @type {string} */ kind) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", d);
      path.setAttribute("class", kind);
      return path;
    };
    if (this.drawn?.picked !== state.picked) {
      const boxes = merged(state.picked.flatMap((at) => field.boxes(at)));
      this.drawn = { picked: state.picked, shapes: [shape(filled(boxes), "chosen"), shape(edged(boxes), "edge")] };
    }
    const d = state.cursor < 0 ? "" : edged(field.boxes(state.cursor));
    this.marks.replaceChildren(...(state.picked.length ? this.drawn.shapes : []), ...(d ? [shape(d, "halo"),
      shape(d, "cursor")] : []));
  }

  /** The sum of what is selected, and its error. @returns {[string, string]} */
  sum() {
    const { field, lang, state: { picked } } = this, n = picked.length;
    if (!field?.sums) return [said(lang, "selected", { n }), ""];
    const found = picked.map((at) => field.value(at)).filter((v) => Number.isFinite(v.value));
    const v = found.length ? found.reduce((sum, one) => sum + one.value, 0) : NaN, halves = found.map((one) => one.half);
    const b = halves.reduce((/** @type {number} */ sum, half) => sum + (half ?? 0), 0);
    const a = Math.sqrt(halves.reduce((/** @type {number} */ sum, half) => sum + (half ?? 0) ** 2, 0));
    const more = halves.includes(null) || b === 0 ? "" : !Number.isFinite(b) ? said(lang, "unsure")
      : said(lang, "apart", { a: written(a, false), b: written(b, false) });
    return [said(lang, "sum", { n, v: written(v) }), more];
  }

  /** Says the value under the cursor, or the sum of what is selected. */
  say() {
    const { field, lang, state: { cursor, picked } } = this;
    if (!field) return;
    if (picked.length > 1) {
      if (this.summed?.picked !== picked) this.summed = { picked, told: this.sum() };
      this.tell(...this.summed.told);
      return;
    }
    if (cursor < 0) { this.tell("", said(lang, "point")); return; }
    const { name, value, half } = field.value(cursor);
    if (!Number.isFinite(value)) this.tell(`${name}: ${said(lang, "nothing")}`);
    else {
      const [told, around] = figures(value, half);
      this.tell(`${name}: ${told}`, half !== null && Number.isNaN(half) ? said(lang, "unsure") : around);
    }
  }

  /** @param {string} strong @param {string} [more] */
  tell(strong, more = "") {
    this.told.replaceChildren(...(strong ? [made("b", {}, strong)] : []), strong && more ? " " : "", more);
  }
}
