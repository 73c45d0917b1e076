"""Values to text, JSON and Markdown. Formats, never decides, never prints."""
