"""docs/your-images.md, followed to the letter: images in folders, a few lines of params.yaml, a finished study."""

import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from tests.workflow.project import ROOT, Project, new_project

PAGE = (ROOT / "docs" / "your-images.md").read_text(encoding="utf-8")
SECTION = re.compile(r"Under `(\w+:)`\n\n```yaml\n(.*?)```", re.DOTALL)
# The tables and figures that every study has are made elsewhere.
KEPT = {"figures": ("convergence",), "tables": ("by_class", "classification", "claims")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = new_project(tmp_path_factory.mktemp("own") / "project")
    parameters = (ROOT / "params.yaml").read_text(encoding="utf-8")
    for place, lines in SECTION.findall(PAGE):
        assert f"\n{place}\n" in parameters
        parameters = parameters.replace(f"\n{place}\n", f"\n{place}\n{lines}", 1)
    (made.folder / "params.yaml").write_text(parameters, encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    subprocess.run([sys.executable, "-c", code], cwd=made.folder, check=True)
    made.keep(KEPT)
    made.edit("tracking", value={"store": None, "live": False, "models": "none"})
    return made


@pytest.mark.slow
def test_the_page_leads_to_a_study(project: Project) -> None:
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    check, make = commands.splitlines()
    named = project.run(*check.split()).split()
    assert [name.split("-")[0] for name in named] == ["mine_vgg", "mine_vgg", "mine_vgg"]
    project.run(*make.replace("--cores all", "--cores 2").split())
    log = next((project.folder / "logs/fetch").glob("mine-*.log")).read_text()
    assert "mine: 1,294 train, 144 validation, 359 test images of 10 classes" in log
    by_class = pd.read_csv(project.folder / "results/mine/tables/by_class.csv")
    assert by_class.groupby("method")["images"].sum().eq(359).all()
    # Classes have the names of their folders.
    assert by_class["class"].astype(str).tolist() == [str(number) for number in range(10)] * 3
    shown = pd.read_csv(project.folder / "results/mine/tables/classification.csv").query("origin == 'this study'")
    assert shown["accuracy_mean"].min() > 0.85
    recognised = by_class.groupby("method")["recognised"].mean()
    balanced = shown.set_index("method")["balanced_accuracy_mean"]
    pd.testing.assert_series_equal(recognised, balanced.loc[recognised.index], check_names=False, rtol=1e-9)
    assert "holds" in (project.folder / "results/mine/claims.md").read_text()
    assert project.planned("--config", "study=mine") == {}
    moved = project.folder / "moved"
    shutil.move(project.folder / "pictures", moved)
    project.edit("datasets", "mine", value={"kind": "folder", "path": "moved"})
    assert project.costly("--config", "study=mine") == {}
    next((moved / "3").glob("*.png")).unlink()
    assert project.costly("--config", "study=mine") == {"fetch": 1, "make_run": 3}
