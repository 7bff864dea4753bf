// @ts-check
/** What the controls say, in English and Chinese, and how numbers are written. */

/** @type {Record<string, Record<string, string>>} */
const WORDS = {
  en: {
    explore: "Explore: arrow keys move, Enter selects one, Shift with arrows selects several, Escape clears",
    opacity: "Strength of colour", threshold: "Hide below", zoomIn: "Zoom in", zoomOut: "Zoom out", whole: "Whole drawing",
    move: "Drag to move", select: "Drag to select", unsure: "± not known",
    cell: "row {r}, column {c}", query: "from ‘{r}’ to ‘{c}’", about: "about {v}", region: "region {n}",
    point: "Point at a value, or drag over several", sum: "{n} selected, sum {v}", selected: "{n} selected",
    apart: "± {a} if errors are independent, at most ± {b}", layer: "Layer", tile: "Map", before: "Left", after: "Right",
    wipe: "Show more of the left map", nothing: "no value here", enlarged: "Enlarged",
    cells: "rows {r}, columns {c}", mean: "mean {v}", least: "at least {v}", most: "at most {v}",
    scales: "Colours do not compare: full colour is ±{a} on the left, ±{b} on the right, in units of their own",
    fontless: "No font here shows {n} of these characters ({list}): install {fonts}",
  },
  zh: {
    explore: "浏览：方向键移动，Enter 选择一项，Shift 加方向键选择多项，Esc 清除",
    opacity: "颜色深浅", threshold: "隐藏小于", zoomIn: "放大", zoomOut: "缩小", whole: "完整图形",
    move: "拖动以移动", select: "拖动以选择", unsure: "误差未知",
    cell: "第 {r} 行第 {c} 列", query: "从“{r}”到“{c}”", about: "约 {v}", region: "区域 {n}",
    point: "指向一个值，或拖选多个值", sum: "已选 {n} 项，合计 {v}", selected: "已选 {n} 项",
    apart: "误差独立时 ± {a}，至多 ± {b}", layer: "层", tile: "图", before: "左", after: "右",
    wipe: "多显示左图", nothing: "此处无值", enlarged: "放大图",
    cells: "第 {r} 行，第 {c} 列", mean: "均值{v}", least: "至少 {v}", most: "至多 {v}",
    scales: "颜色不可比较：最深色在左图为 ±{a}，在右图为 ±{b}，单位各自不同",
    fontless: "本机没有字体能显示其中 {n} 个字符（{list}）：请安装 {fonts}",
  },
};

/**
 * A sentence in a language, filled in.
 * @param {string} lang
 * @param {string} key
 * @param {Record<string, string | number>} [facts]
 */
function said(lang, key, facts = {}) {
  const told = (WORDS[lang] ?? WORDS.en)[key];
  return told.replace(/\{(\w+)\}/g, (_, name) => String(facts[name]));
}

/** A number as the drawing writes it. @param {number} value @param {boolean} [signed] @param {number} [digits] */
function written(value, signed = true, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const [mantissa, e] = value.toExponential(digits - 1).split("e"), power = Number(e);
  const text = value === 0 ? "0" : power >= digits && power < 5 ? value.toFixed(0)
    : power < -4 || power >= digits ? `${Number(mantissa)}e${power}` : String(Number(value.toPrecision(digits)));
  return (signed && value > 0 ? "+" : "") + text.replace(/-/g, "−");
}

/**
 * A value and half its interval as the drawing writes them: the interval to its second digit, the value to the same
 * place.
 * @param {number} value
 * @param {number | null} half
 * @returns {[string, string]}
 */
function figures(value, half) {
  if (!Number.isFinite(value) || half === null || !Number.isFinite(half) || !half) return [written(value), ""];
  if (!(half > 1e-4 && half < 1e4)) return [written(value), `± ${written(half, false, 2)}`];
  const digits = Math.max(0, 1 - Math.floor(Math.log10(half)));
  const sign = value < 0 || Object.is(value, -0) ? "−" : "+";
  return [sign + Math.abs(value).toFixed(digits), `± ${half.toFixed(digits)}`];
}
