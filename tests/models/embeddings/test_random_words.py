"""Words that mean nothing."""

from headgraft.models.embeddings.random_words import COUNT, random_words


def test_the_words_should_differ_from_each_other_and_be_the_same_every_time() -> None:
    words = random_words()

    assert len(set(words)) == COUNT
    assert words == random_words()
    assert words[0] == "tkgnkuh"
