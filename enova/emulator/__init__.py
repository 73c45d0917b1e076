"""A server that stands in for vLLM where there is no GPU: its API, its metrics, its arguments; invented words.

Belongs here: what a client, a gateway or Prometheus can see of an engine. Must not be here: how fast an engine is,
beyond the one protocol in timing.py. Whatever leaves this server says that it is emulated.
"""
