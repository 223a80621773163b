#!/bin/sh
# The Debian packages that the tests and the demo talk to. Installs what is missing when run as root; otherwise names
# what is missing and goes on: the tests that need it are skipped by that name.
set -u

missing=""
need() { # command package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need Orthanc orthanc
need storescp dcmtk
need dciodvfy dicom3tools
need DicomSRValidator pixelmed-apps
need java default-jre-headless
need strace strace
# the server's programs are in no search path
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null 2>&1 || missing="$missing postgresql"
[ -d /usr/share/fonts/opentype/noto ] || missing="$missing fonts-noto-cjk"

[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing Debian packages (not root, so not installed):$missing"
    echo "  What needs them is skipped. To have it: sudo apt-get install$missing"
    exit 0
fi

echo "Installing Debian packages:$missing"
# the peers are started by the tests on ports of their own; the packages' services must not start
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null 2>&1
# shellcheck disable=SC2086  # a list of names
for package in $missing; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
        echo "  $package could not be installed; what needs it is skipped"
done
exit 0
