"""npm tus-js-client in Chromium, on a page of the portal: the protocol, not our own page.

The page's rules about scripts are set aside for it; session and CSRF token are those of the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from conftest import missing
from live.interruptions import Line, assert_stored_once, line_to_portal, make_file

CLIENT = Path(__file__).parents[1] / "live" / "tus" / "node_modules" / "tus-js-client"
MIB = 1024 * 1024
SIZE = 24 * MIB + 4711
MILLISECONDS = 40_000

#: Begins the upload of the chosen file, or goes on with what an earlier page began.
START = """
async (options) => {
  const [file] = document.querySelector("#chosen").files;
  const said = { answers: [], outcome: "", sent: 0 };
  window.said = said;
  const upload = new tus.Upload(file, {
    endpoint: "/api/v1/uploads",
    headers: { "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content },
    metadata: { filename: file.name },
    retryDelays: [0, 200, 500, 1000, 1000, 1000, 2000, 2000, 3000, 3000],
    ...options,
    onAfterResponse: (request, response) => {
      said.answers.push(`${request.getMethod()} ${response.getStatus()}`);
    },
    onProgress: (sent) => { said.sent = sent; },
    onError: (error) => { said.outcome = String(error); },
    onSuccess: () => { said.outcome = "stored"; },
  });
  window.upload = upload;
  const [earlier] = await upload.findPreviousUploads();
  if (earlier) upload.resumeFromPreviousUpload(earlier);
  upload.start();
}
"""


@pytest.fixture(scope="module")
def line(module_database: str) -> Iterator[Line]:
    with line_to_portal(module_database) as line:
        yield line


@pytest.fixture
def context(chromium: Browser, line: Line) -> Iterator[BrowserContext]:
    if not CLIENT.is_dir():
        missing("tus-js-client", f"npm ci --ignore-scripts --prefix {CLIENT.parents[1]}")
    context = chromium.new_context(base_url=line.proxy.url, bypass_csp=True)
    context.set_default_timeout(MILLISECONDS)
    context.add_cookies(
        [{"name": n, "value": v, "url": line.proxy.url} for n, v in line.alice.cookies.items()]
    )
    context.route("**/tus.js", lambda route: route.fulfill(path=CLIENT / "dist" / "tus.js"))
    yield context
    context.close()


def start(context: BrowserContext, path: Path, **options: Any) -> Page:
    page = context.new_page()
    page.goto("/account")
    page.add_script_tag(url="/tus.js")
    page.evaluate(
        """() => {
          const field = Object.assign(document.createElement("input"), {type: "file"});
          field.id = "chosen";
          document.body.append(field);
        }"""
    )
    page.set_input_files("#chosen", path)
    page.evaluate(START, options)
    return page


def told(page: Page) -> dict[str, Any]:
    page.wait_for_function("said.outcome")
    said: dict[str, Any] = page.evaluate("said")
    return said


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("one", {}),
        ("many", {"chunkSize": 3 * MIB}),
        ("along", {"uploadDataDuringCreation": True, "chunkSize": 5 * MIB}),
    ],
)
def test_upload_gets_through_cuts(
    line: Line, context: BrowserContext, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = make_file(tmp_path, f"page-{name}.bin", SIZE)
    line.proxy.cut(Random(path.name), 4, least=MIB // 2, most=SIZE // 6)
    said = told(start(context, path, **options))
    assert said["outcome"] == "stored", said
    assert line.proxy.cuts_left == 0
    assert_stored_once(line, path)


def test_upload_outlives_the_server(line: Line, context: BrowserContext, tmp_path: Path) -> None:
    path = make_file(tmp_path, "page-restart.bin", SIZE)
    line.proxy.when_passed(SIZE // 2, line.restart)
    said = told(start(context, path))
    assert said["outcome"] == "stored", said
    assert "HEAD 200" in said["answers"]
    assert_stored_once(line, path)


def test_upload_goes_on_on_another_page(
    line: Line, context: BrowserContext, tmp_path: Path
) -> None:
    path = make_file(tmp_path, "page-later.bin", SIZE)
    first = start(context, path, chunkSize=4 * MIB)
    first.wait_for_function(f"said.sent > {SIZE // 2}")
    first.close()
    said = told(start(context, path, chunkSize=4 * MIB))
    assert said["outcome"] == "stored", said
    assert said["answers"][0] == "HEAD 200"
    assert len([answer for answer in said["answers"] if answer == "PATCH 204"]) < 6
    assert_stored_once(line, path)


def test_upload_is_given_up(line: Line, context: BrowserContext, tmp_path: Path) -> None:
    path = make_file(tmp_path, "page-given-up.bin", SIZE)
    page = start(context, path, chunkSize=4 * MIB)
    page.wait_for_function(f"said.sent > {SIZE // 3}")
    page.evaluate("upload.abort(true)")
    address = page.evaluate("upload.url")
    assert page.evaluate("said.answers.at(-1)") == "DELETE 204"
    assert line.alice.head(address.removeprefix(line.proxy.url)).status == 404
    assert line.documents(path.name) == []
