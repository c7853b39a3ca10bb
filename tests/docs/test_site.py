"""The documentation builds as a site without a warning, says what the code says, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mineru_pipeline import settings

ROOT = settings.project_root()
DOCS = ROOT / "docs"


def module_at(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Data classes look their own module up there.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


REFERENCE = module_at(DOCS / "make_reference.py")
DIAGRAMS = module_at(DOCS / "diagrams" / "make_diagrams.py")


def build(config: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--config-file",
        str(config),
        "--site-dir",
        str(target),
    ]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=150, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` does."""
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", target)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_the_site_has_every_page(site: Path) -> None:
    """The strict build passes: no page is left out of the navigation, no link or anchor leads nowhere."""
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert {path for path in pages if not (site / path).is_file()} == set()


def foreign(text: str) -> list[str]:
    """Addresses of other servers that a browser would fetch for a page, a style sheet or a picture by itself."""
    loaded = re.findall(
        r"<(?:script|img|iframe|source|video|audio|embed|image|use)\b[^>]*?\b(?:src|href)=[\"']?([^\"' >]+)", text
    )
    loaded += re.findall(r"<object\b[^>]*?\bdata=[\"']?([^\"' >]+)", text)
    loaded += [each for value in re.findall(r"\bsrcset=\"([^\"]+)", text) for each in value.split()]
    # The address of the page itself names no file to load.
    links = re.findall(r"<link\b[^>]*>", text)
    loaded += [re.findall(r"\bhref=[\"']?([^\"' >]+)", each)[0] for each in links if "canonical" not in each]
    loaded += re.findall(r"@import\s+[\"']([^\"']+)", text)
    loaded += re.findall(r"\burl\(\s*[\"']?([^\"')\s]+)", text)
    return [address for address in loaded if re.match(r"(https?:)?//", address)]


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """No page, style or picture makes a browser fetch a script, a style, a font or a picture from another server."""
    files = [path for kind in ("html", "css", "svg") for path in site.rglob(f"*.{kind}")]
    assert {path.suffix for path in files} == {".html", ".css", ".svg"}
    for path in files:
        text = path.read_text()
        assert foreign(text) == [], path
        # The theme fetches Mermaid from a foreign server wherever it finds such a diagram.
        assert not re.search(r"<(?:pre|code|div)[^>]*\bclass=[\"']?[^\"'>]*mermaid", text), path


@pytest.mark.parametrize(
    "text",
    [
        '<script async src="https://example.com/a.js">',
        "<img alt=a src=//example.com/a.png>",
        '<link href="https://fonts.example.com/css?family=Roboto" rel=stylesheet>',
        '<img srcset="a.png 1x, https://example.com/b.png 2x">',
        '<image xlink:href="https://example.com/a.png"/>',
        '@import "https://example.com/a.css";',
        "@import url(//example.com/a.css);",
        "@font-face{src:url('https://example.com/a.woff2')}",
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(text: str) -> None:
    """However it is written: attributes with and without quotes, sets of pictures, imports, fonts."""
    assert len(foreign(text)) == 1


def test_what_is_only_named_is_no_load() -> None:
    """Links that a reader may follow, and what lies on the same server, are no loads."""
    assert (
        foreign('<a href="https://example.com">a</a><script src="/a.js"></script><style>a{b:url(c.png)}</style>') == []
    )


def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path) -> None:
    """The strict build can fail: a page with a dead link does not pass."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[nowhere](nowhere.md)\n")
    config = (ROOT / "mkdocs.yml").read_text().split("\nnav:")[0]
    (tmp_path / "mkdocs.yml").write_text(config)
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert "nowhere.md" in done.stdout + done.stderr


def test_make_builds_as_the_test_does() -> None:
    """``make docs`` is strict and not quiet: a quiet build counts no warning and fails for none."""
    (line,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if "mkdocs build" in line]
    assert "--strict" in line
    assert not re.search(r" (-q|--quiet)\b", line)


def test_settings_and_commands_are_described_as_they_are() -> None:
    """The reference pages are what the script makes of the code now."""
    assert REFERENCE.differing(DOCS) == []


def test_every_setting_has_its_row_and_says_what_it_does() -> None:
    """No leaf of the tree is missing or without a word about it, and each is named as the environment names it."""
    text = REFERENCE.configuration()
    for name, info in settings.leaves():
        assert f"`{name}` <br>`{settings._env_name(name)}`" in text
        assert info.description, name


def test_a_page_that_differs_is_named(tmp_path: Path) -> None:
    """A page that somebody edited by hand, or forgot to make again, is told."""
    for name, make in REFERENCE.PAGES.items():
        (tmp_path / name).write_text(make())
    assert REFERENCE.differing(tmp_path) == []
    (tmp_path / "commands.md").write_text("# Commands\n")
    assert REFERENCE.differing(tmp_path) == ["commands.md"]


def test_diagrams_are_what_their_script_draws(tmp_path: Path) -> None:
    """Every picture is drawn by the script, every drawing is there, and a picture that differs is named."""
    folder = DOCS / "diagrams"
    assert DIAGRAMS.differing(folder) == []
    assert {path.name for path in folder.glob("*.svg")} == set(DIAGRAMS.DIAGRAMS)
    assert DIAGRAMS.differing(tmp_path) == list(DIAGRAMS.DIAGRAMS)


def test_the_tree_of_the_call_is_told_in_words() -> None:
    """The page asks for the same alerts, in the same order, as the picture on it."""
    page = (DOCS / "operations" / "on-call.md").read_text()
    table = page.split("| if this rings |")[1].split("\n\n")[0]
    told = [re.findall(r"\[(\w+)\]", line.split(" | ")[0]) for line in table.splitlines()[2:]]
    assert [[*names] for names in told if names] == [re.findall(r"[A-Z]\w+", asked) for asked, _ in DIAGRAMS.QUESTIONS]


def test_nothing_in_a_diagram_lies_outside_of_it() -> None:
    """Boxes are within the picture and none covers another; arrows lead from box to box."""
    for name, diagram in DIAGRAMS.DIAGRAMS.items():
        boxes = list(diagram.boxes.values())
        for place, box in enumerate(boxes):
            assert box.width / 2 <= box.x <= diagram.width - box.width / 2, (name, box)
            assert box.height / 2 <= box.y <= diagram.height - box.height / 2, (name, box)
            for other in boxes[:place]:
                apart = abs(box.x - other.x) >= (box.width + other.width) / 2
                assert apart or abs(box.y - other.y) >= (box.height + other.height) / 2, (name, box, other)
        assert {end for arrow in diagram.arrows for end in (arrow.start, arrow.end)} <= set(diagram.boxes)
