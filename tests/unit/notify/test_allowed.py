"""Where members may send notices, and which addresses a webhook reaches."""

from __future__ import annotations

import ipaddress

import pytest

from labq.errors import BadInputError
from labq.notify import parse_channel
from labq.settings import Settings
from labq_scheduler.notify.allowed import Allowed
from labq_scheduler.notify.reach import is_ours, is_public


def allowed(**env: str) -> Allowed:
    return Allowed.from_settings(Settings({}, {"LABQ_CONFIG": "/dev/null", **env}))


@pytest.mark.parametrize(
    ("env", "channel", "said"),
    [
        ({}, "slack", None),
        ({}, "none", None),
        ({}, "slack:#general", "legal: slack; an admin can change LABQ_NOTIFY_SLACK_CHANNELS"),
        ({"LABQ_NOTIFY_SLACK_CHANNELS": "#a,C012AB3CD"}, "slack:#a", None),
        ({"LABQ_NOTIFY_SLACK_CHANNELS": "#a,C012AB3CD"}, "slack:C012AB3CD", None),
        ({"LABQ_NOTIFY_SLACK_CHANNELS": "#a"}, "slack:#aa", "legal: slack, slack:#a;"),
        ({"LABQ_NOTIFY_SLACK_CHANNELS": "*"}, "slack:#general", None),
        ({"LABQ_SMTP_FROM": "labq <labq@Lab.example>"}, "mail:ann@lab.EXAMPLE", None),
        ({"LABQ_SMTP_FROM": "labq@lab.example"}, "mail:ann@evil.lab.example", "legal: addresses of lab.example;"),
        ({"LABQ_SMTP_FROM": "labq@lab.example"}, "mail:boss@company.example", "LABQ_NOTIFY_MAIL_DOMAINS"),
        ({"LABQ_NOTIFY_MAIL_DOMAINS": "uni.example,*"}, "mail:ann@home.example", None),
        ({"LABQ_NOTIFY_MAIL_DOMAINS": "uni.example"}, "mail:ann@uni.example", None),
        ({}, "webhook:https://example.org/x", None),
        ({}, "webhook:http://example.org:8443/x", None),
        ({}, "webhook:http://example.org:6379/x", "legal ports: 80, 443, 8443;"),
        ({"LABQ_NOTIFY_WEBHOOK_PORTS": "9000"}, "webhook:https://example.org/x", "port 443 of example.org"),
    ],
)  # fmt: skip
def test_a_channel_is_refused_with_what_is_legal(env: dict[str, str], channel: str, said: str | None) -> None:
    if said is None:
        allowed(**env).check(parse_channel(channel))
        return
    with pytest.raises(BadInputError) as error:
        allowed(**env).check(parse_channel(channel))
    assert said in f"{error.value.what} {error.value.next}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("MAIL_DOMAINS", "a@b.c"), ("WEBHOOK_PORTS", "80,x"), ("WEBHOOK_PORTS", "0"), ("WEBHOOK_REFUSE", "10.0.0.1/8")],
)  # fmt: skip
def test_a_setting_that_is_not_legal_is_named(name: str, value: str) -> None:
    with pytest.raises(BadInputError, match=f"LABQ_NOTIFY_{name} "):
        allowed(**{f"LABQ_NOTIFY_{name}": value})


def test_networks_and_hosts_of_the_lab_are_read() -> None:
    found = allowed(
        LABQ_NOTIFY_WEBHOOK_REFUSE="192.0.2.0/24,2001:db8::/32", LABQ_PUBLIC_URL="https://labq.lab:7580"
    )
    assert found.own_hosts == ("labq.lab",)
    assert ipaddress.ip_address("192.0.2.7") in found.webhook_refuse[0]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",  # noqa: S104
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1", "192.0.0.9", "192.0.2.1",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::10.0.0.1", "::ffff:0:10.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1",
        "2002:7f00:1::1", "2002:808:808::1", "2001:0:808:808::1", "2001:db8::1", "3fff::1",
        "fe80::1", "fe80::1%lo", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "4000::1", "5f00::1",
        "2a00:1450::5efe:10.0.0.1", "2a00:1450::200:5efe:10.0.0.1", "2a00:1450::1%eth0",
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_internet_is_not_reached(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2a00:1450:4001::200e", "2620:4f:8000::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is(address: str) -> None:
    assert is_public(address)


def test_this_machines_own_addresses_are_known_whatever_form_they_have() -> None:
    assert is_ours("127.0.0.1")
    assert is_ours("::ffff:127.0.0.1")
    assert not is_ours("192.0.2.1")
    assert not is_ours("2a00:1450:4001::200e")
