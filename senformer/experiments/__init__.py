"""The report's questions, one each: what is measured, and what that says of the study's claims."""
