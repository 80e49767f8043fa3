"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake that the user can mend.

    The message names the file, key or URL, says what was expected and what to do. The command line prints it without a
    traceback and exits with status 2.
    """
