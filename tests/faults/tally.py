"""What was broken, how often, and what came of it: a row for each fault, and the table of them.

    python -m tests.faults.tally short|whole [PAGE]

prints the table of the last run, or puts it into a page, between the two marks.
"""

import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "build" / "faults"
MARKS = ("<!-- faults: begin -->\n", "<!-- faults: end -->\n")
COLUMNS = ("fault", "times", "lost", "doubled", "recovered in (median / longest)", "seen")


@dataclass
class Tally:
    """One fault: how often it was injected, and what was lost, doubled, and how soon repaired."""

    fault: str
    injected: int = 0
    lost: int = 0
    """Utterances or transcripts that had been told of as committed."""
    doubled: int = 0
    recovered_s: list[float] = field(default_factory=list)
    seen: str = ""
    passed: bool = True

    def row(self):
        """Return the cells of the table."""
        if self.recovered_s:
            longest = max(self.recovered_s)
            recovered = f"{statistics.median(self.recovered_s):.1f} s / {longest:.1f} s"
        else:
            recovered = ""
        seen = self.seen if self.passed else f"**failed** {self.seen}".rstrip()
        counts = (f"{self.injected:,}", str(self.lost), str(self.doubled))
        return (self.fault, *counts, recovered, seen)


def save(form, order, tally):
    """Keep a row for the table."""
    folder = RESULTS / form
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in tally.fault)[:80]
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"order": order, **asdict(tally)}), encoding="utf-8")


def saved(form):
    """Return the rows of the last run, in the order of the suite."""
    paths = (RESULTS / form).glob("*.json")
    found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    found.sort(key=lambda fields: fields.pop("order"))
    return [Tally(**fields) for fields in found]


def table(tallies):
    """Return the rows as a Markdown table."""
    lines = [COLUMNS, ("---", "---:", "---:", "---:", "---", "---")]
    lines += [tally.row() for tally in tallies]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def machine():
    """Return in a line what it ran on."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line.split(":", 1)[1].strip() for line in info.splitlines() if "model name" in line]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} cores ({model}), Linux {platform.release()}"


def section(form):
    """Return the table with its date and machine."""
    what = f"The {form} form, {time.strftime('%Y-%m-%d')}, {machine()}."
    return f"{what}\n\n{table(saved(form))}"


def put_into(page, text):
    """Replace what stands between the marks of a page."""
    content = page.read_text(encoding="utf-8")
    begin, end = MARKS
    before, rest = content.split(begin)
    after = rest.split(end)[1]
    page.write_text(before + begin + "\n" + text + "\n" + end + after, encoding="utf-8")


if __name__ == "__main__":
    form = sys.argv[1]
    if len(sys.argv) > 2:
        put_into(Path(sys.argv[2]), section(form))
    else:
        print(section(form))  # noqa: T201 (its purpose)
