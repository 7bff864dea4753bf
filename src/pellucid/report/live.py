"""The script that makes drawings live where scripts run: once in a page, and named in its policy by its digest."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache

from pellucid.views.script import module
from pellucid.views.svg import Element, Markup, el

STARTED = """
const near = new IntersectionObserver((seen) => {
  for (const one of seen) {
    if (!one.isIntersecting) continue;
    near.unobserve(one.target);
    enhance(one.target);
  }
}, { rootMargin: "50%" });
for (const svg of document.querySelectorAll("svg[data-kind]")) near.observe(svg.closest("article, figure, main, body"));
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of folded) one.open = false;
});
"""
"""What a page adds to the module, which only defines: a drawing comes to life when it is about to be seen, so that a
page of a hundred opens at once."""

_EXPORT = re.compile(
    r"^export\s*\{[^}]*\}\s*;?|^export\s+default\s+[^;]+;|^export\s+(?=(?:async\s+)?function|const|let|class)",
    re.MULTILINE)


@cache
def source() -> str:
    """The module as a page runs it."""
    return _EXPORT.sub("", module()) + STARTED


def script() -> tuple[Element, str]:
    """The element and the digest for the policy."""
    text = source()
    if "</script" in text.lower():
        raise ValueError("a script that would end its own element")
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return el("script", Markup(text), type="module"), f"sha256-{digest}"
