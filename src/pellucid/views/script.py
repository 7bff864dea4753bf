"""The script that makes drawings live: one ES module, joined from its parts."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "live"
PARTS = ("words.js", "fonts.js", "fields.js", "lens.js", "chosen.js", "live.js", "page.js")


@cache
def module() -> str:
    """The module: `render({model, el})` for a notebook's widget, `enhance(root)` for a page."""
    style = (FOLDER / "live.css").read_text("utf-8")
    parts = [(FOLDER / name).read_text("utf-8").replace("// @ts-check\n", "") for name in PARTS]
    return "\n".join([*parts[:-1], f"const STYLE = {json.dumps(style)};", parts[-1]])
