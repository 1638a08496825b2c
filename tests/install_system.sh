#!/bin/sh
# Installs what the tests need beyond Python: Chromium, and fonts for the page's languages.
set -eu
[ -n "${GATE_TEST_CHROMIUM:-}" ] && exit 0
command -v chromium >/dev/null 2>&1 && exit 0
packages="chromium fonts-noto-cjk fonts-thai-tlwg"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing $packages …"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
else
  echo "the browser tests need Chromium; install it (on Debian: sudo apt install $packages)"
  echo "or name one with GATE_TEST_CHROMIUM=/path/to/chromium; without it they are skipped, and fail where CI is set"
fi
