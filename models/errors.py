"""The error that a user of these functions can cause."""

from typing import Literal

InjectionCode = Literal[
    "invalid_checkpoint",
    "invalid_features",
    "invalid_head",
    "invalid_request",
    "invalid_settings",
    "no_virtual_features",
    "row_overflow",
    "unknown_encoder",
    "unknown_method",
]


class InjectionError(ValueError):
    """The request cannot be met as it stands: the text names the value and the legal choices.

    `pointer` is a JSON pointer into the request, e.g. "/settings/hidden_size".
    """

    def __init__(
        self, message: str, *, code: InjectionCode = "invalid_request", pointer: str = ""
    ) -> None:
        super().__init__(message)
        self.code: InjectionCode = code
        self.pointer = pointer
