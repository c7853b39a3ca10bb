"""The languages of the corpus: word lists and sentence patterns of our own, nothing taken from any text."""

from __future__ import annotations

from collections.abc import Mapping

from mineru_pipeline.quality.corpus.languages.cs import CZECH
from mineru_pipeline.quality.corpus.languages.de import GERMAN
from mineru_pipeline.quality.corpus.languages.en import ENGLISH
from mineru_pipeline.quality.corpus.languages.es import SPANISH
from mineru_pipeline.quality.corpus.languages.fr import FRENCH
from mineru_pipeline.quality.corpus.languages.it import ITALIAN
from mineru_pipeline.quality.corpus.languages.lexicon import Language, Noun
from mineru_pipeline.quality.corpus.languages.pl import POLISH

#: By ISO 639-1 code.
LANGUAGES: Mapping[str, Language] = {
    language.code: language for language in (ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, POLISH, CZECH)
}

__all__ = ["LANGUAGES", "Language", "Noun"]
