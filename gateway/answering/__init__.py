"""What happens to a request: who answers it, the student's draft, the teachers, and what is kept of it."""
