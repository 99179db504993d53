"""`labq up` with a Slack: a job in a real container fails, and its owner reads why, with the end of its log."""

from __future__ import annotations

from support.engine import BUSYBOX
from support.lab_fixtures import MakeLab
from support.slack import APP, BOT, SlackServer
from support.waiting import wait_for


def test_a_job_that_fails_is_told_to_its_owner_and_cancelled_from_slack(
    make_lab: MakeLab, slack: SlackServer
) -> None:
    lab = make_lab(
        settings={"LABQ_SLACK_BOT_TOKEN": BOT, "LABQ_SLACK_APP_TOKEN": APP, "LABQ_SLACK_API_URL": slack.url}
    )
    (me,) = (user["name"] for user in lab.json("user", "ls") if user["admin"])
    lab.labq("user", "set", me, "--slack", "UME000000")
    wait_for(lambda: lab.json("notify")["problem"] is None, 20, "the notifier to be heard", hint=lab.logs)
    sent = lab.labq("notify", "test").stdout
    assert sent == "a notice is on its way to slack\n"
    wait_for(lambda: slack.to("UME000000"), 20, "the test")
    lab.labq(
        "submit", "--image", BUSYBOX, "--gpus", "1", "--name", "boom", "--", "sh", "-c", "echo '<!here> last words'; exit 3"
    )  # fmt: skip
    wait_for(lambda: len(slack.to("UME000000")) == 2, 60, "the message", hint=lab.logs)
    post = slack.to("UME000000")[-1]
    assert "boom failed" in post.text
    assert "exit code 3" in post.text
    assert "&lt;!here&gt; last words" in post.text
    assert "1 × RTX 4090 (simulated) on" in post.text
    job = lab.json("submit", "--image", BUSYBOX, "--", "sleep", "600")["id"]
    wait_for(lambda: lab.json("show", job)["state"] == "running", 60, "the job to run")
    command = {
        "text": f"cancel {job}",
        "user_id": "UME000000",
        "response_url": slack.url.replace("/api/", "/answer/1"),
    }
    slack.socket.send("slash_commands", "e1", command)
    wait_for(lambda: slack.answers, 10, "the answer")
    assert slack.answers[0]["text"] == f"Job {job} is being stopped."
    wait_for(lambda: lab.json("show", job)["state"] == "cancelled", 60, "the job to be cancelled")
    assert "labq_notify_dead_letters 0.0" in lab_metrics(lab.url)
    assert 'labq_notices_total{kind="failed",outcome="sent"} 1.0' in lab_metrics(lab.url)
    lab.stop()
    assert [process for process in lab.processes() if "notify" in process.command] == []
    logs = "".join(path.read_text(errors="replace") for path in (lab.data / "log").glob("*.log"))
    assert "secret-of" not in logs


def lab_metrics(url: str) -> str:
    """The page of the server."""
    import httpx

    return httpx.get(f"{url}/metrics").text
