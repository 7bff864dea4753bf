// @ts-check
/** Letters that the reader's machine has no font for: a browser draws the same box for each and says nothing. */

/** What is drawn for a character, by font and character. @type {Map<string, string>} */
const DRAWN = new Map();
const NOBODYS = ["\u0378", "\u{1FFFD}"];
const PEN = { size: 22, room: 34 };

/** @param {string} char @param {string} family */
function drawnAs(char, family) {
  const key = family + char, known = DRAWN.get(key);
  if (known !== undefined) return known;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [PEN.room, PEN.room];
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  pen.font = `${PEN.size}px ${family}`;
  pen.fillText(char, 4, 26);
  const seen = pen.getImageData(0, 0, PEN.room, PEN.room).data.filter((_, k) => k % 4 === 3).join();
  DRAWN.set(key, seen);
  return seen;
}

/**
 * Letters in a drawing that are shown as boxes.
 * @param {SVGSVGElement} svg
 * @returns {string[]}
 */
function fontless(svg) {
  /** @type {Set<string>} */
  const rare = new Set();
  for (const text of svg.querySelectorAll("text")) {
    for (const char of text.textContent ?? "") if (char > "\u024f" && /[\p{L}\p{S}\p{N}]/u.test(char)) rare.add(char);
  }
  if (!rare.size) return [];
  const family = getComputedStyle(svg).fontFamily || "sans-serif", boxes = new Set(NOBODYS.map((c) => drawnAs(c, family)));
  return [...rare].slice(0, 2000).filter((char) => boxes.has(drawnAs(char, family)));
}

/** One line that says which, and what to install; none where all is well. @param {SVGSVGElement} svg @param {string} lang */
function fontLine(svg, lang) {
  const found = fontless(svg);
  if (!found.length) return null;
  const asian = found.some((c) => /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}]/u.test(c));
  const list = found.slice(0, 5).map((c) => `U+${(c.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`);
  return made("p", { class: "fontless", role: "note" }, said(lang, "fontless", { n: found.length,
    list: list.join(", ") + (found.length > 5 ? ", …" : ""), fonts: asian ? "Noto Sans CJK" : "Noto Sans" }));
}
