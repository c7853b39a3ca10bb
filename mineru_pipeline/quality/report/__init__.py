"""The report on a comparison of two parses of the corpus, for people and for machines.

``render.render_report(head, compared, picture)`` gives one self-contained HTML page, ``machine.report_json(head,
compared)`` the same as JSON, and ``preview.preview_markdown(head, compared)`` the short form for the UI's metadata::

    head = Head(corpus_version, candidate=Side(...), baseline=Side(...), made_at="2026-11-27 22:19 UTC")
    compared = Compared(candidate=scores, baseline=accepted, judgement=judgement, truths=truths, parses=content_lists)
    html = render_report(head, compared, picture=corpus_pictures(read_pdf))

Everything is passed in (:mod:`.model` has the types): the report reads no store, asks no clock and knows nothing of
the engine. The same input gives the same bytes.
"""
