"""Passwords, which are shown and written nowhere."""

import re

_USER = re.compile(r"(?<=://)[^/@\s]+@")
_OPTION = re.compile(r"(?<=[?&;])((?:ssl)?password|passwd|pwd|passfile|token|sslkey)=[^&;#\s]*", re.IGNORECASE)


def without_password(text: str) -> str:
    """A text whose URIs are without user, password and token."""
    return _OPTION.sub(r"\1=", _USER.sub("", text))
