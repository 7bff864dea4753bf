"""Every word a reader sees, in English and Chinese."""
