"""Model cards from where models are: a folder, the Hugging Face cache, Enova's facts, the hub.

Only `config.json` and the headers of safetensors files are ever read, never weights.
"""

from enova.adapters.models.find import find_card

__all__ = ["find_card"]
