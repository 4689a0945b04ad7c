"""Examinations: questions with known answers, put to any endpoint, marked and scored."""
