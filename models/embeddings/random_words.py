"""Makes random words; encoded, they show where a text encoder puts words without a meaning."""

import random
from string import ascii_lowercase, digits

COUNT = 60
CONSONANTS = "bcdfghjklmnpqrstvwxz"
ALPHABETS = (ascii_lowercase, CONSONANTS, CONSONANTS + digits)
LENGTHS = (4, 9)  # letters


def random_words() -> list[str]:
    """Return the same COUNT words every time: random letters, consonants, and codes."""
    draw = random.Random(0)  # noqa: S311  # no secret
    return [
        "".join(draw.choices(ALPHABETS[number % len(ALPHABETS)], k=draw.randint(*LENGTHS)))
        for number in range(COUNT)
    ]
