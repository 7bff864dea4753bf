// @ts-check
/** Where the values of a drawing lie: what is at a point, what comes next to it, what lies between two. */

/** @typedef {{x: number, y: number, w: number, h: number}} Box */
/** @typedef {{name: string, value: number, half: number | null}} Value */
/**
 * @typedef {object} Field
 * @property {Box} box where the values lie, in the drawing's units
 * @property {number} count
 * @property {number} first where the keyboard begins, and where Home leads
 * @property {number} last where End leads
 * @property {(at: number) => Value} value
 * @property {(at: number) => Box[]} boxes where it lies, the largest part first; they do not overlap
 * @property {(x: number, y: number) => number} hit the value at a point, -1 for none
 * @property {(at: number, dx: number, dy: number) => number} next
 * @property {(a: number, b: number) => number[]} between
 * @property {boolean} [sums] whether a sum of values means something
 */

/** @param {string | null} text @returns {number[]} */
function numbers(text) {
  if (!text) return [];
  return JSON.parse(text).map((/** @type {number | null} */ v) => (v === null ? NaN : v));
}

/** @param {Element} image @returns {Box} */
function place(image) {
  const of = (/** @type {string} */ name) => Number(image.getAttribute(name));
  return { x: of("x"), y: of("y"), w: of("width"), h: of("height") };
}

/** @param {number} v @param {number} low @param {number} high */
const within = (v, low, high) => Math.min(Math.max(v, low), high);

/**
 * A grid of values over a picture.
 * @param {Box} box
 * @param {number} rows
 * @param {number} columns
 * @param {(at: number) => Value} value
 * @returns {Field}
 */
function grid(box, rows, columns, value) {
  const wide = box.w / columns, tall = box.h / rows;
  return {
    box, count: rows * columns, first: 0, last: rows * columns - 1, value, sums: true,
    boxes: (at) => [{ x: box.x + (at % columns) * wide, y: box.y + Math.floor(at / columns) * tall, w: wide, h: tall }],
    hit(x, y) {
      const c = Math.floor((x - box.x) / wide), r = Math.floor((y - box.y) / tall);
      return c >= 0 && r >= 0 && c < columns && r < rows ? r * columns + c : -1;
    },
    next: (at, dx, dy) => within(Math.floor(at / columns) + dy, 0, rows - 1) * columns
      + within((at % columns) + dx, 0, columns - 1),
    between(a, b) {
      const [r0, r1] = [Math.floor(a / columns), Math.floor(b / columns)].sort((p, q) => p - q);
      const [c0, c1] = [a % columns, b % columns].sort((p, q) => p - q);
      const found = [];
      for (let r = r0; r <= r1; r++) for (let c = c0; c <= c1; c++) found.push(r * columns + c);
      return found;
    },
  };
}

/**
 * @typedef {object} Item a value at a place of its own
 * @property {number} at
 * @property {Box[]} boxes
 * @property {Value} value
 * @property {Box} [row] what answers for it, where that is more than its boxes: its row, or the curve that it is of
 */

/** @param {Box} b */
const middle = (b) => [b.x + b.w / 2, b.y + b.h / 2];

/** @param {Box} b @param {number} x @param {number} y */
const inside = (b, x, y) => x >= b.x && x <= b.x + b.w && y >= b.y && y <= b.y + b.h;

/** The box around some. @param {Box[]} all @returns {Box} */
function around(all) {
  const x = Math.min(...all.map((b) => b.x)), y = Math.min(...all.map((b) => b.y));
  return { x, y, w: Math.max(...all.map((b) => b.x + b.w)) - x, h: Math.max(...all.map((b) => b.y + b.h)) - y };
}

/**
 * Values that stand at places of their own, in an order: words, bars, cells of a table.
 * @param {Item[]} items
 * @param {boolean} sums
 * @returns {Field | null}
 */
function list(items, sums) {
  if (!items.length) return null;
  const box = around(items.flatMap((i) => (i.row ? [i.row] : i.boxes)));
  const order = new Map(items.map((item, k) => [item.at, k]));
  const of = (/** @type {number} */ at) => items[order.get(at) ?? 0];
  const spots = items.map((i) => middle(i.row ?? i.boxes[0])), tall = items.map((i) => (i.row ?? i.boxes[0]).h / 2);
  let turns = 0; // how often the one behind stands to the left, on one line: a text from right to left
  for (let k = 1; k < items.length; k++) {
    if (Math.abs(spots[k][1] - spots[k - 1][1]) < tall[k]) turns += Math.sign(spots[k - 1][0] - spots[k][0]);
  }
  return {
    box, count: items.length, first: items[0].at, last: items[items.length - 1].at, sums, value: (at) => of(at).value,
    boxes: (at) => of(at).boxes,
    hit(x, y) {
      const met = items.find((i) => i.boxes.some((b) => inside(b, x, y)));
      if (met || !items[0].row || !inside(box, x, y)) return met?.at ?? -1;
      const far = spots.map(([, b]) => Math.abs(b - y)); // every place between two rows is one of theirs
      return items[far.indexOf(Math.min(...far))].at;
    },
    next(at, dx, dy) {
      const here = order.get(at) ?? 0, [x, y] = spots[here];
      let best = -1, least = Infinity;
      spots.forEach(([a, b], k) => {
        const level = Math.abs(b - y) < tall[here], along = dx ? (a - x) * dx : (b - y) * dy;
        if (k === here || along <= 1e-6 || level !== (dx !== 0)) return;
        const far = dx ? along : along * 1000 + Math.abs(a - x); // the nearest line, then what lies nearest on it
        if (far < least) [best, least] = [k, far];
      });
      if (best >= 0) return items[best].at;
      return dx ? items[within(here + (turns > 0 ? -dx : dx), 0, items.length - 1)].at : at; // on to the line beside
    },
    between(a, b) {
      const [from, to] = [order.get(a) ?? 0, order.get(b) ?? 0].sort((p, q) => p - q);
      return items.slice(from, to + 1).map((i) => i.at);
    },
  };
}

/**
 * The points of curves: the nearest to the left or right of the pointer answers.
 * @param {Item[]} items
 * @returns {Field | null}
 */
function curves(items) {
  const field = list(items, false);
  if (!field) return null;
  const spots = items.map((i) => middle(i.boxes[0]));
  const nearest = (/** @type {number[]} */ some, /** @type {(k: number) => number} */ far) => some.reduce(
    (best, k) => (best < 0 || far(k) < far(best) ? k : best), -1);
  return {
    ...field,
    hit(x, y) {
      const away = items.map(({ row: r }) => (!r || x < r.x - 12 || x > r.x + r.w + 12 ? Infinity
        : Math.max(r.y - y, y - r.y - r.h, 0)));
      const least = Math.min(...away), some = items.map((_, k) => k).filter((k) => away[k] <= least);
      return least > 60 ? -1 : nearest(some, (k) => Math.abs(spots[k][0] - x) * 1000 + Math.abs(spots[k][1] - y));
    },
    next(at, dx, dy) { // along a curve, or to another one
      if (dx) return within(at + dx, 0, items.length - 1);
      const [x, y] = spots[at];
      const others = items.map((_, k) => k).filter((k) => items[k].row !== items[at].row && (spots[k][1] - y) * dy > 0);
      const found = nearest(others, (k) => Math.abs(spots[k][0] - x) * 4 + Math.abs(spots[k][1] - y));
      return found < 0 ? at : found;
    },
  };
}

/**
 * The pixels of a picture inside the drawing.
 * @param {string} href
 * @returns {Promise<ImageData>}
 */
async function pixels(href) {
  const image = new Image();
  image.src = href;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  pen.drawImage(image, 0, 0);
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}

/**
 * Regions of a picture: which is where is told by a picture of numbers.
 * @param {Box} box
 * @param {ImageData} index
 * @param {(at: number) => Value} value
 * @param {number} count
 * @returns {Field}
 */
function regions(box, index, value, count) {
  const { width, height, data } = index, wide = box.w / width, tall = box.h / height;
  const number = (/** @type {number} */ k) => data[4 * k] + 256 * data[4 * k + 1] + 65536 * data[4 * k + 2] - 1;
  /** @type {Box[][]} */
  const runs = Array.from({ length: count }, () => []);
  /** @type {Map<string, Box>} */
  let above = new Map();
  for (let r = 0; r < height; r++) { // rows of pixels; what a row has under the same pixels of the row above is one box
    /** @type {Map<string, Box>} */
    const row = new Map();
    for (let c = 0; c < width;) {
      const at = number(r * width + c);
      let end = c + 1;
      while (end < width && number(r * width + end) === at) end++;
      const key = `${at} ${c} ${end}`, b = above.get(key) ?? { x: c, y: r, w: end - c, h: 0 };
      if (!b.h) runs[at]?.push(b);
      b.h++;
      row.set(key, b);
      c = end;
    }
    above = row;
  }
  const placed = runs.map((some) => some.sort((a, b) => b.w * b.h - a.w * a.h).map((b) => ({ x: box.x + b.x * wide,
    y: box.y + b.y * tall, w: b.w * wide, h: b.h * tall })));
  const there = placed.map((_, k) => k).filter((k) => placed[k].length);
  const spot = (/** @type {number} */ at) => middle(placed[at][0]); // a place inside, of a ring as well
  return {
    box, count, first: there[0] ?? 0, last: there[there.length - 1] ?? 0, value, sums: true, boxes: (at) => placed[at],
    hit(x, y) {
      const c = Math.floor((x - box.x) / wide), r = Math.floor((y - box.y) / tall);
      return c >= 0 && r >= 0 && c < width && r < height ? number(r * width + c) : -1;
    },
    next(at, dx, dy) { // the region that has the nearest part that way
      const [x, y] = spot(at);
      let best = at, least = Infinity;
      for (const k of there) for (const part of k === at ? [] : placed[k]) {
        const [a, b] = middle(part), along = (a - x) * dx + (b - y) * dy, aside = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
        if (along > 1e-6 && along + 2 * aside < least) [best, least] = [k, along + 2 * aside];
      }
      return best;
    },
    between(a, b) { // all that have their place in the box around both
      const both = around([a, b].flatMap((k) => placed[k] ?? []));
      return there.filter((k) => k === a || k === b || inside(both, spot(k)[0], spot(k)[1]));
    },
  };
}

/**
 * Where the values of a drawing lie, if it tells.
 * @param {SVGSVGElement} svg
 * @param {string} lang
 * @returns {Promise<Field | null>}
 */
async function fieldOf(svg, lang) {
  const values = numbers(svg.getAttribute("data-values")), errors = numbers(svg.getAttribute("data-error"));
  const half = (/** @type {number} */ at) => (errors.length ? 1.96 * errors[at] : null);
  const map = svg.querySelector("image[data-layer=values]");
  if (map && values.length) {
    const index = map.getAttribute("data-index");
    if (index) {
      return regions(shifted(map, svg), await pixels(index), (at) => ({ name: said(lang, "region", { n: at + 1 }),
        value: values[at], half: half(at) }), values.length);
    }
    const shape = numbers(svg.getAttribute("data-shape")), [rows, columns] = shape.slice(-2);
    if (rows * columns > 0 && values.length % (rows * columns) === 0) {
      const size = rows * columns, layers = values.length / size;
      return grid(shifted(map, svg), rows, columns, (at) => {
        const known = Array.from({ length: layers }, (_, k) => values[k * size + at]).filter(Number.isFinite);
        return { name: said(lang, "cell", { r: Math.floor(at / columns) + 1, c: (at % columns) + 1 }),
          value: known.length ? known.reduce((s, v) => s + v, 0) : NaN, half: layers === 1 ? half(at) : null };
      });
    }
  }
  const table = svg.querySelector("g[data-matrix][data-across] > image");
  return table ? matrix(table, svg, lang) : list(marks(svg, values, half), values.length > 0) ?? list(cells(svg), false)
    ?? curves(points(svg));
}

/** The names of tokens that a drawing tells. @param {SVGSVGElement} svg @returns {string[]} */
const tokens = (svg) => JSON.parse(svg.querySelector("g[data-names]")?.getAttribute("data-names") ?? "[]");

/**
 * From which token attention looked to which.
 * @param {string} lang
 * @param {string} r
 * @param {string} c
 */
const looked = (lang, r, c) => said(lang, "query", { r: `\u2068${r}\u2069`, c: `\u2068${c}\u2069` });

/** A matrix of tokens by tokens whose values the drawing tells. @param {Element} image @param {SVGSVGElement} svg @param {string} lang */
function matrix(image, svg, lang) {
  const group = /** @type {Element} */ (image.parentElement), values = numbers(group.getAttribute("data-matrix"));
  const columns = Number(group.getAttribute("data-across")), names = tokens(svg);
  const name = (/** @type {number} */ r, /** @type {number} */ c) => (names.length ? `, ${looked(lang, names[r], names[c])}` : "");
  return { ...grid(shifted(image, svg), values.length / columns, columns, (at) => {
    const r = Math.floor(at / columns), c = at % columns;
    return { name: said(lang, "cell", { r: r + 1, c: c + 1 }) + name(r, c), value: values[at], half: null };
  }), sums: false };
}

/** What a title says of a shape: its name, its value and its interval. */
const TOLD = /^(.*): ([+−]?[\d.]+(?:e[−\d]+)?)(?: ± ([\d.]+(?:e[−\d]+)?))?(?: \*)?$/s;

/**
 * Shapes that stand for a value, by its number: words, bars, steps. A drawing of several explanations has the values
 * in the shapes' titles alone.
 * @param {SVGSVGElement} svg
 * @param {number[]} values
 * @param {(at: number) => number | null} half
 */
function marks(svg, values, half) {
  /** @type {Map<number | Element, Item>} */
  const items = new Map();
  for (const shape of /** @type {NodeListOf<SVGGraphicsElement>} */ (svg.querySelectorAll(":is(rect, path)[data-at]"))) {
    const g = /** @type {SVGGraphicsElement | null} */ (shape.closest("g")), at = Number(shape.getAttribute("data-at"));
    const title = g?.querySelector(":scope > title")?.textContent ?? "", [, name, figure, error] = TOLD.exec(title) ?? [];
    if (!g || !title || !(values.length || figure)) continue;
    const bar = shape.hasAttribute("data-bar") || shape.hasAttribute("data-step"), key = values.length ? at : g;
    const item = items.get(key) ?? { at: values.length ? at : items.size, boxes: [], row: bar ? spread(g, svg) : undefined,
      value: values.length ? { name: name ?? title.replace(/: [^:]*$/, ""), value: values[at], half: half(at) }
        : { name, value: read(figure), half: error ? read(error) : null } };
    item.boxes.push(widened(spread(shape, svg), bar));
    items.set(key, item);
  }
  return [...items.values()];
}

/** @param {string} figure */
const read = (figure) => Number(figure.replace(/−/g, "-"));

/** Cells of tables and rows of heads: a group has the value, its title the name. @param {SVGSVGElement} svg @returns {Item[]} */
function cells(svg) {
  const seen = new Map();
  return [.../** @type {NodeListOf<SVGGraphicsElement>} */ (svg.querySelectorAll("g[data-cell], g[data-head]"))].map((g, at) => {
    const names = JSON.parse(g.closest("g[data-rows]")?.getAttribute("data-rows") ?? "[]"), k = seen.get(g.parentElement) ?? 0;
    seen.set(g.parentElement, k + 1);
    const named = names.length ? `${names[Math.floor(k / names.length)]}, ${names[k % names.length]}` : "";
    const head = g.hasAttribute("data-head"), rect = /** @type {SVGGraphicsElement} */ (g.querySelector("rect") ?? g);
    return { at, boxes: [widened(spread(rect, svg), head)], row: head ? spread(g, svg) : undefined, value: {
      name: g.querySelector(":scope > title")?.textContent?.replace(/: [^:]*$/, "") ?? named,
      value: Number(g.getAttribute(head ? "data-head" : "data-cell")), half: null } };
  });
}

/** A bar answers to a height that a finger meets. @param {Box} b @param {boolean} bar @returns {Box} */
function widened(b, bar) {
  return bar ? { x: b.x - 4, y: b.y - 5, w: b.w + 8, h: b.h + 10 } : b;
}

/** What an element takes up, in the drawing's units. @param {SVGGraphicsElement} element @param {SVGSVGElement} svg @returns {Box} */
function spread(element, svg) {
  const b = element.getBBox(), own = element.getScreenCTM(), whole = svg.getScreenCTM();
  const m = own && whole ? whole.inverse().multiply(own) : new DOMMatrix();
  return { x: m.a * b.x + m.e, y: m.d * b.y + m.f, w: m.a * b.width, h: m.d * b.height };
}

/** An element's box in the drawing's units, whatever groups it stands in. @param {Element} element @param {SVGSVGElement} svg */
function shifted(element, svg) {
  const b = place(element);
  for (let g = element.parentElement; g && g !== /** @type {Element} */ (svg); g = g.parentElement) {
    const moved = /translate\(\s*(-?[\d.]+)[ ,]+(-?[\d.]+)\s*\)/.exec(g.getAttribute("transform") ?? "");
    if (moved) [b.x, b.y] = [b.x + Number(moved[1]), b.y + Number(moved[2])];
  }
  return b;
}

/** The points of curves. @param {SVGSVGElement} svg @returns {Item[]} */
function points(svg) {
  /** @type {Item[]} */
  const found = [];
  for (const g of svg.querySelectorAll("g[data-series], g[data-curve]")) {
    const steps = numbers(g.getAttribute("data-steps") ?? g.getAttribute("data-at"));
    const values = numbers(g.getAttribute("data-values") ?? g.getAttribute("data-curve"));
    const paths = g.querySelectorAll(":scope > path"), path = /** @type {SVGGraphicsElement} */ (paths[paths.length - 1]);
    const places = [...(path?.getAttribute("d") ?? "").matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map((m) => [Number(m[1]),
      Number(m[2])]);
    if (!path || places.length !== values.filter(Number.isFinite).length) continue;
    const name = g.getAttribute("data-series") ?? g.querySelector("title")?.textContent ?? "", b = path.getBBox();
    const row = { x: b.x, y: b.y, w: b.width, h: b.height };
    const good = steps.map((s, k) => [s, values[k]]).filter(([, v]) => Number.isFinite(v));
    good.forEach(([step, value], k) => found.push({ at: found.length, value: { name: `${name} · ${written(step, false)}`,
      value, half: null }, boxes: [{ x: places[k][0] - 4, y: places[k][1] - 4, w: 8, h: 8 }], row }));
  }
  return found;
}
