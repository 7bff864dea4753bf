"""A drawing in a LaTeX document: text that LaTeX reads as text, and the figure around the drawing."""

from __future__ import annotations

from pellucid.languages.marks import visible

_TEX = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
        "^": r"\textasciicircum{}", "_": r"\_", "~": r"\textasciitilde{}", "%": r"\%",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "`": r"\`{}",
        "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "÷": r"$\div$", "≤": r"$\le$", "≥": r"$\ge$", "→": r"$\to$",
        "∞": r"$\infty$", "…": r"\ldots{}"}
"""How LaTeX writes what means something there, and signs that its older engines do not know."""


def escaped(text: str) -> str:
    """Text as LaTeX takes it: every character that means something there means itself."""
    return "".join(_TEX.get(c, c) for c in visible(" ".join(text.split()), 2000))


_T1 = frozenset("«»ÐÞðþĄąĐđĘęĮįŊŋŲų‹›„‚")
"""What pdfLaTeX has in its T1 encoding only."""
_KNOWN = frozenset(map(chr, range(0x180))) - frozenset("ĦħĸĿŀŉŦŧſ") | frozenset("‘’“”–—•†‡") | _T1
"""What pdfLaTeX knows of itself."""


def figure(name: str, caption: str) -> str:
    """A figure that shows NAME.pdf, with its label; the first line says what it needs."""
    more = ""
    if not _KNOWN.issuperset(caption):
        asian = " and ctex" if max(map(ord, caption)) >= 0x2E80 else ""
        more = f"; typeset with LuaLaTeX or XeLaTeX{asian} for the caption"
    elif not _T1.isdisjoint(caption):
        more = " and \\usepackage[T1]{fontenc}"
    return f"""% needs \\usepackage{{graphicx}}{more}
\\begin{{figure}}[htbp]
  \\centering
  \\includegraphics[width=\\linewidth]{{{name}.pdf}}
  \\caption{{{caption}}}
  \\label{{fig:{name}}}
\\end{{figure}}
"""
