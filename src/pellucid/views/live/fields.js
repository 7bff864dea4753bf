// @ts-check
/** Where the values of a drawing lie: what is at a point, what comes next to it, what lies between two. */

/** @typedef {{x: number, y: number, w: number, h: number}} Box */
/** @typedef {{name: string, value: number, half: number | null}} Value */
/**
 * @typedef {object} Field
 * @property {Box} box where the values lie, in the drawing's units
 * @property {number} count
 * @property {number} first where the keyboard begins
 * @property {(at: number) => Value} value
 * @property {(at: number) => Box[]} boxes
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
    box, count: rows * columns, first: 0, value, sums: true,
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
 * Values that stand at places of their own, in an order: words, bars, points of a curve.
 * @param {{at: number, boxes: Box[], value: Value}[]} items
 * @param {boolean} sums
 * @returns {Field | null}
 */
function list(items, sums) {
  if (!items.length) return null;
  const all = items.flatMap((i) => i.boxes);
  const x = Math.min(...all.map((b) => b.x)), y = Math.min(...all.map((b) => b.y));
  const box = { x, y, w: Math.max(...all.map((b) => b.x + b.w)) - x, h: Math.max(...all.map((b) => b.y + b.h)) - y };
  const order = new Map(items.map((item, k) => [item.at, k]));
  const of = (/** @type {number} */ at) => items[order.get(at) ?? 0];
  return {
    box, count: items.length, first: items[0].at, sums, value: (at) => of(at).value, boxes: (at) => of(at).boxes,
    hit: (px, py) => items.find((i) => i.boxes.some((b) => px >= b.x && px <= b.x + b.w && py >= b.y && py <= b.y + b.h)
    )?.at ?? -1,
    next: (at, dx, dy) => items[within((order.get(at) ?? 0) + (dx || dy), 0, items.length - 1)].at,
    between(a, b) {
      const [from, to] = [order.get(a) ?? 0, order.get(b) ?? 0].sort((p, q) => p - q);
      return items.slice(from, to + 1).map((i) => i.at);
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
  /** @type {Box[]} */
  const around = Array.from({ length: count }, () => ({ x: Infinity, y: Infinity, w: -Infinity, h: -Infinity }));
  for (let k = 0; k < width * height; k++) {
    const b = around[number(k)];
    if (!b) continue;
    const c = k % width, r = Math.floor(k / width);
    [b.x, b.y, b.w, b.h] = [Math.min(b.x, c), Math.min(b.y, r), Math.max(b.w, c), Math.max(b.h, r)];
  }
  const boxed = around.map((b) => ({ x: box.x + b.x * wide, y: box.y + b.y * tall, w: (b.w - b.x + 1) * wide,
    h: (b.h - b.y + 1) * tall }));
  const middle = (/** @type {number} */ at) => [boxed[at].x + boxed[at].w / 2, boxed[at].y + boxed[at].h / 2];
  return {
    box, count, first: 0, value, sums: true, boxes: (at) => [boxed[at]],
    hit(x, y) {
      const c = Math.floor((x - box.x) / wide), r = Math.floor((y - box.y) / tall);
      return c >= 0 && r >= 0 && c < width && r < height ? number(r * width + c) : -1;
    },
    next(at, dx, dy) { // the nearest region whose middle lies that way
      const [x, y] = middle(at);
      let best = at, least = Infinity;
      for (let k = 0; k < count; k++) {
        const [a, b] = middle(k), along = (a - x) * dx + (b - y) * dy, aside = Math.abs((a - x) * dy) + Math.abs((b - y) * dx);
        if (along > 1e-6 && along + 2 * aside < least) [best, least] = [k, along + 2 * aside];
      }
      return best;
    },
    between(a, b) { // all whose middle lies in the box around both
      const [p, q] = [boxed[a], boxed[b]];
      const x0 = Math.min(p.x, q.x), x1 = Math.max(p.x + p.w, q.x + q.w);
      const y0 = Math.min(p.y, q.y), y1 = Math.max(p.y + p.h, q.y + q.h);
      return Array.from({ length: count }, (_, k) => k).filter((k) => {
        const [x, y] = middle(k);
        return k === a || k === b || (x >= x0 && x <= x1 && y >= y0 && y <= y1);
      });
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
      const layers = values.length / (rows * columns);
      return grid(shifted(map, svg), rows, columns, (at) => {
        let sum = 0;
        for (let k = 0; k < layers; k++) sum += values[k * rows * columns + at] || 0;
        return { name: said(lang, "cell", { r: Math.floor(at / columns) + 1, c: (at % columns) + 1 }), value: sum,
          half: layers === 1 ? half(at) : null };
      });
    }
  }
  const marks = [...svg.querySelectorAll("rect[data-at]")].filter((r) => r.closest("g")?.querySelector(":scope > title"));
  if (marks.length && values.length) {
    /** @type {Map<number, {at: number, boxes: Box[], value: Value}>} */
    const items = new Map();
    for (const rect of marks) {
      const at = Number(rect.getAttribute("data-at")), title = rect.closest("g")?.querySelector("title")?.textContent ?? "";
      const item = items.get(at) ?? { at, boxes: [], value: { name: title.replace(/: [^:]*$/, ""), value: values[at],
        half: half(at) } };
      item.boxes.push(widened(shifted(rect, svg), rect.hasAttribute("data-bar")));
      items.set(at, item);
    }
    return list([...items.values()], true);
  }
  return list(points(svg), false);
}

/** A bar answers to a height that a finger meets. @param {Box} b @param {boolean} bar @returns {Box} */
function widened(b, bar) {
  return bar ? { x: b.x - 4, y: b.y - 5, w: b.w + 8, h: b.h + 10 } : b;
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

/** The points of curves. @param {SVGSVGElement} svg */
function points(svg) {
  /** @type {{at: number, boxes: Box[], value: Value}[]} */
  const found = [];
  for (const g of svg.querySelectorAll("g[data-series], g[data-curve]")) {
    const steps = numbers(g.getAttribute("data-steps") ?? g.getAttribute("data-at"));
    const values = numbers(g.getAttribute("data-values") ?? g.getAttribute("data-curve"));
    const paths = g.querySelectorAll(":scope > path"), d = paths[paths.length - 1]?.getAttribute("d") ?? "";
    const places = [...d.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map((m) => [Number(m[1]), Number(m[2])]);
    if (places.length !== values.filter(Number.isFinite).length) continue;
    const name = g.getAttribute("data-series") ?? g.querySelector("title")?.textContent ?? "";
    const good = steps.map((s, k) => [s, values[k]]).filter(([, v]) => Number.isFinite(v));
    good.forEach(([step, value], k) => found.push({ at: found.length, value: { name: `${name} · ${written(step, false)}`,
      value, half: null }, boxes: [{ x: places[k][0] - 4, y: places[k][1] - 4, w: 8, h: 8 }] }));
  }
  return found;
}
