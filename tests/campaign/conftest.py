from collections import Counter

import verdicts

PROPERTY = "verdicts"


def pytest_terminal_summary(terminalreporter):
    """Print the figures of the campaign, including those of tests in other processes."""
    counts: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY and report.when == "call":
                    format_name, numbers = value
                    counts.setdefault(format_name, Counter()).update(numbers)
    if counts:
        terminalreporter.section("damaged inputs")
        terminalreporter.write_line(verdicts.format_table(counts))
