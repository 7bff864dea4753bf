"""Models by name: what cannot be loaded says why, and nothing is run without trust."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import pytest
import torch
from refusal import refused
from safetensors.torch import save_file
from torch import nn

from pellucid.models import demo
from pellucid.models.module import wrap
from pellucid.models.sources import load
from pellucid.models.vision import mismatch_in, vision_fault
from pellucid.words.errors import PellucidError

CODE = """
from torch import nn
from pellucid import wrap, ImagePreprocess
def net(): return nn.Linear(3, 2)
def pictures(): return wrap(nn.Conv2d(3, 4, 3), ImagePreprocess((8, 8)))
def broken(): return 1 / 0
def text(): return "hello"
number = 7
"""


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module of one's own."""
    name = f"own_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return Path(name)


@pytest.mark.parametrize(("name", "code", "hint"), [
    ("resnet18", "source.unknown", "torchvision:NAME"), ("torchvison:resnet18", "source.unknown", "'torchvision'"),
    ("demo:", "source.unknown", "demo:NAME"), ("demo:digit", "demo.unknown", "'digits'"),
    ("file:nothing.pt", "file.missing", "check the name"), ("hf:./nothing", "file.missing", "check the name"),
    ("python:nothing_here:f", "source.unknown_module", "install"), ("python:torch", "source.unreadable", "colon"),
    ("python:torch.nn:Linaer", "source.unknown_function", "'Linear'"),
])
def test_an_unknown_source_says_what_there_is(name: str, code: str, hint: str) -> None:
    assert hint in refused(code, lambda: load(name)).do


def test_pickles_run_nothing_without_trust_and_nothing_with_it(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for suffix in (".pt", ".pth", ".bin", ".pkl", ".ckpt", ".pt2"):
        path = tmp_path / f"model{suffix}"
        path.write_bytes(pickle.dumps(Bomb(f"touch {mark}")))
        refused("source.untrusted", lambda path=path: load(f"file:{path}"))
    torch.save({"weight": Bomb(f"touch {mark}")}, tmp_path / "model.pt")
    error = refused("weights.unreadable", lambda: load(f"file:{tmp_path}/model.pt", trust=True))
    assert not mark.exists()
    assert "posix" not in str(error)  # torch's own words would name what was found
    # The bomb is one: opened as pickles are opened, it goes off.
    pickle.loads((tmp_path / "model.pkl").read_bytes())
    assert mark.exists()


def test_a_crafted_sparse_tensor_ends_in_an_error_not_in_a_crash(tmp_path: Path) -> None:
    wild = torch.sparse_coo_tensor(torch.tensor([[2**40]]), torch.ones(1), (2,), check_invariants=False)
    torch.save({"weight": wild}, tmp_path / "wild.pt")
    refused("weights.unreadable", lambda: load(f"file:{tmp_path}/wild.pt", trust=True))


def test_weights_without_code_ask_for_it(tmp_path: Path) -> None:
    state = nn.Linear(3, 2).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    assert "python:" in refused("source.no_architecture", lambda: load(f"file:{tmp_path}/w.safetensors")).do
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 100)
    refused("weights.unreadable", lambda: load(f"file:{tmp_path}/bad.safetensors"))
    (tmp_path / "model.onnx").write_bytes(b"x")
    refused("source.unknown_file", lambda: load(f"file:{tmp_path}/model.onnx"))


def test_an_exported_program_is_loaded_with_trust_only(tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    net = nn.Linear(3, 2)
    torch.export.save(torch.export.export(net, (torch.ones(1, 3),)), path)
    refused("source.untrusted", lambda: load(f"file:{path}"))
    subject = load(f"file:{path}", trust=True)
    weights = [p for p in subject.module.parameters() if p.shape == (2, 3)]
    assert torch.equal(weights[0], net.weight)


def test_a_function_of_ones_own(here: Path, tmp_path: Path) -> None:
    subject = load(f"python:{here}:net", labels=["a", "b"])
    assert isinstance(subject.module, nn.Linear)
    assert subject.labels == ("a", "b")
    assert load(f"python:{here}:pictures").task == "image"
    assert str(tmp_path) not in sys.path
    for function, code in (("broken", "source.failed"), ("text", "source.not_a_model"),
                           ("number", "source.not_a_model"), ("nett", "source.unknown_function")):
        error = refused(code, lambda function=function: load(f"python:{here}:{function}"))
        assert "division" not in str(error)
    refused("device.unknown", lambda: load(f"python:{here}:net", device="gpu"))


def test_weights_must_fit_by_name_and_shape(here: Path, tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    save_file(net.state_dict(), "good.safetensors")
    assert torch.equal(load(f"python:{here}:net@good.safetensors").module.weight, net.weight)
    torch.save(net.state_dict(), "good.pth")
    refused("source.untrusted", lambda: load(f"python:{here}:net@good.pth"))
    assert torch.equal(load(f"python:{here}:net@good.pth", trust=True).module.weight, net.weight)
    for state, said in (({"weight": torch.zeros(2, 3)}, "1 missing (bias)"),
                        ({**net.state_dict(), "more": torch.zeros(1)}, "1 unexpected (more)"),
                        (nn.Linear(4, 2).state_dict(), "1 of another shape (weight)")):
        save_file(state, "bad.safetensors")
        assert said in refused("weights.mismatch", lambda: load(f"python:{here}:net@bad.safetensors")).found
    save_file({f"module.{k}": v for k, v in net.state_dict().items()}, "bad.safetensors")
    assert "prefix" in refused("weights.mismatch", lambda: load(f"python:{here}:net@bad.safetensors")).do


def test_what_cannot_be_wrapped_says_so() -> None:
    refused("model.parallel", lambda: wrap(nn.DataParallel(nn.Linear(2, 2))))
    refused("model.type", lambda: wrap(len))  # pyright: ignore[reportArgumentType]
    refused("model.no_weights", lambda: wrap(nn.Linear(2, 2, device="meta")))
    refused("model.uninitialised", lambda: wrap(nn.LazyLinear(2)))
    refused("layer.unknown", lambda: wrap(nn.Sequential(nn.Embedding(3, 2)), site="1"))
    refused("wrap.several", lambda: wrap(nn.Linear(2, 2), preprocess=len, tokenizer=len))
    net = nn.Linear(2, 2)
    subject = wrap(torch.compile(net, backend="eager"))  # pyright: ignore[reportArgumentType]
    assert subject.module is net
    assert subject.card == {"compiled": True}


def test_ids_are_explained_at_a_site() -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    refused("input.integer", lambda: wrap(net).read(torch.tensor([[1, 5, 8]])))
    subject = wrap(net, site="0")
    example = subject.read(torch.tensor([[1, 5, 8]]))
    assert str(example.site) == "0"
    assert example.x is None
    assert subject.reader.features(example, None, True).names == ("0: 1", "1: 5", "2: 8")


def test_library_models(vision: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*args: Any, **options: Any) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("torchvision:squeezenet1_1", "timm:resnet10t"):
        assert "random" in refused("weights.unavailable", lambda name=name: load(name)).do
        refused("source.unknown_model", lambda name=name: load(f"{name}x"))
        refused("source.option", lambda name=name: load(f"{name}?weight=random"))
        subject = load(f"{name}?weights=random&num_classes=7")
        assert subject.labels == ()
        assert not subject.module.training
        save_file(subject.module.state_dict(), tmp_path / "w.safetensors")
        refused("weights.mismatch", lambda name=name: load(f"{name}@{tmp_path}/w.safetensors"))
        again = load(f"{name}?num_classes=7@{tmp_path}/w.safetensors").module.state_dict()
        assert all(torch.equal(again[k], v) for k, v in subject.module.state_dict().items())
    refused("hf.unavailable", lambda: load("hf:nobody/nothing"))


def test_hugging_face_folders(vision: bool, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "good": 2, "bad": 3}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
                        max_position_embeddings=20, id2label={0: "no", 1: "yes"})
    for model, folder in ((BertForSequenceClassification(config), "whole"), (BertModel(config), "headless")):
        model.save_pretrained(tmp_path / folder)
        PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]",
                                pad_token="[PAD]").save_pretrained(tmp_path / folder)
    subject = load(f"hf:{tmp_path}/whole")
    assert (subject.task, subject.labels) == ("text", ("no", "yes"))
    assert subject.read("good bad").shown.cells == ("good", "bad")
    assert subject.reader.baseline_of(None) == "pad"
    refused("hf.no_head", lambda: load(f"hf:{tmp_path}/headless"))
    (tmp_path / "whole" / "model.safetensors").rename(tmp_path / "whole" / "pytorch_model.bin")
    refused("hf.unsafe_weights", lambda: load(f"hf:{tmp_path}/whole"))
    (tmp_path / "whole" / "config.json").unlink()
    refused("hf.incomplete", lambda: load(f"hf:{tmp_path}/whole"))


def test_a_torchvision_for_another_torch_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    broken = "raise RuntimeError('operator torchvision::nms does not exist')"
    (tmp_path / "torchvision" / "__init__.py").write_text(broken)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    fault = vision_fault()
    assert fault is not None
    assert fault.code == "vision.mismatch"
    assert "pip install" in fault.do
    # transformers says only that a module is missing; the reason hangs behind it.
    hidden = ModuleNotFoundError("Could not import module 'BertModel'")
    hidden.__cause__ = RuntimeError("operator torchvision::nms does not exist")
    assert mismatch_in(hidden) is not None
    assert mismatch_in(ModuleNotFoundError("something else")) is None


def test_child_processes_can_import_what_tests_can(child_environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", "import torchvision"], env=child_environment, check=True)


@pytest.mark.parametrize("name", [n for n in demo.NAMES if (demo.FOLDER / n / "card.json").is_file()])
def test_every_demo_subject_reads_its_samples(name: str, vision: bool) -> None:
    subject = demo.demo(name)
    inputs = demo.samples(name)
    assert len(inputs) >= 3
    assert len(subject.labels) == len(subject.labels_zh) >= 2
    for raw in inputs:
        example = subject.read(raw)
        assert subject.reader.features(example, None, True).n > 3
        assert not isinstance(subject.reader.baseline(example, None), PellucidError)
