"""Images per second as measured: a series over rounds for each data set, network, method, variant and T."""

import pandas as pd

from snn2ann.report.study_data import StudyData


def images_per_second(
    study: StudyData, place: tuple[str, str], method: str, time_steps: int | None, variant: str = ""
) -> "pd.Series[float]":
    """Images per second with the round as index; empty where this was not measured.

    Args:
        study: the study.
        place: data set and network.
        method: name of the method; its options are not part of the measurement.
        time_steps: T, None for a method without time.
        variant: of the method, empty where it has none.
    """
    frame = study.inference
    if frame is None:
        return pd.Series(dtype=float)
    steps = frame["time_steps"].isna() if time_steps is None else frame["time_steps"] == time_steps
    here = (frame["dataset"] == place[0]) & (frame["network"] == place[1]) & (frame["method"] == method)
    same = frame["variant"].fillna("") == variant
    rounds = frame[here & same & steps].set_index("round")
    return rounds["batch_size"] / rounds["seconds"]


def measured_words(study: StudyData) -> str:
    """Where and how inference was timed, or that it was not."""
    frame = study.inference
    if frame is None:
        named = study.content.get("inference")
        return (
            f"Inference was not timed: `{study.command}`" if named else "The study names no measurement of inference."
        )
    words = [
        f"{machine}, {device}, {int(threads)} threads, batch {int(size)}"
        for machine, device, threads, size in sorted(
            set(frame[["machine", "device", "threads", "batch_size"]].itertuples(index=False, name=None))
        )
    ]
    return "Inference was timed with nothing beside it, all methods alternating in one process: " + "; ".join(words)
