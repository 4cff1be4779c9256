#!/usr/bin/env bash
# Prints the path of the denort (the runtime that `deno compile` puts a program
# on) of the Deno that we build with, from Deno's own release, checked. The
# compile test takes it as DENORT_BIN, so that no test downloads anything.
set -euo pipefail

version=v2.9.6
file=denort-$(uname -m)-unknown-linux-gnu.zip
base=https://github.com/denoland/deno/releases/download/$version
out=${RUNNER_TEMP:-/tmp}/denort-$version

if [ ! -x "$out/denort" ]; then
  mkdir -p "$out"
  cd "$out"
  curl -fsSL --retry 5 --retry-all-errors -O "$base/$file" -O "$base/$file.sha256sum"
  sha256sum --check --status "$file.sha256sum"
  unzip -q "$file"
  chmod 755 denort
fi
echo "$out/denort"
