"""One file per outside system. IO and translation, no decisions; adapters do not import each other."""
