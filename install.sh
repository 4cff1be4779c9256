#!/bin/sh
# Installs rustyrun, the executable and its front, after checking them against the
# release's SHA256SUMS. Nothing is run that was downloaded, and nothing but the two
# files stays:
#
#     /usr/local/bin/rustyrun               as root; as anybody else in ~/.local.
#                                           The front: a small program that has
#                                           `rustyrun serve` do the work, where
#                                           that runs, or else is the other one
#     /usr/local/lib/rustyrun/rustyrun      the executable
#
# RUSTYRUN_VERSION=v0.1.0    another release than the latest
# RUSTYRUN_PREFIX=/opt/x     another place: /opt/x/bin/rustyrun, /opt/x/lib/...
# RUSTYRUN_BASE_URL=URL      a mirror that holds the release's files
#
# The release also has build attestations, which say which workflow made a file
# from which commit: gh attestation verify rustyrun-x86_64 --repo rustyrun/rustyrun
set -eu

usage() {
	cat <<'END'
Usage: sh install.sh

Downloads the latest release of rustyrun, checks it, and installs it: as root in
/usr/local, as anybody else in ~/.local.

Variables:
  RUSTYRUN_VERSION=v0.1.0    another release than the latest
  RUSTYRUN_PREFIX=/opt/x     another place: /opt/x/bin/rustyrun, /opt/x/lib/...
  RUSTYRUN_BASE_URL=URL      a mirror that holds the release's files
END
}

repository=https://github.com/rustyrun/rustyrun

fail() {
	echo "rustyrun: Cannot install: $1" >&2
	exit 1
}

# All of it is in a function, so that half a download runs nothing.
main() {
	case $#:${1-} in
	0:) ;;
	1:-h | 1:--help)
		usage
		return
		;;
	*) fail "it takes no words, and \"$1\" is one: sh install.sh --help" ;;
	esac
	[ "$(uname -s)" = Linux ] || fail "this is $(uname -s), rustyrun is for Linux"
	case $(uname -m) in
	x86_64 | amd64) arch=x86_64 ;;
	aarch64 | arm64) arch=aarch64 ;;
	*) fail "there is no executable for $(uname -m)" ;;
	esac
	command -v sha256sum >/dev/null || fail "sha256sum is missing (coreutils)"

	if [ -n "${RUSTYRUN_BASE_URL:-}" ]; then
		base=$RUSTYRUN_BASE_URL
	elif [ -n "${RUSTYRUN_VERSION:-}" ]; then
		base=$repository/releases/download/$RUSTYRUN_VERSION
	else
		base=$repository/releases/latest/download
	fi
	if [ -n "${RUSTYRUN_PREFIX:-}" ]; then
		prefix=$RUSTYRUN_PREFIX
	elif [ "$(id -u)" = 0 ]; then
		prefix=/usr/local
	else
		prefix=$HOME/.local
	fi
	bin=$prefix/bin
	lib=$prefix/lib/rustyrun

	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	download "$base/SHA256SUMS" "$work/SHA256SUMS"
	for file in rustyrun-$arch rustyrun-front-$arch; do
		download "$base/$file" "$work/$file"
		# The one line of our file; a release without it is no release.
		grep -E "^[0-9a-f]{64} [ *]$file\$" "$work/SHA256SUMS" >"$work/sum" ||
			fail "SHA256SUMS does not name $file"
		(cd "$work" && sha256sum -c sum >/dev/null 2>&1) ||
			fail "the checksum of $file is wrong: the download is damaged, or is not what was released"
	done

	mkdir -p "$bin" "$lib"
	# Renames: a running rustyrun keeps its old file, nobody sees half a new one. The
	# front goes second, since it is nothing without the other.
	part=$lib/.rustyrun.$$
	front=$bin/.rustyrun.$$
	trap 'rm -rf "$work" "$part" "$front"' EXIT
	cp "$work/rustyrun-$arch" "$part"
	cp "$work/rustyrun-front-$arch" "$front"
	chmod 755 "$part" "$front"
	mv -f "$part" "$lib/rustyrun"
	mv -f "$front" "$bin/rustyrun"
	echo "Installed $bin/rustyrun"
	case :$PATH: in
	*:"$bin":*) ;;
	*) echo "  hint: $bin is not in PATH" ;;
	esac
}

download() {
	if command -v curl >/dev/null; then
		curl -fsSL --retry 2 -o "$2" "$1" || fail "cannot download $1"
	elif command -v wget >/dev/null; then
		wget -q -O "$2" "$1" || fail "cannot download $1"
	else
		fail "neither curl nor wget is installed"
	fi
}

main "$@"
