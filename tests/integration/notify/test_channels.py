"""Mail, webhooks, channels of Slack; what cannot be sent becomes a dead letter that an admin sees and sends again."""

from __future__ import annotations

import email
import email.policy
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from integration.notify.conftest import MakeNotifier, People, settled
from rq import Queue
from rq.serializers import JSONSerializer
from support.lab import free_port
from support.need import need
from support.slack import Behaviour, SlackServer
from support.waiting import wait_for

from labq.store import NewNotice, Store


class Mailbox:
    """What a real SMTP server took, and what it says to the next letters."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.answers: list[str] = []
        self.logins: list[tuple[str, str]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.letters.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"

    def login(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"secret-of-mail")


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box, port = Mailbox(), free_port()
    server = Controller(box, "127.0.0.1", port, authenticator=box.login, auth_require_tls=False)
    server.start()
    yield box, port
    server.stop()


def mail_settings(port: int) -> dict[str, str]:
    return {
        "LABQ_SMTP_HOST": "127.0.0.1", "LABQ_SMTP_PORT": str(port), "LABQ_SMTP_TLS": "none", "LABQ_SMTP_USER": "labq",
        "LABQ_SMTP_PASSWORD": "secret-of-mail", "LABQ_SMTP_FROM": "labq@lab.example",
    }  # fmt: skip


def test_a_letter_says_all_and_its_id_comes_from_the_notice(
    make_notifier: MakeNotifier, lab_people: People, store: Store, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    lab_people.add("ann", channel="mail:ann@lab.example")
    box.answers = ["451 later"]
    make_notifier(**mail_settings(port))
    (job_id,) = lab_people.submit("ann", name="訓練")
    lab_people.log(job_id, b"line one\nBoom: \xe2\x9c\x97\n")
    lab_people.start(job_id)
    from labq.ending import EndReason

    lab_people.end(job_id, EndReason.EXIT_CODE, "Failed: exit code 1 after 20s, last line: Boom.")
    settled(store)
    (letter,) = box.letters
    assert letter["Subject"] == f"[labq] Job {job_id} 訓練 failed"
    assert (letter["To"], letter["From"]) == ("ann@lab.example", "labq@lab.example")
    body = letter.get_content()
    assert "Failed: exit code 1 after 20s, last line: Boom." in body
    assert "    Boom: ✗" in body
    assert letter["Message-ID"].endswith(".labq@lab.example>")
    assert ("labq", "secret-of-mail") in box.logins


def test_a_mail_server_that_refuses_makes_a_dead_letter_and_no_noise(
    make_notifier: MakeNotifier, lab_people: People, store: Store, mailbox: tuple[Mailbox, int]
) -> None:
    box, port = mailbox
    lab_people.add("ann", channel="mail:ann@lab.example", digest="off")
    box.answers = ["550 no such person, secret-of-mail"]
    make_notifier(**mail_settings(port))
    first, second = lab_people.run("ann", name="one"), lab_people.run("ann", name="two")
    settled(store)
    assert [letter["Subject"] for letter in box.letters] == [f"[labq] Job {second} two succeeded"]
    (dead,) = store.notices.dead()
    assert (first in dead.items[0], dead.error) == (True, "the mail server answered 550 (SMTPDataError)")


def test_a_wrong_password_is_tried_until_given_up_and_never_shown(
    make_notifier: MakeNotifier, lab_people: People, store: Store, mailbox: tuple[Mailbox, int]
) -> None:
    _, port = mailbox
    lab_people.add("ann", channel="mail:ann@lab.example")
    wrong = mail_settings(port) | {
        "LABQ_SMTP_PASSWORD": "secret-of-mail-but-wrong",
        "LABQ_NOTIFY_GIVE_UP": "1s",
    }
    make_notifier(**wrong)
    lab_people.run("ann")
    settled(store)
    (dead,) = store.notices.dead()
    assert dead.error.startswith("the mail server refuses the login")


@pytest.mark.parametrize("trusted", [True, False])
def test_a_password_goes_only_to_a_mail_server_whose_certificate_is_trusted(
    make_notifier: MakeNotifier, lab_people: People, store: Store, tmp_path: Path, trusted: bool
) -> None:
    need(shutil.which("openssl"), "openssl, for a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    box, port = Mailbox(), free_port()
    server = Controller(
        box, "127.0.0.1", port, authenticator=box.login, tls_context=context, require_starttls=True, auth_required=True
    )  # fmt: skip
    server.start()
    try:
        lab_people.add("ann", channel="mail:ann@lab.example")
        tls = {"LABQ_SMTP_TLS": "starttls", "LABQ_SMTP_HOST": "localhost", "LABQ_NOTIFY_GIVE_UP": "1s"}
        make_notifier(**mail_settings(port) | tls | ({"SSL_CERT_FILE": str(certificate)} if trusted else {}))
        lab_people.run("ann")
        settled(store)
    finally:
        server.stop()
    assert len(box.letters) == int(trusted)
    assert box.logins == ([("labq", "secret-of-mail")] if trusted else [])
    errors = [dead.error for dead in store.notices.dead()]
    assert errors == ([] if trusted else ["the mail server does not answer (SSLCertVerificationError)"])


class Hook:
    """A web server that takes notices."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers = outer.answers.pop(0) if outer.answers else (204, {})
                outer.taken.append((dict(self.headers), body))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Says nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = str(self.server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/hook?key=of-ann"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_a_webhook_gets_the_facts_and_a_key_that_tells_doubles(
    make_notifier: MakeNotifier, lab_people: People, store: Store, hook: Hook
) -> None:
    lab_people.add("ann", channel=f"webhook:{hook.url}")
    hook.answers = [(503, {}), (429, {"Retry-After": "1"})]
    make_notifier(LABQ_NOTIFY_WEBHOOK_PRIVATE="1", LABQ_NOTIFY_WEBHOOK_PORTS=hook.port)
    job = lab_people.run("ann", name="a", fails="boom")
    settled(store)
    assert len({headers["Idempotency-Key"] for headers, _ in hook.taken}) == 1
    assert len(hook.taken) == 3
    _, body = hook.taken[-1]
    assert (body["jobs"][0]["job"], body["jobs"][0]["kind"], body["jobs"][0]["reason"]) == (
        job,
        "failed",
        "exit_code",
    )
    assert body["text"].startswith(f"Job {job} a failed: Failed: exit code 1")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"],  # noqa: S104
)
def test_a_webhook_does_not_reach_into_the_lab(
    make_notifier: MakeNotifier, lab_people: People, store: Store, hook: Hook, host: str
) -> None:
    lab_people.add("ann", channel="webhook:" + hook.url.replace("127.0.0.1", host))
    make_notifier(LABQ_NOTIFY_WEBHOOK_PORTS=hook.port)
    lab_people.run("ann")
    settled(store)
    (dead,) = store.notices.dead()
    assert "private network" in dead.error
    assert hook.taken == []


def test_a_redirection_of_a_webhook_is_not_followed(
    make_notifier: MakeNotifier, lab_people: People, store: Store, hook: Hook
) -> None:
    lab_people.add("ann", channel=f"webhook:{hook.url}")
    hook.answers = [(302, {"Location": hook.url})]
    make_notifier(LABQ_NOTIFY_WEBHOOK_PRIVATE="1", LABQ_NOTIFY_WEBHOOK_PORTS=hook.port)
    lab_people.run("ann")
    settled(store)
    assert len(hook.taken) == 1
    assert [dead.error for dead in store.notices.dead()] == ["127.0.0.1 answered 302"]


def test_a_channel_by_name_is_found_and_one_that_is_not_there_is_a_dead_letter(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    lab_people.add("ann", channel="slack:#general", digest="off")
    lab_people.add("bob", channel="slack:#nowhere", digest="off")
    make_notifier(LABQ_NOTIFY_SLACK_CHANNELS="#general,#nowhere")
    jobs = [lab_people.run("ann"), lab_people.run("ann")]
    lost = lab_people.run("bob")
    settled(store)
    assert [post.channel for post in slack.posts] == ["C0GENERAL"] * len(jobs)
    assert all("For ann" in post.text for post in slack.posts)
    (dead,) = store.notices.dead()
    assert lost in dead.items[0]
    assert "the app sees no channel #nowhere" in dead.error
    # The person mends it, and an admin sends it again.
    lab_people.add("bob", channel="slack")
    assert store.notices.retry(dead.id, now=0.0)
    settled(store)
    assert len(slack.to("UBOB000")) == 1
    assert store.notices.waiting() == (0, 0)
    assert not store.notices.retry(dead.id, now=0.0)


def test_a_refusal_that_does_not_mend_itself_does_not_keep_the_next_notice(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann", digest="off")
    slack.next("chat.postMessage", Behaviour(error="channel_not_found"))
    make_notifier()
    lab_people.run("ann", name="one")
    second = lab_people.run("ann", name="two")
    settled(store)
    assert [second in post.text for post in slack.to(ann)] == [True]
    assert [dead.error for dead in store.notices.dead()] == ["chat.postMessage: channel_not_found"]


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("xoxb-secret-of-another", "conversations.open: invalid_auth"),
        # what no header can hold
        ("xoxb-secret-of-€", "conversations.open: Slack does not answer (UnicodeEncodeError)"),
    ],
)
def test_a_token_that_slack_does_not_know_is_tried_again_and_never_shown(
    make_notifier: MakeNotifier,
    lab_people: People,
    slack: SlackServer,
    store: Store,
    tmp_path: Path,
    token: str,
    said: str,
) -> None:
    lab_people.add("ann")
    other = tmp_path / "other"
    other.write_text(token)
    notifier = make_notifier(LABQ_SLACK_BOT_TOKEN_FILE=str(other))
    lab_people.run("ann")
    wait_for(lambda: said in notifier.log.read_text(), 20, "the warning", hint=notifier.tail)
    assert store.notices.waiting() == (1, 0)
    notifier.kill()
    make_notifier()
    settled(store)
    assert len(slack.posts) == 1


def test_https_goes_to_the_address_that_was_checked_under_the_name_that_was_asked_for() -> None:
    from labq_scheduler.notify.webhook import _Connection

    listener = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    connection = _Connection("hook.example", 443, ("127.0.0.1", listener.server_address[1]), secure=True)
    try:
        connection.reach(5.0)
        with pytest.raises(ssl.SSLError):
            connection.request(
                "POST", "/"
            )  # it speaks TLS to whoever is there, and trusts nobody without a certificate
    finally:
        connection.close()
        listener.shutdown()
        listener.server_close()


def test_what_hangs_keeps_nobody_else_waiting(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann, bob = lab_people.add("ann"), lab_people.add("bob")
    slack.next("chat.postMessage", Behaviour(hangs=True))
    make_notifier()
    lab_people.run("ann")
    slack.wait_hanging()
    lab_people.run("bob")
    wait_for(lambda: slack.to(bob), 5, "the other's message")
    assert slack.to(ann) == []
    slack.released.set()
    settled(store)
    assert len(slack.to(ann)) == 1


def test_a_notice_that_cannot_be_read_keeps_neither_its_person_nor_the_others(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store
) -> None:
    ann = lab_people.add("ann")
    store.notices.make([NewNotice("broken", "ann", "failed", '{"kind": 5')], now=1.0)
    store.connection.client.xadd("labq:events", {"type": "moved", "at": "x", "id": "1", "to": "failed"})
    make_notifier()
    lab_people.run("ann")
    settled(store)
    assert len(slack.to(ann)) == 1
    assert [dead.error for dead in store.notices.dead()] == ["a fault of labq (JSONDecodeError)"]


def test_only_the_one_message_is_obeyed_and_nothing_is_unpickled(
    make_notifier: MakeNotifier, lab_people: People, slack: SlackServer, store: Store, tmp_path: Path
) -> None:
    ann = lab_people.add("ann")
    notifier = make_notifier()
    evil = tmp_path / "evil"
    queue = Queue("control", connection=store.connection.client, serializer=JSONSerializer)
    queue.enqueue_call("os.mkdir", args=[str(evil)])
    wait_for(lambda: "refused message" in notifier.log.read_text(), 20, "the refusal")
    lab_people.run("ann")
    settled(store)
    assert (len(slack.to(ann)), evil.exists()) == (1, False)
