#!/usr/bin/env bash
# Install edge-asr as a service; safe to run again, which upgrades it.
#
#   systemd/install.sh [--enable] WHEEL
#
# --enable  also start it, now and at every boot
#
# PREFIX    where the program goes: an environment of its own (/opt/edge-asr)
# DESTDIR   put every file under this directory and leave the running system alone
# PYTHON    Python 3.11 or newer, which the environment is made from (the system's)
# EXTRAS    optional parts of the program, with commas between: serve,mqtt,wyoming,hands,numerals (serve)
# BUNDLES   model bundles to install (./bundles, if there are any)
# MANUAL    where make man put the manual page and the completions (./build/man, if it did)
#
# An existing configuration, existing recordings and other bundles are left as they are.
set -euo pipefail
umask 022

PREFIX=${PREFIX:-/opt/edge-asr}
DESTDIR=${DESTDIR:-}
PYTHON=${PYTHON:-$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)}
BUNDLES=${BUNDLES:-bundles}
EXTRAS=${EXTRAS:-serve}
MANUAL=${MANUAL:-build/man}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
config=$DESTDIR/etc/edge-asr
state=$DESTDIR/var/lib/edge-asr
wheel=
enable=no

fail() { echo "install: $*" >&2; exit 1; }
say() { echo "install: $*"; }
staging() { [ -n "$DESTDIR" ]; }
systemd_runs() { [ -d /run/systemd/system ]; }

main() {
  read_arguments "$@"
  check_machine
  install_program
  install_units
  install_manual
  install_config
  staging || create_user_and_directories
  install_bundles
  staging || tell_systemd
  next_steps
}

read_arguments() {
  for argument in "$@"; do
    case $argument in
      --enable) enable=yes ;;
      -*) fail "unknown option $argument; usage: systemd/install.sh [--enable] WHEEL" ;;
      *) [ -z "$wheel" ] || fail "one wheel, please, not also $argument"; wheel=$argument ;;
    esac
  done
  [ -f "$wheel" ] || fail "no wheel '$wheel'; build one with: make dist"
  case $PREFIX in /?*) ;; *) fail "PREFIX must be an absolute path, not '$PREFIX'" ;; esac
  case $DESTDIR in "" | /?*) ;; *) fail "DESTDIR must be an absolute path, not '$DESTDIR'" ;; esac
  if staging && [ "$enable" = yes ]; then fail "--enable needs a running system, not DESTDIR"; fi
}

check_machine() {
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "$PYTHON is older than 3.11; name a newer one with PYTHON=..."
  staging && return
  # The services see no home directory, so a Python that lives in one cannot run them.
  case $("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))') in
    /root* | /home/*) fail "$PYTHON lives in a home directory; name the system's with PYTHON=..." ;;
  esac
  [ "$(id -u)" = 0 ] || fail "must run as root (or stage files elsewhere with DESTDIR=...)"
  command -v systemctl systemd-sysusers systemd-tmpfiles >/dev/null \
    || fail "systemd is not installed; without it, start 'edge-asr run' yourself"
  install_compiler
}

# Of all dependencies only PyAudio has no wheel for Linux: pip compiles it, which takes a few
# seconds even on a small board.
install_compiler() {
  pyaudio_can_be_compiled && return
  local packages=(gcc portaudio19-dev python3-dev python3-venv)
  command -v apt-get >/dev/null \
    || fail "PyAudio needs a C compiler and the headers of Python and PortAudio; install them"
  say "installing ${packages[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${packages[@]}" >/dev/null
}

pyaudio_can_be_compiled() {
  command -v gcc >/dev/null && "$PYTHON" - <<'END'
import ensurepip, pathlib, sys, sysconfig
python_headers = pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()
portaudio = any(pathlib.Path(d, "portaudio.h").exists() for d in ("/usr/include", "/usr/local/include"))
sys.exit(not (python_headers and portaudio))
END
}

install_program() {
  local environment=$DESTDIR$PREFIX
  say "installing ${wheel##*/} into $environment"
  "$PYTHON" -m venv "$environment"
  local pip=("$environment/bin/python" -m pip --quiet --disable-pip-version-check install --no-compile)
  "${pip[@]}" "$wheel[$EXTRAS]"
  # Again without its dependencies: a rebuilt wheel of the same version is a change, too.
  "${pip[@]}" --force-reinstall --no-deps "$wheel"
  remove_hub_client "$environment"
  # Files name the directory that they will be in, not the one they were staged in. Services find
  # everything compiled: to them the directory is read-only.
  local compile=("$environment/bin/python" -m compileall -q)
  if staging; then
    grep -rlIF "$DESTDIR" "$environment/bin" "$environment/pyvenv.cfg" \
      | xargs --no-run-if-empty sed -i "s|$DESTDIR||g"
    compile+=(-f -s "$DESTDIR")
  fi
  "${compile[@]}" "$environment/lib" || true # some packages carry files of other Pythons
  local commands=$DESTDIR/usr/bin
  staging || commands=/usr/local/bin
  install -d "$commands"
  ln -sfn "$PREFIX/bin/edge-asr" "$commands/edge-asr"
}

# tokenizers declares a client of a model hub, which it only needs to download models. A machine
# that never downloads anything is better off without it and what came with it.
remove_hub_client() {
  "$1/bin/python" - <<'END' | xargs --no-run-if-empty "$1/bin/python" -m pip --quiet uninstall --yes
import re
from importlib.metadata import distributions

def plain(requirement):
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()

requires = {
    plain(found.metadata["Name"]): {
        plain(r)
        for r in found.requires or []
        if "extra ==" not in r or plain(found.metadata["Name"]) == "edge-asr"
    }
    for found in distributions()
}

def reached(name, without=()):
    seen, ahead = set(), [name]
    while ahead:
        here = ahead.pop()
        if here in requires and here not in seen and here not in without:
            seen.add(here)
            ahead += requires[here]
    return seen

print(*sorted(reached("huggingface-hub") - reached("edge-asr", without={"huggingface-hub"})))
END
}

# A packager's files belong in /usr/lib, an administrator's in /etc.
install_units() {
  local root=/etc
  staging && root=$DESTDIR/usr/lib
  install -d "$root"/{systemd/system,udev/rules.d,sysusers.d,tmpfiles.d}
  local unit
  for unit in "$here"/*.service "$here"/*.socket "$here"/*.timer "$here"/*.target; do
    install -m 644 "$unit" "$root/systemd/system/"
    sed -i "s|/opt/edge-asr/|$PREFIX/|g" "$root/systemd/system/${unit##*/}"
  done
  install -m 644 "$here/72-edge-asr.rules" "$root/udev/rules.d/"
  install -m 644 "$here/edge-asr.sysusers.conf" "$root/sysusers.d/edge-asr.conf"
  install -m 644 "$here/edge-asr.tmpfiles.conf" "$root/tmpfiles.d/edge-asr.conf"
}

# Where man and the shells look for what a package, or an administrator, has put on a machine.
install_manual() {
  [ -f "$MANUAL/edge-asr.1" ] || return 0
  local root=/usr/local/share
  staging && root=$DESTDIR/usr/share
  install -D -m 644 "$MANUAL/edge-asr.1" "$root/man/man1/edge-asr.1"
  install -D -m 644 "$MANUAL/edge-asr.bash" "$root/bash-completion/completions/edge-asr"
  install -D -m 644 "$MANUAL/edge-asr.zsh" "$root/zsh/site-functions/_edge-asr"
  install -D -m 644 "$MANUAL/edge-asr.fish" "$root/fish/vendor_completions.d/edge-asr.fish"
}

install_config() {
  install -d "$config"
  install -m 644 "$here/config.example.yaml" "$config/"
  if [ -e "$config/config.yaml" ]; then
    say "keeping $config/config.yaml"
  else
    install -m 644 "$here/config.example.yaml" "$config/config.yaml"
  fi
}

create_user_and_directories() {
  systemd-sysusers edge-asr.conf
  systemd-tmpfiles --create edge-asr.conf
}

install_bundles() {
  install -d -m 755 "$state/bundles"
  local manifest source name
  for manifest in "$BUNDLES"/*/manifest.json; do
    [ -f "$manifest" ] || continue
    source=${manifest%/*} name=$(basename "${manifest%/*}")
    # The seal covers the manifest, which covers every file.
    cmp -s "$source/manifest.sha256" "$state/bundles/$name/manifest.sha256" && continue
    say "installing bundle $name"
    rm -rf "$state/bundles.new"
    cp -r --no-preserve=mode,ownership "$source" "$state/bundles.new"
    rm -rf "${state:?}/bundles/$name"
    mv "$state/bundles.new" "$state/bundles/$name"
  done
}

tell_systemd() {
  if systemd_runs; then
    systemctl daemon-reload
    if command -v udevadm >/dev/null; then udevadm control --reload || true; fi
    systemctl try-restart 'edge-asr*.service' # what already runs gets the new program
  fi
  [ "$enable" = yes ] || return 0
  "$PREFIX/bin/edge-asr" config check "$config/config.yaml" || fail "correct it and run this again"
  mapfile -t units < <(units_to_enable)
  systemctl enable "${units[@]}"
  if systemd_runs; then systemctl start edge-asr.target; fi
}

# The target, the recognizer, and a listener for each microphone of the configuration.
units_to_enable() {
  echo edge-asr.target
  echo edge-asr-recognize.service
  echo edge-asr-serve.socket
  "$PREFIX/bin/python" - "$config/config.yaml" <<'END'
import pathlib, sys
from edge_asr.config import load_config
for microphone in load_config(pathlib.Path(sys.argv[1])).microphones:
    print(f"edge-asr-listen@{microphone.name}.service")
END
}

next_steps() {
  if staging; then
    say "staged in $DESTDIR; on the device: systemd-sysusers && systemd-tmpfiles --create"
  elif [ "$enable" = no ]; then
    cat <<'END'
install: done; nothing was started. Next:
  edge-asr --state /var/lib/edge-asr doctor
  systemctl enable --now edge-asr.target edge-asr-recognize.service edge-asr-listen@mic.service
  systemctl enable --now edge-asr-serve.socket     the page: http://127.0.0.1:8089
END
  elif systemd_runs; then
    say "done; it is running: systemctl status 'edge-asr*'"
  else
    say "done; it starts with the next boot"
  fi
}

main "$@"
