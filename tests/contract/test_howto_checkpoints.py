"""The program of docs/howto/checkpoints.md does what the page says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from support.waiting import wait_for

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "checkpoints.md"


def test_the_program_saves_on_sigterm_and_goes_on_there(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    script, outputs = tmp_path / "train.py", tmp_path / "outputs"
    script.write_text(program)
    outputs.mkdir()
    env = {**os.environ, "LABQ_OUTPUT_DIR": str(outputs)}
    checkpoint = outputs / "checkpoint.json"
    first = subprocess.Popen([sys.executable, script], env=env, stdout=subprocess.PIPE, text=True)
    wait_for(checkpoint.exists, 20, "the first hundred steps")
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=10)
    assert (first.returncode, said) == (143, "begins at step 0\n")
    saved = json.loads(checkpoint.read_text())["step"]
    assert 100 <= saved < 500
    assert list(outputs.iterdir()) == [checkpoint]
    second = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, check=True)
    assert second.stdout == f"begins at step {saved}\n"
    assert json.loads(checkpoint.read_text()) == {"step": 500}
