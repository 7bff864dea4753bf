"""Texts that somebody else wrote, some to do harm and some that only look so: labels, tokens, columns, names of files.

Every one of them is data wherever it goes: nothing of it may run, and all of it must show.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

HOSTILE: tuple[str, ...] = (
    # elements, handlers, ends of what they may stand in
    "<script>alert(1)</script>",
    "\"onload='x'",
    "'><svg onload=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "</title><script>self.harmed = 1</script>",
    "</style><style>*{display:none}</style>",
    "</svg><iframe srcdoc='<script>self.harmed = 1</script>'>",
    "]]><!--",
    "--><script>self.harmed = 1</script><!--",
    "<![CDATA[<b>x</b>]]>",
    "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>&y;",
    "&lt;b&gt; &#x3c;",
    "&amp;&#60;&NewLine;&colon;",
    "javascript:self.harmed=1",
    "data:text/html,<script>self.harmed=1</script>",
    "url(https://example.org/x) ; } body { display: none",
    "{color:red}</p><a href='javascript:self.harmed=1'>x</a>",
    # templates, formats
    "{{7*7}}${x}",
    "{{constructor.constructor('self.harmed = 1')()}}",
    "<%= 7*7 %> #{7*7} ${{7*7}}",
    "{target}",
    "%s %n %(x)s {0} {}",
    # typst and LaTeX
    "#read(\"/etc/passwd\") #eval(\"1\")",
    "#let x = 1; $ x^2 $ *strong* _soft_ @ref <label>",
    "\\input{/etc/passwd}\\write18{touch harmed}",
    "$\\def\\x{\\x}\\x$ 50 % & ~ ^ _ { } \\\\",
    "} \\end{figure} \\begin{figure}{",
    # spreadsheets, tables
    "=HYPERLINK(\"https://example.org\",\"click\")",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r\n=1+1,\"a\",\"\"b",
    "a,b;c\"d\"\ne",
    # characters that are not seen, or change what is
    "a\u202egnp.exe",
    "\u2066\u2069\u2069 \u2067isolated",
    "zero\u200bwidth\u200d\ufeff",
    "soft\u00adhyphen \u2060 joiner \u3164 filler",
    "z" + "\u0300\u0301\u0302\u0303" * 40,
    "nul\x00bell\x07\x1b[31m\x7f\x9b",
    "line\nbreak\ttab\u2028separator",
    "\ud800 lone",
    "\ufffe",
    # letters that are fine, and must stay what they are
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308",
    "\u0643\u0627\u0646 \u0627\u0644\u0641\u064a\u0644\u0645 Netflix",
    "\u05e9\u05dc\u05d5\u05dd (abc) 123",
    "\u7535\u5f71\u300a\u592a\u7a7a\u300b\u2014\u2014<\u597d>",
    # names of files, lengths
    "../../etc/passwd",
    "C:\\Windows\\CON.txt:stream",
    "$(touch harmed) `touch harmed` ; rm -rf *",
    "x" * 5000,
    "",
    " ",
)  # fmt: skip
"""More than fifty of them."""

UNSEEN = ("[\u202a-\u202e\u2066\u2067\u200b\u200e\u200f\u2060\u00ad\u3164\ufeff\ufffe"
          "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""What must never reach a reader as it is: a mark stands in its place."""

ELEMENTS = {"svg", "title", "desc", "style", "rect", "path", "text", "g", "defs", "linearGradient", "stop", "image",
            "circle"}
"""All that a drawing is made of."""

SVG = "{http://www.w3.org/2000/svg}"


def harmless(svg: str) -> ElementTree.Element:
    """The drawing, parsed: of our elements only, without handlers, fetching nothing, every character of it seen."""
    root = ElementTree.fromstring(svg)
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= ELEMENTS
    for element in root.iter():
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert not re.search(r"url\((?!#)", value) or name.startswith("data-")
            assert not name.endswith("href") or value.startswith(("data:image/png;base64,", "#"))
        said = (element.text or "") + (element.tail or "")
        assert not re.search(r"url\((?!#)|@import", said) or element.tag != f"{SVG}style"
        assert not re.search(UNSEEN, said)
    return root
