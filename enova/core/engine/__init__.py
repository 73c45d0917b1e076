"""One LLM engine: what a model and a GPU are, how much memory they take, how long a step lasts."""
