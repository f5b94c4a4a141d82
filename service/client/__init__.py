"""The Python client of a Headgraft service.

    from headgraft import Headgraft

    with Headgraft("http://127.0.0.1:8000", key) as service:
        model = service.inject(model, ["axolotl"], class_names=names)

Workers import this package too, so the client itself is imported when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

__all__ = ["AsyncHeadgraft", "Headgraft", "HeadgraftError"]

if TYPE_CHECKING:
    from headgraft.client import AsyncHeadgraft, Headgraft
    from headgraft.errors import HeadgraftError
else:  # a type checker that saw it would take every name for one of ours

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'headgraft' has no attribute {name!r}")
        from headgraft import client

        return getattr(client, name)
