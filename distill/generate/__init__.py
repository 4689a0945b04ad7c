"""Generated questions about code: repositories, facts, templates, questions with their oracles, and the expert."""
