"""The school: sets of questions about repositories, put to the teacher, checked, and kept as examples."""
