"""The baseline corpus: documents with their exact truth, made by a script that gives the same bytes every time.

It draws with libraries that workers do not need: the extra ``quality``.
"""

from __future__ import annotations

try:
    from mineru_pipeline.quality.corpus.catalogue import STRATA, generate
    from mineru_pipeline.quality.corpus.draft import CorpusDocument
    from mineru_pipeline.quality.corpus.seeds import SEEDS, corpus_version
    from mineru_pipeline.quality.corpus.writing import StoredDocument, write
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    raise ModuleNotFoundError(
        f"Making the corpus needs {missing}: pip install 'mineru-pipeline[quality]'", name=error.name
    ) from error

__all__ = ["SEEDS", "STRATA", "CorpusDocument", "StoredDocument", "corpus_version", "generate", "write"]
