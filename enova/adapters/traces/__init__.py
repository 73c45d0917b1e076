"""Recorded traffic and datasets: CSV and JSON to columns, with every mistake at its line.

Four forms of traces are understood, by the names of their columns: Enova's own (`timestamp` in seconds or as a
date, `prompt_tokens`, `output_tokens`), Azure's (`TIMESTAMP`, `ContextTokens`, `GeneratedTokens`), BurstGPT's
(`Timestamp`, `Request tokens`, `Response tokens`) and Mooncake's (`timestamp` in milliseconds, `input_length`,
`output_length`, and `hash_ids`, which tell what prompts share). A dataset may hold prompts as text instead: see
`texts`.
"""

from enova.adapters.traces.read import read_recording

__all__ = ["read_recording"]
