"""The developers' page: everything that the functions say of themselves, and examples that run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import playwright
import pytest
from playwright.sync_api import expect

from tests.functions import processes
from tests.functions.processes import Process
from tests.page.conftest import LEAF, Sites

NODE = Path(playwright.__file__).parent / "driver" / "node"


def test_page_says_all_that_openapi_says(sites: Sites, service: Process) -> None:
    site = sites()
    site.page.goto(f"{service.url}/docs")
    document = site.page.request.get(f"{service.url}/openapi.json").json()
    expect(site.page.locator("#schemas")).to_be_visible()
    text = site.page.locator("main").inner_text()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in text
            for parameter in operation.get("parameters", []):
                assert parameter["name"] in text
    for name in document["components"]["schemas"]:
        expect(site.page.locator(f"main [id='{name}']")).to_have_count(1)


def test_every_function_documents_itself(sites: Sites, tmp_path: Path) -> None:
    with processes.uvicorn(tmp_path, "explain", PLANT_LOG_LEVEL="WARNING") as process:
        site = sites(url=process.url)
        for prefix in ("", "/v1"):
            site.page.goto(f"{process.url}{prefix}/docs")
            expect(site.page.locator("#post-explain")).to_be_visible()
            expect(site.page.locator("#post-predict")).to_have_count(0)


def test_copy(sites: Sites, service: Process) -> None:
    site = sites()
    site.page.goto(f"{service.url}/docs")
    site.page.get_by_role("button", name="Python", exact=True).click()
    site.page.get_by_role("button", name="Copy the Python example of POST /predict").click()
    expect(site.page.locator("#status")).to_have_text("Copied")
    assert "httpx.post(" in site.page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_examples_run_as_they_stand(sites: Sites, service: Process, tmp_path: Path, language: str) -> None:
    site = sites()
    site.page.goto(f"{service.url}/docs")
    expect(site.page.locator("#schemas")).to_be_visible()
    shutil.copy(LEAF, tmp_path / "leaf.jpg")
    samples = {
        each.get_attribute("id"): each.locator(f"[data-language={language}] code").text_content() or ""
        for each in site.page.locator("main > section:has(.sample)").all()
    }
    assert {"post-predict", "post-batch", "post-explain", "get-classes"} <= set(samples)
    environment = {**os.environ, "PLANT_KEY": "pd_example", "PYTHONIOENCODING": "utf-8"}
    for name, code in samples.items():
        (tmp_path / "example.mjs").write_text(code)
        command = {
            "curl": ["bash", "-c", code.replace("curl ", "curl --silent --show-error --fail ", 1)],
            "Python": [sys.executable, "-c", code],
            "JavaScript": [str(NODE), "example.mjs"],
        }[language]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{name}: {code}\n{done.stderr}"
        if language == "curl":
            json.loads(done.stdout)
        if name == "post-predict":
            assert "Cedar_apple_rust" in done.stdout
