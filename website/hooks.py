"""What MkDocs lacks for these pages: the README as the home page, notebooks, and links to files of the repository."""

import base64
import posixpath
import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Where the site has the files of the repository that pages link to.
COPIES = "repository"
HOME = "index.md"
NOTEBOOK = ".ipynb"
CODE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r'(\]\(|\bsrc=")(?!\w+:|#)([^)#\s"]+)')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the README, as the home page, the style, and notebooks as pages beside their files."""
    if files.get_file_from_path(HOME) is None:
        files.append(File.generated(config, HOME, abs_src_path=str(ROOT / "README.md")))
    files.append(File.generated(config, "website/style.css", abs_src_path=str(ROOT / "website" / "style.css")))
    for notebook in [file for file in files if file.src_uri.endswith(NOTEBOOK)]:
        text, pictures = _shown(Path(str(notebook.abs_src_path)))
        files.append(File.generated(config, _page_of(notebook.src_uri), content=text))
        for name, content in pictures.items():
            files.append(
                File.generated(config, posixpath.join(posixpath.dirname(notebook.src_uri), name), content=content)
            )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links of the README, and links to files outside of docs/, to where the site has them."""
    if page.file.src_uri == HOME:
        page.meta["hide"] = ["navigation"]  # which has nothing but the page itself
    here = posixpath.dirname(page.file.src_uri)
    # Where the link is written, in the repository.
    origin = "" if page.file.abs_src_path == str(ROOT / "README.md") else posixpath.join("docs", here)

    def led(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(origin, found[2]))
        return found[1] + posixpath.relpath(_of_the_site(target, config, files), here or ".")

    parts = CODE.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(led, part) for part in parts)


def _of_the_site(target: str, config: MkDocsConfig, files: Files) -> str:
    """Path under docs/ of a file of the repository; one from elsewhere is copied, and one that is not there stays."""
    if target == "README.md":
        return HOME
    if target.startswith("docs/"):
        return _page_of(target.removeprefix("docs/"))
    copy = f"{COPIES}/{target}"
    if files.get_file_from_path(copy) is None and (ROOT / target).is_file():
        files.append(File.generated(config, copy, abs_src_path=str(ROOT / target)))
    return copy


def _page_of(source: str) -> str:
    return source.removesuffix(NOTEBOOK) + ".md" if source.endswith(NOTEBOOK) else source


def _shown(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and the pictures that it names."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data: dict[str, Any] = output.get("data", {})
            if "image/png" in data:
                name = f"{notebook.stem}-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![What the cell above draws]({name})")
            else:
                text = output.get("text") or data["text/plain"]
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts), pictures
