"""Where this lab lets its members send notices. Pure.

A message to a shared channel or an address reaches people who did not ask for it, and a webhook is a request from
inside the lab. So by default: oneself in Slack, mail within the domain of the lab's own sender, webhooks to web ports.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from labq.errors import BadInputError
from labq.notify import Channel
from labq.settings import Settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the settings allow."""

    #: domains of addresses; "*" = any
    mail_domains: tuple[str, ...] = ()
    #: names (with #) or ids of shared channels; "*" = any
    slack_channels: tuple[str, ...] = ()
    webhook_ports: tuple[int, ...] = (80, 443, 8443)
    #: networks that webhooks do not reach, whatever they are
    webhook_refuse: tuple[Network, ...] = ()
    #: webhooks may reach this machine and private networks
    webhook_private: bool = False
    #: host names of the lab itself, which webhooks do not reach unless private ones are allowed
    own_hosts: tuple[str, ...] = ()

    @staticmethod
    def from_settings(settings: Settings) -> Allowed:
        """Return what the settings allow.

        Raises:
            BadInputError: naming the variable whose value is not legal.
        """
        sender = settings.text("smtp_from").rpartition("@")[2].strip("> ").lower()
        urls = (settings.text("public_url"), settings.text("grafana_url"))
        hosts = (urlsplit(url).hostname for url in urls if url)
        return Allowed(
            tuple(_domain(said) for said in settings.items("notify_mail_domains")) or (sender,),
            tuple(settings.items("notify_slack_channels")),
            tuple(_port(said) for said in settings.items("notify_webhook_ports")),
            tuple(_network(said) for said in settings.items("notify_webhook_refuse")),
            settings.text("notify_webhook_private") == "1",
            tuple(host for host in hosts if host),
        )

    def check(self, channel: Channel) -> None:
        """Do nothing when members may choose the channel.

        Raises:
            BadInputError: quoting it, with what is legal.
        """
        match channel.kind:
            case "slack" if channel.target:
                self._listed(channel, channel.target, self.slack_channels, "NOTIFY_SLACK_CHANNELS")
            case "mail":
                domain = channel.target.rpartition("@")[2].lower()
                self._listed(channel, domain, self.mail_domains, "NOTIFY_MAIL_DOMAINS")
            case "webhook":
                parts = urlsplit(channel.target)
                port = parts.port or (443 if parts.scheme == "https" else 80)
                if port not in self.webhook_ports:
                    legal = ", ".join(map(str, self.webhook_ports)) or "none"
                    raise BadInputError(
                        f"port {port} of {parts.hostname} is not one that webhooks reach in this lab",
                        f"legal ports: {legal}; an admin can change LABQ_NOTIFY_WEBHOOK_PORTS",
                    )

    def _listed(self, channel: Channel, word: str, legal: tuple[str, ...], setting: str) -> None:
        if word in legal or "*" in legal:
            return
        if channel.kind == "mail":
            told = "legal: addresses of " + ", ".join(legal)
        else:
            told = "legal: " + ", ".join(["slack", *(f"slack:{one}" for one in legal)])
        raise BadInputError(
            f"this lab sends no notices to {str(channel)[:200]!r}",
            f"{told}; an admin can change LABQ_{setting}",
        )


def _domain(said: str) -> str:
    if "@" in said or "/" in said:
        raise BadInputError(f"LABQ_NOTIFY_MAIL_DOMAINS {said!r} is no domain", "write example.org, or *")
    return said.lower()


def _port(said: str) -> int:
    if not said.isascii() or not said.isdigit() or not 0 < int(said) < 65536:
        raise BadInputError(f"LABQ_NOTIFY_WEBHOOK_PORTS {said!r} is no port", "write 80,443,8443")
    return int(said)


def _network(said: str) -> Network:
    try:
        return ipaddress.ip_network(said)
    except ValueError:
        raise BadInputError(
            f"LABQ_NOTIFY_WEBHOOK_REFUSE {said!r} is no network", "write 192.0.2.0/24,2001:db8::/32"
        ) from None
