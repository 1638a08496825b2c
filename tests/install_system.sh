#!/bin/sh
# Installs what the tests need beyond Python: Chromium with fonts for the page's languages, Prometheus' promtool, a Redis
# beside the Valkey that comes as a wheel, wrk (a client that never tries twice), two caches (nginx and Varnish), and a C
# compiler for the faults.
set -eu
packages=""
[ -n "${GATE_TEST_CHROMIUM:-}" ] || command -v chromium >/dev/null 2>&1 || packages="chromium fonts-noto-cjk fonts-thai-tlwg"
command -v promtool >/dev/null 2>&1 || packages="$packages prometheus"
command -v redis-server >/dev/null 2>&1 || packages="$packages redis-server"
command -v wrk >/dev/null 2>&1 || packages="$packages wrk"
command -v nginx >/dev/null 2>&1 || packages="$packages nginx-light"
command -v varnishd >/dev/null 2>&1 || packages="$packages varnish"
command -v gcc >/dev/null 2>&1 || packages="$packages gcc libc6-dev"
[ -n "$packages" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing $packages …"
  apt-get update -qq
  # shellcheck disable=SC2086  (a list of names)
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
else
  echo "some tests need $packages; on Debian: sudo apt install $packages"
  echo "(Chromium may also be named with GATE_TEST_CHROMIUM=/path); without it they are skipped, and fail where CI is set"
fi
