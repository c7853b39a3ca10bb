"""Whether a candidate is good enough to go out, and whether live documents drift; needs the extra ``quality``.

Start at :func:`mineru_pipeline.quality.gates.judge.judge` and :class:`mineru_pipeline.quality.gates.drift.Detector`;
docs/quality.md says how the decision is made.
"""
