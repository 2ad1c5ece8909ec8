"""results/index.html as a browser shows it, and pages as a code host renders them at 900 px."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest
from records import grid, leaderboards, save

from bench.pages import report
from bench.pages.browser_page import browser_page
from bench.records.results import Results

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed (apt-get install chromium)")


def shown(address: str) -> str:
    """The page's document after its script ran."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--window-size=900,900"]
    command = [CHROMIUM, *flags, "--virtual-time-budget=5000", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def names(document: str) -> list[str]:
    """The first column of the table of rows."""
    body = document.split("<tbody>")[1].split("</tbody>")[0]
    return re.findall(r"<tr><td>(.*?)</td>", body)


@pytest.fixture
def page(tmp_path):
    records = [r for k, name in enumerate(("unet", "resunet", "r2unet"))
               for r in grid((name,), n=30, level=0.98 - 0.01 * k)]  # fmt: skip
    save(tmp_path, [*records, *grid(("lwnet",), n=30, suite="other")])
    report.write(Results(tmp_path), figures=False)
    return (tmp_path / "index.html").as_uri()


@needs_chromium
def test_rows_are_sorted_and_filtered_and_the_strip_shows_each_image(page):
    document = shown(f"{page}#section=all")
    assert names(document) == ["U-Net", "LW-Net", "ResUNet", "R2U-Net"], "by Dice, the highest first"
    assert names(shown(f"{page}#section=all&sort=dice&down=0")) == ["R2U-Net", "ResUNet", "LW-Net", "U-Net"]
    assert names(shown(f"{page}#section=all&filter=resu")) == ["ResUNet"]
    assert "1 of 4 rows" in shown(f"{page}#section=all&filter=resu")
    first = shown(f"{page}#section=0&a=0&b=2")
    strip = first.split('id="strip"')[1].split("</svg>")[0]
    assert strip.count("<circle") == 2 * 30
    assert "U-Net has the higher Dice on " in first


PHONE = """<iframe src="{}" style="width:400px"></iframe><script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument.documentElement;
  document.title = page.scrollWidth > page.clientWidth ? "scrolls" : page.clientWidth < 401 ? "fits" : "wide";
}};
</script>"""


@needs_chromium
def test_on_a_phone_the_page_itself_does_not_scroll_sideways(page, tmp_path):
    frame = tmp_path / "phone.html"
    frame.write_text(PHONE.format(page))
    assert "<title>fits</title>" in shown(frame.as_uri())


def test_nothing_is_fetched_and_no_name_leaves_its_place(tmp_path):
    records = grid(("unet",), n=25)
    for r in records:
        r["cell"]["architecture"] = "<!--<script>alert(1)"
    (leaderboard,) = leaderboards(records)
    text = browser_page([leaderboard], {"fake": "fake.md"})
    assert text.count("<script") == text.count("</script>") == 2, "the data and the program"
    assert "<!--<script>" not in text
    assert not re.findall(r'(?:src|href)="https?:', text)
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert len(data["sections"][0]["rows"][0]["images"]) == 25


RENDERED = """<meta charset="utf-8"><style>main{{width:868px;font:16px/1.5 "Noto Sans",Helvetica,Arial,sans-serif}}
table{{border-collapse:collapse;display:block;width:max-content;max-width:100%;overflow:auto}}
td,th{{border:1px solid;padding:6px 13px}}</style><main>{}</main><script>
const bad = [];
for (const t of document.querySelectorAll("table"))
  if (t.scrollWidth > t.clientWidth) bad.push("scrolls: " + t.innerText);
for (const cell of document.querySelectorAll("td")) {{
  if (!/^[-+]?\\d/.test(cell.innerText)) continue;
  const range = document.createRange();
  range.selectNodeContents(cell);
  const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top / 8)));
  if (lines.size > 1) bad.push("wraps: " + cell.innerText);
}}
document.title = bad.length ? bad.join("; ") : "fits";
</script>"""


@needs_chromium
@pytest.mark.parametrize("name", ["README", "montgomery-64", "montgomery-128-strong", "ablation-128", "quick"])
def test_no_number_of_a_committed_page_wraps_and_no_table_scrolls_at_900_px(tmp_path, name):
    markdown_it = pytest.importorskip("markdown_it")
    from test_report import RESULTS

    text = (RESULTS / f"{name}.md").read_text().replace("<details>", "<details open>")
    html = markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(text)
    file = tmp_path / "page.html"
    file.write_text(RENDERED.format(html))
    assert re.search("<title>(.*?)</title>", shown(file.as_uri()), re.DOTALL)[1] == "fits"
