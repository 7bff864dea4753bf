// @ts-check
/** What is selected in a drawing, and the shapes that show it. */

/** @typedef {(at: number[]) => void} Chosen */
/** @typedef {{cursor: number, anchor: number, picked: number[]}} State */

/** A drawing has two sizes in a report, for wide and narrow windows. @type {WeakMap<Element, State>} */
const STATES = new WeakMap();

/** What is selected in a drawing, whichever of its sizes is seen. @param {SVGSVGElement} svg */
function stateOf(svg) {
  const whole = document.getElementById(svg.getAttribute("data-like") ?? "") ?? svg;
  const state = STATES.get(whole) ?? { cursor: -1, anchor: -1, picked: [] };
  STATES.set(whole, state);
  return state;
}

/** Acts once a frame at most; `now` acts at once if something is due. @param {() => void} act */
function eased(act) {
  let due = false;
  const now = () => {
    if (!due) return;
    due = false;
    act();
  };
  return { now, soon() {
    if (!due) requestAnimationFrame(now);
    due = true;
  } };
}

/** Boxes that do not overlap, as one where they fill a rectangle. @param {Box[]} boxes @returns {Box[]} */
function merged(boxes) {
  let [x, y, right, low, area] = [Infinity, Infinity, -Infinity, -Infinity, 0];
  for (const b of boxes) {
    [x, y, right, low] = [Math.min(x, b.x), Math.min(y, b.y), Math.max(right, b.x + b.w), Math.max(low, b.y + b.h)];
    area += b.w * b.h;
  }
  const [w, h] = [right - x, low - y];
  return boxes.length && Math.abs(area - w * h) < 1e-6 * area ? [{ x, y, w, h }] : boxes;
}

/** @param {Box[]} boxes */
const filled = (boxes) => boxes.map((b) => `M${b.x} ${b.y}h${b.w}v${b.h}h${-b.w}z`).join("");

/** The outer edge of boxes: what two of them share lies inside. @param {Box[]} boxes */
function edged(boxes) {
  const lines = /** @type {Map<number, number[]>[]} */ ([new Map(), new Map()]);
  const add = (/** @type {number} */ way, /** @type {number[]} */ ...places) => {
    const [at, from, to] = places.map((v) => Math.round(v * 1e3) / 1e3), ends = lines[way].get(at) ?? [];
    ends.push(from, to);
    lines[way].set(at, ends);
  };
  for (const { x, y, w, h } of boxes) {
    for (const at of [y, y + h]) add(0, at, x, x + w);
    for (const at of [x, x + w]) add(1, at, y, y + h);
  }
  let d = "";
  lines.forEach((some, way) => some.forEach((ends, at) => {
    ends.sort((p, q) => p - q);
    for (let k = 0; k < ends.length; k += 2) { // from here to the next an odd number of edges lie on one another
      if (ends[k] < ends[k + 1]) d += way ? `M${at} ${ends[k]}V${ends[k + 1]}` : `M${ends[k]} ${at}H${ends[k + 1]}`;
    }
  }));
  return d;
}

/**
 * What shows each value: a bar with its name, whiskers and number; the ground of a word and the number under it. The
 * word itself stays: it is the text.
 * @param {SVGSVGElement} svg
 * @param {Field} field
 * @returns {[SVGElement, number][]}
 */
function partsOf(svg, field) {
  /** @type {[SVGElement, number][]} */
  const found = [];
  const words = [];
  for (const shape of svg.querySelectorAll(":is(rect, path)[data-at]")) {
    const group = shape.closest("g"), at = Number(shape.getAttribute("data-at"));
    if (!group?.querySelector(":scope > title")) continue;
    for (const part of group.children) {
      if (!part.matches("title, .token")) found.push([/** @type {SVGElement} */ (part), at]);
    }
    if (group.querySelector(":scope > .token")) words.push({ at, ...place(shape), line: group.parentElement });
  }
  for (const text of /** @type {Iterable<SVGElement>} */ (words.length ? svg.querySelectorAll("text.tab") : [])) {
    const { x, y } = place(text), told = Number(text.textContent?.replace(/−/g, "-"));
    const far = (/** @type {Box} */ w) => Math.abs(w.x + w.w / 2 - x);
    const own = words.filter((w) => w.line === text.parentElement && y > w.y + w.h && y < w.y + w.h + 16
      && Math.abs(told - field.value(w.at).value) <= 0.06 * Math.abs(told)).sort((a, b) => far(a) - far(b))[0];
    if (own) found.push([text, own.at]);
  }
  return found;
}
