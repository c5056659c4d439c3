#!/bin/sh
# Installs the real servers that the tests start. Does nothing when all are there;
# where it may not install packages, it says which servers will not be tested.
set -eu
cd "$(dirname "$0")"

unpacked=/var/lib/longhaul-engines
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
list() { sed -e 's/#.*//' debian-packages | grep "$1" || true; }

if ! command -v apt-get >/dev/null; then
	echo "NOT TESTED with real servers: this is no Debian; needed are: $(list . | tr '\n' ' ')"
	exit 0
fi
missing=
for package in $(list '^[^ ]*$'); do
	installed "$package" || missing="$missing $package"
done
apart=
for package in $(list '^unpack ' | cut -d' ' -f2); do
	[ -e "$unpacked/$package/.done" ] || apart="$apart $package"
done
[ -n "$missing$apart" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "NOT TESTED, for want of root's right to install them:$missing$apart"
	exit 0
fi

echo "installing:$missing$apart"
# Debian starts a server that is installed; this says no, for as long as we install.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
	trap 'rm -f $policy' EXIT
fi
log=$(mktemp)
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@" >>"$log" 2>&1 </dev/null; }
failed() {
	tail -20 "$log" >&2
	echo "tests/engines/install.sh: $1; all of it is in $log" >&2
	exit 1
}
# shellcheck disable=SC2086
if [ -n "$missing" ]; then
	apt install -y --no-install-recommends $missing ||
		{ apt update && apt install -y --no-install-recommends $missing; } ||
		failed "cannot install$missing"
fi
for package in $apart; do
	mkdir -p "$unpacked/$package"
	(cd "$unpacked/$package" && { apt download "$package" || { apt update && apt download "$package"; }; } &&
		dpkg-deb -x ./*.deb . && rm ./*.deb && touch .done) || failed "cannot unpack $package"
done
rm -f "$log"
