#!/usr/bin/env bash
# Remove what install.sh installed. Recordings, models and configuration stay.
#
#   systemd/uninstall.sh [--purge]
#
# --purge   also delete the recordings, the models, the configuration and the user
#
# PREFIX and DESTDIR as for install.sh.
set -euo pipefail

PREFIX=${PREFIX:-/opt/edge-asr}
DESTDIR=${DESTDIR:-}
purge=no

fail() { echo "uninstall: $*" >&2; exit 1; }
staging() { [ -n "$DESTDIR" ]; }
systemd_runs() { [ -d /run/systemd/system ]; }

for argument in "$@"; do
  case $argument in
    --purge) purge=yes ;;
    *) fail "unknown option $argument; usage: systemd/uninstall.sh [--purge]" ;;
  esac
done
staging || [ "$(id -u)" = 0 ] || fail "must run as root"

stop_services() {
  if systemd_runs; then systemctl stop 'edge-asr*'; fi
  rm -f /etc/systemd/system/*.wants/edge-asr{.target,-recognize.service,-listen@*.service,-serve.socket} \
    /etc/systemd/system/*.wants/edge-asr-{hands.service,hooks.service,metrics.timer,publish.service,wyoming.socket}
}

remove_files() {
  local root=$DESTDIR/etc link=/usr/local/bin/edge-asr share=/usr/local/share
  if staging; then
    root=$DESTDIR/usr/lib link=$DESTDIR/usr/bin/edge-asr share=$DESTDIR/usr/share
  fi
  rm -f "$root"/systemd/system/edge-asr{.target,-recognize.service,-listen@.service,-serve.service,-serve.socket} \
    "$root"/systemd/system/edge-asr-{hands.service,hooks.service,metrics.service,metrics.timer,publish.service} \
    "$root"/systemd/system/edge-asr-wyoming.{service,socket} \
    "$root"/{sysusers.d,tmpfiles.d}/edge-asr.conf \
    "$root/udev/rules.d/72-edge-asr.rules" \
    "$share/man/man1/edge-asr.1" "$share/bash-completion/completions/edge-asr" \
    "$share/zsh/site-functions/_edge-asr" "$share/fish/vendor_completions.d/edge-asr.fish"
  if [ "$(readlink "$link" || true)" = "$PREFIX/bin/edge-asr" ]; then rm -f "$link"; fi
  # Only what is our environment: PREFIX may be mistyped.
  if [ -f "$DESTDIR$PREFIX/pyvenv.cfg" ] && [ -f "$DESTDIR$PREFIX/bin/edge-asr" ]; then
    rm -rf "${DESTDIR}${PREFIX:?}"
  fi
}

purge_data() {
  rm -rf "$DESTDIR/var/lib/edge-asr" "$DESTDIR/etc/edge-asr"
  if ! staging && getent passwd edge-asr >/dev/null; then userdel edge-asr; fi
}

staging || stop_services
remove_files
if ! staging && systemd_runs; then systemctl daemon-reload; fi
if [ "$purge" = yes ]; then
  purge_data
  echo "uninstall: done; recordings, models and configuration are deleted"
else
  echo "uninstall: done; $DESTDIR/var/lib/edge-asr and $DESTDIR/etc/edge-asr stay (--purge deletes them)"
fi
