"""What each part of the refined variant is worth, in order of effect, into docs/method.md: `python -m benchmarks.parts`.

The figures are those of a published ablation, which has the variant with one part taken away at a time.
"""

from pathlib import Path

import pandas as pd
from tabulate import tabulate

from snn2ann.report import blocks
from snn2ann.report.configurations import network_name
from snn2ann.report.table import interval_text

ABLATION, PAGE = Path("docs/reference/fashion-mnist-small/tables/ablation.csv"), Path("docs/method.md")


def parts(data: pd.DataFrame) -> str:
    """A row for each part, the one that is missed most first, in Markdown.

    Args:
        data: the table of an ablation, with its numbers.
    """
    own = data[(data["group"] == "ablation") & (data["status"] == "measured")].copy()
    first = own.groupby("network").head(1).set_index("network")
    own["part"] = [_words(row, first.loc[row["network"]]) for _, row in own.iterrows()]
    # The whole variant itself has none, nor has it at another T.
    own = own[own["part"] != ""]
    networks = list(first.index)
    order = own.groupby("part")["accuracy_difference_mean"].mean().sort_values(kind="stable")
    rows = []
    for part in order.index:
        cells = [f"`{part}`"]
        for network in networks:
            row = own[(own["part"] == part) & (own["network"] == network)].iloc[0]
            mean, low, high = (100 * row[f"accuracy_difference_{end}"] for end in ("mean", "low", "high"))
            times = row["spikes_per_image_mean"] / first.loc[network, "spikes_per_image_mean"]
            cells += [interval_text(mean, low, high, 2, sign=True), f"× {times:.2f}"]
        rows.append(cells)
    head = [f"{network_name(network)}, {what}" for network in networks for what in ("points", "spikes")]
    return tabulate(rows, ["In its place", *head], tablefmt="github", disable_numparse=True)


def _words(row: pd.Series, first: pd.Series) -> str:
    """What differs from the whole variant."""
    if row["variant"] != first["variant"]:
        return str(row["variant"])
    unit = [f"mapping unit={row['mapping_unit']}"] * (row["mapping_unit"] != first["mapping_unit"])
    setting = [] if pd.isna(row["setting"]) else [str(row["setting"])]
    return ", ".join([*unit, *setting]).replace("=", ": ")


def main() -> None:
    """Fill the page."""
    blocks.fill(PAGE, {"parts": parts(pd.read_csv(ABLATION))})


if __name__ == "__main__":
    main()
