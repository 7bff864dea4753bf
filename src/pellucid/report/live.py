"""The script that makes drawings live where scripts run: once in a page, and named in its policy by its digest."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache

from pellucid.views.script import module
from pellucid.views.svg import Element, Markup, el

STARTED = "\nenhance(document);\n"
"""What a page adds to the module, which only defines."""

_EXPORT = re.compile(r"^export\s*\{[^}]*\}\s*;?|^export\s+default\s+[^;]+;|^export\s+(?=(?:async\s+)?function|const|let|class)",
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
