"""GitOps for LLM serving: a spec file in, vLLM replicas behind one endpoint out."""

__version__ = "0.1.0"
