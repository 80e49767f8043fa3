"""Image files, opened so that none takes more than its pixels are worth."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from snn2ann.errors import UserError


@contextmanager
def opened_image(file: Path | bytes, formats: Sequence[str], name: str) -> Iterator[Image.Image]:
    """Open an image; its pixels are decoded when they are asked for, which belongs into this context.

    Args:
        file: its path or its content.
        formats: Pillow's names of the formats that are admitted.
        name: what messages call it.

    Raises:
        UserError: it is not whole, of another format, or of more pixels than Pillow calls safe (89 million).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=list(formats)) as image:
                yield image
    except UserError:
        raise
    except Exception as error:  # a damaged image can raise nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{name} cannot be read ({error.strerror})") from error
        kind = f"{' or '.join(formats)} " if len(formats) == 1 else ""
        cause = str(error) or type(error).__name__
        raise UserError(f"{name} is not a whole {kind}image ({cause.splitlines()[0]})") from error
