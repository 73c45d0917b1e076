"""What replicas and gateways say of themselves, from the text of `/metrics` to what is known of a service now.

Pure values: names by version, a reader of the text, what came over a window, and what there is to say of it all.
Asking for the pages and keeping what they say is for others. Missing, stale and absurd are Unknown, never zero.
"""
