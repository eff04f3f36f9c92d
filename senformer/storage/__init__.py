"""Store files so that they are complete after a crash and reveal damage."""
