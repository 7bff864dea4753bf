"""Which language is spoken at the doors: an argument, --lang, PELLUCID_LANG, else English."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from typing import Any

import pytest

import pellucid
from pellucid.cli.main import main
from pellucid.languages.choice import chosen, spoken
from pellucid.words.activity import Fault
from pellucid.words.errors import Disconnected, InputError, OptionError
from pellucid.words.explanation import Finding
from pellucid.words.watch import Event
from tests.drawings import samples

CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_LANG", "zh")
    monkeypatch.setenv("COLUMNS", "80")


def test_an_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PELLUCID_LANG", raising=False)
    assert (chosen(), chosen("zh"), spoken()) == ("en", "zh", "en")
    monkeypatch.setenv("PELLUCID_LANG", "zh")
    assert (chosen(), chosen("en"), spoken()) == ("zh", "en", "zh")


@pytest.mark.parametrize("named", ["fr", "ZH", "中文"])
def test_an_unknown_language_is_refused_and_never_keeps_an_error_from_being_told(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OptionError) as refused:
        samples.digit().svg(lang=named)
    assert refused.value.code == "option.lang"
    monkeypatch.setenv("PELLUCID_LANG", named)
    with pytest.raises(OptionError, match="PELLUCID_LANG"):
        samples.digit().text()
    assert spoken() == "en"
    assert str(InputError("csv.ragged", "3 cells in line 7", "4", "x")).startswith("[csv.ragged] found 3 cells")


@pytest.mark.usefixtures("chinese")
def test_records_follow_the_environment() -> None:
    e = samples.row()
    for said in (e.svg(), e.text(), *(t.title for t in e.tables())):
        assert CHINESE.search(said)
    assert "Why ‘buys’?" in e.text(lang="en")


@pytest.mark.usefixtures("chinese")
def test_errors_say_their_parts_in_chinese_and_keep_them_in_english() -> None:
    error = InputError("csv.ragged", "3 cells in line 7", "4, as in the header",
                       "put cells that hold the separator in quotes")
    told = "实际：第 7 行有 3 个单元格；应为：4 个，与表头一致；建议：含分隔符的单元格请加引号"
    assert str(error) == f"[csv.ragged] {told}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert error.as_dict()["found"] == error.told("en")[0] == "3 cells in line 7"
    told = Disconnected("layer1", "norm at block").told()[0]
    assert told == "得分在 layer1 处没有梯度，只经过被视为常数的 block 处的 norm"
    with pytest.raises(OptionError) as refused:
        pellucid.explain(pellucid.load("demo:recommender"), pellucid.samples("recommender")[0], "salienzy")
    assert "是否指 'saliency'" in str(refused.value)


def test_findings_are_told_from_their_code_or_their_facts() -> None:
    said = "every value is zero: the score does not react here"
    stored = Finding("values.all_zero", "warn", said, "what we never say")
    assert stored.told("zh") == ("所有值均为零：得分在此没有反应", "what we never say")
    theirs = Finding("their.code", "warn", "the flux is above 3", "lower it")
    assert theirs.told("zh") == ("the flux is above 3", "lower it")
    fault = Fault("heads.same", "warn", "…", "…", facts={"list": "a[0], a[1]", "least": "0.99"})
    assert fault.told("zh")[0] == "注意力头 a[0], a[1] 关注相同的词元：其模式的相关系数不低于 0.99"
    theirs = Fault("heads.same", "warn", "alike they are", "keep one", facts={"other": 1})
    assert theirs.told("zh") == ("alike they are", "keep one")
    event = Event("weights.still", "warn", "…", "…", facts={"step": 7, "layer": "fc"})
    assert event.told("zh")[0] == "第 7 步：fc 有梯度，但权重不变"


SHELL: tuple[tuple[tuple[str, ...], int, tuple[str, ...]], ...] = (
    ((), 0, ("用法：", "选项：", "解释一张图片")),
    (("--help",), 0, ("退出码：0 正常",)),
    (("explain", "--help"), 0, ("模型为何如此判断", "参数", "显示此说明并退出", "使随机抽样可重复")),
    (("methods",), 0, ("积分梯度", "询问梯度，完备", "套在方法之外")),
    (("explain", "demo:digits", "no.png"), 2, ("实际  没有文件 'no.png'", "应为  存在的文件", "建议  检查")),
    (("explain", "demo:digits", "no.png", "--chunk", "x"), 2, ("建议  参见 pellucid explain --help",)),
    (("frob",), 2, ("一个命令：demo",)),
)


@pytest.mark.usefixtures("chinese")
@pytest.mark.parametrize(("args", "code", "words"), SHELL, ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_the_shell_speaks_chinese(args: tuple[str, ...], code: int, words: tuple[str, ...],
                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(args)) == code
    said = capsys.readouterr()
    told = said.out + said.err
    assert [w for w in words if w not in told] == []


def test_an_error_is_told_in_the_language_of_the_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "demo:digits", "no.png", "--lang", "zh"]) == 2
    assert "实际  没有文件" in capsys.readouterr().err
    assert main(["explain", "demo:digits", "no.png", "--lang=en"]) == 2
    assert "found     no file" in capsys.readouterr().err
    assert main(["show", "no.pellucid", "--json", "--lang", "zh"]) == 2
    said = capsys.readouterr()
    assert '"expected": "a saved explanation"' in said.out, "what machines read stays English"
    assert "已保存的解释" in said.err


def test_help_in_chinese_leaves_no_trace(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_LANG", "zh")
    main(["demo", "--help"])
    assert "解释一张图片" in capsys.readouterr().out
    monkeypatch.setenv("PELLUCID_LANG", "en")
    main(["demo", "--help"])
    assert not CHINESE.search(capsys.readouterr().out)


def test_help_in_chinese_needs_no_torch() -> None:
    code = "import sys; from pellucid.cli.main import main; main(['--help']); sys.exit('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], env={"PELLUCID_LANG": "zh", "PATH": "", "PYTHONUTF8": "1"},
                           capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode()
    assert "退出码" in found.stdout.decode()


def test_the_doctor_speaks_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid.doctor import Check, Report

    found: Any = Report((
        Check("explains on cpu", "pass", "cpu: relative error 7.3e-08 against the closed form in float64"),
        Check("numpy", "fail", "not installed", "pip install numpy", "package.missing"),
        Check("torchvision beside torch", "fail", "torchvision 0.1 beside torch 2.9",
              "mend torchvision first, see above", "vision.mismatch"),
    ))
    monkeypatch.setenv("PELLUCID_LANG", "zh")
    told = str(found)
    for words in ("在 cpu 上解释", "相对 float64 闭式解的误差为 7.3e-08", "未安装", "先修好",
                  "torchvision 0.1 与 torch 2.9 不匹配"):
        assert words in told
    assert found["numpy"].told("en") == ("numpy", "not installed", "pip install numpy")
