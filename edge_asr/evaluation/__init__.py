"""How well recognizers understand: clips with their text -> errors, speed, confidence, a report.

::

    clips -> systems hear them -> scores -> summary -> table, JSON, report

A system is anything that makes text of a clip. What belongs to the extra ``evaluate`` (jiwer,
whisper-normalizer) is imported only where texts are compared.
"""
