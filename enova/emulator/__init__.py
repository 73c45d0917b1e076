"""A server that stands in for vLLM where there is no GPU: its API, its metrics, its arguments; invented words.

The simulator says when they come: its engine runs here on the wall clock, with the queue, the batches, the KV
cache and the preemptions it would predict. Belongs here: what a client, a gateway or Prometheus can see of an
engine. Must not be here: how fast an engine is. Whatever leaves this server says that it is emulated.
"""
