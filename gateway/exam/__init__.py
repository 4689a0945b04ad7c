"""Examinations at the command line: endpoints found, asked side by side, and what came of it shown."""
