"""Pictures of the figures without words, to compare with those in `pictures/`.

After a wanted change of a figure: `python -m tests.report.pictures`, then look at what changed before committing it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure
from matplotlib.text import Text

from snn2ann.report.figures import FIGURES
from snn2ann.report.figures.style import theme
from snn2ann.report.results import collect_results
from snn2ann.report.study_data import StudyData, load_study

from .synthetic import METHODS, write_study

EXPECTED = Path(__file__).with_name("pictures")
# Two of the method's configurations, so that lines can be told apart in a picture of this size.
SHOWN = [METHODS[0], METHODS[2], METHODS[3], METHODS[4], METHODS[7]]


def pictured_study(root: Path) -> StudyData:
    """A small study that every figure has something to show of."""
    folder = write_study(root, SHOWN, ("vgg-small",), (0, 1))
    collect_results(folder)
    return load_study(folder)


def without_words(figure: Figure) -> Figure:
    """Take away texts and legends: how letters are drawn, and the room they take, differ between machines."""
    figure.draw_without_rendering()  # makes the labels of the ticks
    for text in figure.findobj(Text):
        text.set_visible(False)
        text.set_in_layout(False)
    for legend in figure.legends:
        legend.set_visible(False)
        legend.set_in_layout(False)
    for axes in figure.axes:
        axes.tick_params(labelbottom=False, labelleft=False)
    return figure


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure without words, small enough to be kept."""
    without_words(figure).savefig(path, dpi=72, metadata={"Software": None})


def main() -> None:
    """Draw every figure's picture anew."""
    EXPECTED.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        study = pictured_study(Path(folder))
        for name, entry in FIGURES.items():
            with theme():
                save_picture(entry.load()(study).figure, EXPECTED / f"{name}.png")


if __name__ == "__main__":
    main()
