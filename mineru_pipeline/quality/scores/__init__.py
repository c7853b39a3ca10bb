"""How close a parse comes to a known truth, family by family; needs the extra ``quality``.

Start at :func:`mineru_pipeline.quality.scores.document.score_document`.
"""
