"""`pellucid show FILE.pellucid`: a stored explanation, drawn again."""

from __future__ import annotations

from typing import Annotated

import typer

from pellucid.cli import output, writing


def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file that `pellucid explain` or save() wrote.")],
    out: writing.OutStored = None,
    json: output.Json = False,
    lang: output.Lang = "en",
) -> int:
    """Show a stored explanation; no model is needed."""
    lang = output.language(lang)
    from pellucid.store.file import open_

    places = [writing.check(path, writing.STORED) for path in out or []]
    found = open_(file)
    if json:
        output.say_json(output.as_dict(found))
    elif not places:
        output.say(found.text(lang=lang, width=output.width()))
    for place in places:
        writing.write([found], place, lang=lang, keep_input=True)
        if not json:
            output.wrote([place], lang)
    return output.FINDING if found.verdict.status == "fail" else output.FINE
