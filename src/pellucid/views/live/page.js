// @ts-check
/** Where drawings come to life: in a page, in a notebook's widget, and how they go to paper. */

/** @type {WeakSet<SVGSVGElement>} */
const LIVELY = new WeakSet();

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

for (const moment of ["beforeprint", "afterprint"]) {
  addEventListener(moment, () => {
    for (const svg of document.querySelectorAll("svg[data-kind]")) LIVES.get(svg)?.paper(moment === "beforeprint");
  });
}

export { enhance, render };
export default { render };
