"""The same drawing in a real JupyterLab, as a display and as a widget, and in the page that a notebook becomes."""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jupyterlab")
nbformat = pytest.importorskip("nbformat")

CELLS = [
    "import pellucid\nfrom pellucid import catalog\nsubject = pellucid.load('demo:tumours')\n"
    "e = pellucid.explain(subject, pellucid.samples('tumours')[0], 'shapley_sampling', samples=60)\ne",
    "w = e.live()\nw",
    "subject",
    "from pellucid import notebook\nseen = []\nwith notebook.progress('explaining') as told:\n"
    "    pellucid.explain(subject, pellucid.samples('tumours')[:3], 'kernel_shap',\n"
    "                     progress=lambda done, asked: (seen.append(done), told(done, asked)))\nprint(len(seen))",
    "catalog.methods()",
]


ANSWER = "print('python knows', w.selected, w.total, float(e.values.flatten()[w.selected].sum()), w.interval)"


def notebook(folder: Path, cells: list[str]) -> Path:
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata=kernel)
    place = folder / "explained.ipynb"
    nbformat.write(nb, place)
    return place


def ran(folder: Path, env: dict[str, str]) -> Path:
    """The notebook with its outputs."""
    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace",
                    str(notebook(folder, CELLS))], check=True, env=env, timeout=240, capture_output=True)
    return folder / "explained.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, child_environment: dict[str, str]) -> Path:
    return ran(tmp_path_factory.mktemp("notebook"), _homed(child_environment, tmp_path_factory))


def _homed(env: dict[str, str], folders: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose settings and kernels are nobody's."""
    home = str(folders.mktemp("home"))
    for name, told in (("notebook-extension/tracker", '{"windowingMode": "none"}'),  # all outputs stay in the page
                       ("apputils-extension/notification", '{"fetchNews": "false", "checkForUpdates": false}')):
        place = Path(home, "settings", "@jupyterlab", f"{name}.jupyterlab-settings")
        place.parent.mkdir(parents=True)
        place.write_text(told)
    return {**env, "HOME": home, "JUPYTERLAB_SETTINGS_DIR": f"{home}/settings",
            "JUPYTER_CONFIG_DIR": f"{home}/config", "JUPYTER_DATA_DIR": f"{home}/data",
            "JUPYTER_RUNTIME_DIR": f"{home}/run", "IPYTHONDIR": f"{home}/ipython"}


def test_outputs_hold_the_drawing_its_text_and_no_address(executed: Path) -> None:
    nb = nbformat.read(executed, 4)
    first = nb.cells[0].outputs[-1].data
    assert "srcdoc" in first["text/html"]
    assert "radius" in first["text/plain"]
    for cell in nb.cells:
        for output in cell.outputs:
            html = output.get("data", {}).get("text/html", "")
            assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
            assert "https://" not in html


def test_progress_is_shown_while_work_goes_on_and_gone_at_its_end(executed: Path) -> None:
    (cell,) = [c for c in nbformat.read(executed, 4).cells if "progress(" in c.source]
    bars = [o for o in cell.outputs if o.output_type == "display_data"]
    assert len(bars) == 1  # one place, brought up to date
    assert bars[0].data["text/html"] == ""
    assert int(next(o.text for o in cell.outputs if o.output_type == "stream")) > 1


def test_a_notebook_that_became_a_page_is_live_offline(executed: Path, visit: Any) -> None:
    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "html", str(executed)], check=True, timeout=120,
                   capture_output=True)
    seen = visit(executed.with_suffix(".html").as_uri(), offline=True)
    frame = seen.page.frame_locator("iframe").first
    seen.page.locator("iframe").first.scroll_into_view_if_needed()
    frame.locator(".pellucid-live .surface").wait_for()
    frame.locator(".surface").focus()
    seen.page.keyboard.press("ArrowRight")
    assert "radius" in frame.locator("output").inner_text()
    assert frame.locator("svg text").count() > 20
    # what nbconvert's own page asks for fails offline, and nothing of ours is among it
    assert not [a for a in seen.outside if not any(t in a.lower() for t in ("require", "mathjax", "jupyter-widgets"))]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, child_environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """A JupyterLab of its own with the notebook in it: its address and token."""
    folder, token = tmp_path_factory.mktemp("lab"), secrets.token_hex(16)
    notebook(folder, [*CELLS[:2], ANSWER])
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = (folder / "log.txt").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1", "--allow-root",
         f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--ServerApp.port_retries=0",
         "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
        stdout=log, stderr=log, env=_homed(child_environment, tmp_path_factory))
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "log.txt").read_text()
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}", token
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def test_jupyterlab_shows_the_drawing_and_the_widget_tells_python(lab: tuple[str, str], visit: Any) -> None:
    address, token = lab
    seen = visit(f"{address}/lab/tree/explained.ipynb?token={token}&reset", local=(address, address.replace(
        "http", "ws"), "data:", "blob:", "about:"))
    page = seen.page
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    asked = page.locator(".jp-Dialog button.jp-mod-accept")  # which kernel, where it is not there yet
    page.locator(".jp-Dialog button.jp-mod-accept, .jp-InputPrompt:has-text('*')").first.wait_for(timeout=60_000)
    if asked.is_visible():
        asked.click()
    page.locator(".jp-OutputArea-output pre", has_text="python knows").wait_for(timeout=150_000)
    # the display: a frame of its own
    page.locator(".jp-OutputArea iframe").first.scroll_into_view_if_needed()
    frame = page.frame_locator(".jp-OutputArea iframe").first
    surface = frame.locator(".surface")
    surface.wait_for(timeout=60_000)
    surface.focus()
    page.keyboard.press("ArrowRight")
    told = frame.locator("output").inner_text()
    assert "radius" in told
    frame.locator("input[name=threshold]").evaluate("e => { e.value = 0.9; e.dispatchEvent(new Event('input')); }")
    hidden = "rs => rs.filter(r => r.style.visibility === 'hidden').length"
    assert frame.locator("rect[data-at]").evaluate_all(hidden) > 5
    # the widget: what is selected in it is known to Python
    widget = page.locator(".jp-OutputArea .pellucid-live").first
    widget.wait_for(timeout=60_000)
    widget.scroll_into_view_if_needed()
    widget.locator(".surface").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    shown = widget.locator("output").inner_text()
    assert shown.startswith("2 selected, sum ")
    page.get_by_text("print(", exact=False).first.click()
    page.keyboard.press("Control+Enter")
    answer = page.locator(".jp-OutputArea-output pre", has_text=re.compile(r"python knows \[\d+, \d+\]"))
    answer.wait_for(timeout=60_000)
    at, total, true = re.search(r"python knows (\[.*?\]) (\S+) (\S+)", page.locator(
        ".jp-OutputArea-output pre").last.inner_text()).groups()
    assert len(at.split(",")) == 2
    assert float(total) == pytest.approx(float(true))
    assert float(shown.split("sum ")[1].split(" ")[0].replace("−", "-")) == pytest.approx(float(true), rel=6e-3)
    if os.environ.get("PELLUCID_PICTURES"):
        page.screenshot(path=os.path.join(os.environ["PELLUCID_PICTURES"], "lab.png"))
    seen.outside = [a for a in seen.outside if "jupyterlab" not in a]
    assert seen.outside == []
