"""Reading and writing: volumes, studies, data sets, exams. Nothing is repaired silently."""
