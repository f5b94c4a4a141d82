"""The error that a user of these functions can cause."""


class InjectionError(ValueError):
    """The request cannot be met as it stands: the text names the value and the legal choices.

    `pointer` is a JSON pointer into the request, e.g. "/settings/hidden_size".
    """

    def __init__(self, message: str, *, code: str = "invalid_request", pointer: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.pointer = pointer
