// @ts-check
/** What the controls say, in English and Chinese, and how numbers are written. */

/** @type {Record<string, Record<string, string>>} */
const WORDS = {
  en: {
    explore: "Explore: arrow keys move, Shift with arrows selects, Escape clears",
    opacity: "Strength of colour", threshold: "Hide below", zoomIn: "Zoom in", zoomOut: "Zoom out", whole: "Whole drawing",
    move: "Drag to move", cell: "row {r}, column {c}", query: "from {r} to {c}", about: "about {v}", region: "region {n}",
    point: "Point at a value, or drag over several", sum: "{n} selected, sum {v}", selected: "{n} selected",
    apart: "± {a} if errors are independent, at most ± {b}", layer: "Layer", tile: "Map", before: "Left", after: "Right",
    wipe: "Show more of the left map", nothing: "no value here", enlarged: "Enlarged",
    fontless: "No font here shows {n} of these characters ({list}): install {fonts}",
  },
  zh: {
    explore: "浏览：方向键移动，Shift 加方向键选择，Esc 清除",
    opacity: "颜色深浅", threshold: "隐藏小于", zoomIn: "放大", zoomOut: "缩小", whole: "完整图形",
    move: "拖动以移动", cell: "第 {r} 行第 {c} 列", query: "从 {r} 到 {c}", about: "约 {v}", region: "区域 {n}",
    point: "指向一个值，或拖选多个值", sum: "已选 {n} 项，合计 {v}", selected: "已选 {n} 项",
    apart: "误差独立时 ± {a}，至多 ± {b}", layer: "层", tile: "图", before: "左", after: "右",
    wipe: "多显示左图", nothing: "此处无值", enlarged: "放大图",
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

/** A number as the drawing writes it. @param {number} value @param {boolean} [signed] */
function written(value, signed = true) {
  if (!Number.isFinite(value)) return "–";
  const text = Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-4) ? value.toExponential(2)
    : String(Number(value.toPrecision(3)));
  return (signed && value > 0 ? "+" : "") + text.replace(/-/g, "−");
}
