# What every script here shares. Sourced, never run.
# shellcheck shell=bash

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# dockerd, debootstrap and iptables live in sbin, which a person's PATH may lack.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '==> %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# retry N COMMAND...: package mirrors drop connections; one lost packet is no reason to fail.
retry() {
  local tries=$1 n
  shift
  for ((n = 1; n < tries; n++)); do
    "$@" && return 0
    say "that failed ($n of $tries), again in $((n * 3)) s: $*"
    sleep $((n * 3))
  done
  "$@"
}

# apt_install PACKAGE...: only as root, only on a machine with apt; one clear sentence otherwise.
apt_install() {
  have apt-get || die "this needs $*; install it with this machine's package manager, then run this again"
  is_root || die "this needs $*; run: sudo apt-get install -y $*"
  say "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  # A stale package list is the usual reason for a 404; an unreachable extra source is no reason to stop.
  retry 3 apt-get update -qq || say "apt-get update complained; trying to install all the same"
  retry 3 apt-get install -y -qq --no-install-recommends "$@" </dev/null
}

# apt_install_stopped PACKAGE...: as apt_install, but services of the packages are not started.
apt_install_stopped() {
  local rule=/usr/sbin/policy-rc.d ours=0
  if is_root && [ ! -e "$rule" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$rule" && chmod +x "$rule" && ours=1
  fi
  local status=0
  (apt_install "$@") || status=$? # a subshell: what it gives up must not leave the rule behind
  [ $ours -eq 0 ] || rm -f "$rule"
  return $status
}

# mirror: the host's own Debian mirror, if it has one: it is known to answer. Nothing else: debootstrap's own choice.
mirror() {
  local found
  found=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    grep -Eo 'https?://[^ ]+/debian/?( |$)' | grep -v security | head -n 1 | tr -d ' ' || true)
  echo "$found"
}

# engine_answers: is there a Docker engine behind DOCKER_HOST or the default socket?
engine_answers() { have docker && timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
