"""Two people of a lab: the jobs they submit, what the lab's book says became of them, and what Slack told them."""

from typing import Any

from labq.states import FINAL
from labq.store import Store
from support.lab import Lab
from support.people import People, Person
from support.processes import end
from support.slack import SlackServer
from support.waiting import wait_for

SLACK_ID = {"alice": "UALICE000", "bob": "UBOB00000"}


class Watched:
    """The lab, its two machines, who works there, and both Slacks."""

    def __init__(self, lab: Lab, people: People, slack: SlackServer, n2: dict[str, str]) -> None:
        self.lab, self.slack, self.n2 = lab, slack, n2
        self.accounts = {"alice": people.alice, "bob": people.bob}
        self.tokens: dict[str, str] = {}
        self.jobs: dict[str, dict[str, str]] = {"alice": {}, "bob": {}}
        self.store = Store(lab.redis_url)
        self.answered = 0

    def admit(self, who: str) -> None:
        """Makes somebody a person of the lab who wants to be told of everything."""
        person: Person = self.accounts[who]
        ids = ("--uid", str(person.uid), "--gid", str(person.uid))
        self.lab.labq("user", "add", person.name, *ids, "--slack", SLACK_ID[who])
        self.tokens[who] = self.lab.labq("user", "token", person.name).stdout.split()[-1]
        self.labq(who, "notify", "set", "--events", "all", "--digest", "off", "--longer-than", "0")

    def labq(self, who: str, *arguments: str) -> str:
        """What somebody types."""
        return self.lab.labq(*arguments, env={"LABQ_TOKEN": self.tokens[who]}).stdout

    def submit(self, who: str, name: str, *arguments: str) -> str:
        """Submits a job; its name is how this test calls it."""
        said = self.lab.json("submit", "--name", name, *arguments, env={"LABQ_TOKEN": self.tokens[who]})
        self.jobs[who][name] = str(said["id"])
        return str(said["id"])

    def wait(self, job: str, state: str) -> dict[str, Any]:
        """Waits until a job is in a state."""

        def look() -> dict[str, Any]:
            shown: dict[str, Any] = self.lab.json("show", job)
            return shown if shown["state"] == state else {}

        return wait_for(look, 60, f"job {job} to be {state}", interval=0.3, hint=self.lab.logs)

    def told(self, who: str) -> list[tuple[str, str]]:
        """Job and whole text of every direct message of the notifier, in order."""
        names = {job: name for name, job in self.jobs[who].items()}
        posts = self.slack.to(SLACK_ID[who])
        return [(names[post.body["blocks"][0]["text"]["text"].split()[1]], post.text) for post in posts]

    def happened(self, who: str) -> list[str]:
        """The jobs of somebody whose attempts ended, in the order of the lab's own book."""
        names = {job: name for name, job in self.jobs[who].items()}
        moves = [event.fields for event in self.store.events.read("0-0") if event.type == "moved"]
        over = {str(state) for state in FINAL}
        ends = [
            m["id"]
            for m in moves
            if m["to"] in over or (m["to"] == "queued" and "attempts" in m.get("set", ""))
        ]
        return [names[job] for job in ends if job in names]

    def settled(self, who: str, wanted: int) -> dict[str, str]:
        """Waits for so many messages and returns their texts; each job is told of once, in order."""

        def ready() -> bool:
            return len(self.told(who)) >= wanted and self.store.notices.waiting()[0] == 0

        wait_for(
            ready, 60, f"{wanted} messages to {who}", hint=lambda: f"{self.told(who)}\n{self.lab.logs()}"
        )
        told = self.told(who)
        names = [name for name, _ in told]
        assert names == self.happened(who), f"told: {names}, happened: {self.happened(who)}"
        assert len(set(names)) == len(names) == wanted, f"{wanted} were to be told: {names}"
        return dict(told)

    def kill_notifier(self) -> None:
        """SIGKILL; `labq up` starts the next one."""
        victims = [process for process in self.lab.processes() if "notify" in process.command]
        assert victims, self.lab.processes()
        end(victims)

    def types(self, who: str, text: str) -> str:
        """Types `/labq …` in Slack and returns the answer."""
        self.answered += 1
        path = f"/answer/{self.answered}"
        payload = {"command": "/labq", "text": text, "user_id": SLACK_ID[who]}
        payload["response_url"] = self.slack.url.replace("/api/", path)
        self.slack.socket.send("slash_commands", f"e{self.answered}", payload)
        wait_for(lambda: any(a["path"] == path for a in self.slack.answers), 20, text, hint=self.lab.logs)
        return str(next(a["text"] for a in self.slack.answers if a["path"] == path))
