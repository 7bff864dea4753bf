def plain(t):
    import re
    t = re.sub(r"\{\d+\}", " ", t)
    t = re.sub(r"'[^']*'|\"[^\"]*\"|‘[^’]*’", " ", t) if False else t
    return not re.search(r"[A-Za-z]{2,}", t)
