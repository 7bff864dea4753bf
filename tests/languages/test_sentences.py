"""Every sentence that a finding, an error, a method or the shell can say is there in Chinese, and fits its English."""

from __future__ import annotations

import pkgutil
import random
import re
import string
from collections import Counter, defaultdict
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

from pellucid import catalog
from pellucid.cli.main import app
from pellucid.languages import chinese, strings
from pellucid.languages.catalogue import CATALOGUE
from pellucid.languages.sentences import AREAS, GOES_ON, plain, sentences, template, translated, wordings
from tests.languages import reading
from tests.languages.syntax import module

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def source() -> tuple[list[reading.Sentence], list[tuple[str, str]]]:
    return reading.sentences(reading.sources())


def untranslated(said: list[reading.Sentence], phrases: list[tuple[str, str]]) -> list[str]:
    """Sentences and phrases of the source without Chinese, with their places."""
    known = {(code, english) for code, english, _ in wordings()}
    return [f"{s.where}: {s.code}: {s.template}" for s in said if (s.code, s.template) not in known] + [
        f"{code}: {t}" for code, t in phrases if not {(code, t), ("*", t)} & known]


def test_nothing_is_left_in_english(source: tuple[list[reading.Sentence], list[tuple[str, str]]]) -> None:
    """Written for whoever adds an error: the line to add stands in the failure."""
    said, phrases = source
    assert len(said) > 1500, "the reader of the sources finds too little to prove anything"
    assert untranslated(said, phrases) == []


PLANTED = '''
def wrong(n: int) -> InputError:
    where = f"in row {n}" if n else "in no row"
    raise InputError("planted.code", f"a thing {where}", "nothing of the kind", "take it out" if n else "put it in")
'''


def test_a_planted_sentence_is_noticed() -> None:
    """The check has teeth: every wording of an error that nobody translated is named."""
    said, phrases = reading.sentences([module(Path("planted.py"), PLANTED)])
    found = {line.partition(": planted.code: ")[2] for line in untranslated(said, phrases)}
    assert found == {"a thing in row {0}", "a thing in no row", "nothing of the kind", "take it out", "put it in"}


def holes(text: str) -> Counter[str]:
    return Counter(re.findall(r"\{(\w*)\}", text.replace("{{", "").replace("}}", "")))


def test_both_languages_have_the_same_holes() -> None:
    assert [(c, e, z) for c, e, z in wordings() if holes(e) != holes(z)] == []
    assert [k for k, (e, z) in CATALOGUE.items() if holes(e) != holes(z)] == []


def test_what_is_called_chinese_is() -> None:
    """A sentence with several English words and not one Chinese letter was copied, unless all of it is names."""
    names = re.compile(r"pip install|hard sig|hard sw|leaky|log sig|cpu, cuda|\.html|pellucid\.run|sum or|^'")
    kept = [(c, e) for c, e, z in wordings()
            if not CHINESE.search(z) and len(re.findall(r"\b[a-z]{2,}\b(?![=(\]])", e)) > 1 and not names.search(e)
            and not re.fullmatch(r"[\w{}=,.;: ()'\"\[\]<>@/-]*", z)]
    assert kept == []


def test_filled_sentences_are_translated_with_what_fills_them() -> None:
    """The round trip: every template is filled with odd names and numbers, and these come out in their places."""
    lot = random.Random(0)
    missed = []
    for code, pairs in sentences().items():
        for english, wanted in pairs:
            count = len(template(english, wanted).holes)
            # where two holes stand side by side, the second is a remark behind a comma
            words = [", " * (f"}}{{{i}}}" in english) + "".join(lot.choices(string.ascii_uppercase, k=6))
                     for i in range(count)]
            if translated(code, english.format(*words), "zh") != wanted.format(*words):
                missed.append((code, english))
    assert missed == []


def test_one_code_says_one_thing_once() -> None:
    for code, pairs in sentences().items():
        assert len({e for e, _ in pairs}) == len(pairs), code


def test_methods_metrics_and_help_are_in_chinese() -> None:
    found = [m.summary for m in (*catalog.methods().values(), *catalog.metrics().values())
             if (m.run.__module__ or "").startswith("pellucid.")]
    found += [(fn.__doc__ or "").strip().partition("\n")[0] for fn in catalog.compositions().values()]
    assert len(found) > 60
    assert [s for s in found if not CHINESE.search(translated("summary", s, "zh"))] == []
    shell = get_command(app)
    verbs = [shell, *shell.commands.values()]  # pyright: ignore[reportAttributeAccessIssue]
    helps = [v.help for v in verbs] + [getattr(p, "help", "") for v in verbs for p in v.params]
    assert len(helps) > 100
    known = {e for c, e, _ in wordings() if c == "help"}
    assert [h for h in helps if h and h not in known and not CHINESE.search(translated("help", h, "zh"))] == []


def test_what_nobody_knows_stays_as_it_is() -> None:
    for code, text in (("their.code", "a flux above 3"), ("csv.ragged", "a sentence of another package"), ("", "")):
        assert translated(code, text, "zh") == text
    assert translated("csv.ragged", "3 cells in line 7", "en") == "3 cells in line 7"
    assert translated("csv.ragged", "3 cells in line 7", "zh") == "第 7 行有 3 个单元格"


def test_hostile_fillings_are_data() -> None:
    """Braces, templates and long lists in what a user named come out as they went in, and quickly."""
    for name in ("{0}", "{1!r}", "'; drop'", "at most {0}", "a" * 3000, ", " * 1500, "；" * 900):
        told = translated("file.missing", f"no file {name}", "zh")
        assert told == f"没有文件 {name}"


def test_lists_and_phrases_inside_a_sentence() -> None:
    told = translated("method.caveat", "gates that are no ReLUs keep their own gradient: GELU at a.b, tanh at the "
                      "model's own forward and 3 more", "zh")
    assert told == "不是 ReLU 的门控保留其原有梯度：a.b 处的 GELU、模型自身的前向计算处的 tanh 及另外 3 个"
    told = translated("layer.unknown", "did you mean 'layer4' or 'layer3'?", "zh")
    assert told == "是否指 'layer4' 或 'layer3'？"
    told = translated("input.shape", "a tensor of 9 axes; expected at most 6 axes", "zh")
    assert told == "9 个轴的张量；应为至多 6 个轴"


def test_no_key_stands_in_two_topics() -> None:
    seen: dict[str, list[str]] = defaultdict(list)
    for found in pkgutil.iter_modules(strings.__path__):
        for topic in vars(import_module(f"{strings.__name__}.{found.name}")).values():
            for key in topic if isinstance(topic, dict) else ():
                if isinstance(topic.get(key), tuple):
                    seen[key].append(found.name)
    assert {k: v for k, v in seen.items() if len(v) > 1} == {}
    assert set(CATALOGUE) == set(seen)
    files = {f.name for f in pkgutil.iter_modules(chinese.__path__)}
    assert files == {*AREAS, *(f"{a}_more" for a in GOES_ON), "phrases"}


def test_names_and_numbers_need_no_words() -> None:
    assert plain("steps={0}, most={1}")
    assert plain("{0} × {1}")
    assert not plain("{0} cells")
