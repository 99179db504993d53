"""The files that are written: one JSON for each dashboard, and a page of docs with a sketch of each."""

from __future__ import annotations

import json
from pathlib import Path

from labq_dashboards import frame, lab_queue, my_jobs, nodes, now, sketch, usage
from labq_dashboards.sdk import JSONEncoder

PAGES = (now.PAGE, my_jobs.PAGE, lab_queue.PAGE, usage.PAGE, nodes.PAGE)


def all_files(root: Path) -> dict[Path, str]:
    """Return the text of every file, by its path.

    Args:
        root: the repository.
    """
    made = {page.uid: frame.dashboard(page) for page in PAGES}
    folder = root / "dashboards" / "grafana" / "dashboards"
    # Twice through JSON: the SDK's objects become plain ones, which sort.
    texts = {uid: json.loads(JSONEncoder().encode(board)) for uid, board in made.items()}
    files = {
        folder / f"{uid}.json": json.dumps(text, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for uid, text in texts.items()
    }
    files[root / "docs" / "reference" / "dashboards.md"] = sketch.page(made)
    return files
