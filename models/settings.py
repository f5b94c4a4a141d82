"""The base of every method's settings, and the presets that fill absent ones."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator


class MethodSettings(BaseModel):
    """Settings of a method: a name it does not have is refused.

    `PRESETS` maps a setting and its value, such as ("preset", "paper"), to the values that other
    settings take where they are absent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    PRESETS: ClassVar[Mapping[tuple[str, object], Mapping[str, JsonValue]]] = MappingProxyType({})

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, settings: Any) -> Any:
        # What is no mapping is left for pydantic to refuse.
        for (key, value), preset in cls.PRESETS.items() if isinstance(settings, dict) else ():
            chosen = settings.get(key)
            # 1 == True, but only True chooses the preset of True.
            if type(chosen) is type(value) and chosen == value:
                return {**preset, **settings}
        return settings
