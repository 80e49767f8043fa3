"""Figures look as they did: pictures without words are compared with those kept in `pictures/`."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

from snn2ann.report.figures import FIGURES
from snn2ann.report.figures.style import theme
from snn2ann.report.study_data import StudyData

from .pictures import EXPECTED, pictured_study, save_picture

# Root mean square of the differences of pixels, 0 to 255. Another anti-aliasing stays below it, a moved line does not.
TOLERANCE = 1.5


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return pictured_study(tmp_path_factory.mktemp("pictured"))


def difference(figure: Figure, name: str, folder: Path) -> str | None:
    """What compare_images says of a figure and its picture; None where they agree."""
    expected = Path(shutil.copy(EXPECTED / f"{name}.png", folder / "expected.png"))
    save_picture(figure, folder / "drawn.png")
    said = compare_images(str(expected), str(folder / "drawn.png"), TOLERANCE)
    return None if said is None else str(said)


def test_every_figure_has_a_picture() -> None:
    assert {path.stem for path in EXPECTED.glob("*.png")} == set(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_looks_as_its_picture_until_a_line_is_moved(study: StudyData, tmp_path: Path, name: str) -> None:
    with theme():
        figure = FIGURES[name].load()(study).figure
        assert difference(figure, name, tmp_path) is None
        _move(figure.axes[0], pixels=20)
        said = difference(figure, name, tmp_path)
    assert said is not None and "RMS Value" in said


def _move(axes: Axes, pixels: int) -> None:
    """Move the line with the most points up, within its panel."""
    line = max(axes.lines, key=lambda each: len(np.asarray(each.get_xdata())))
    places = axes.transData.transform(line.get_xydata())
    bottom, top = axes.transData.transform([(0, end) for end in axes.get_ylim()])[:, 1]
    places[:, 1] = np.clip(places[:, 1] + pixels, bottom, top)
    line.set_data(*axes.transData.inverted().transform(places).T)


def test_a_changed_colour_is_seen(study: StudyData, tmp_path: Path) -> None:
    with theme():
        figure = FIGURES["convergence"].load()(study).figure
        for line in figure.axes[0].lines:
            line.set_color("#999999")
            line.set_markerfacecolor("#999999")
        assert difference(figure, "convergence", tmp_path) is not None
