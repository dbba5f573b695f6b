#!/bin/sh
# Install the Debian packages that tests use, where that is possible without asking anybody.
set -eu
PATH="$PATH:/usr/sbin"
missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v dciodvfy >/dev/null 2>&1 || missing="$missing dicom3tools"
command -v Orthanc >/dev/null 2>&1 || missing="$missing orthanc"
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "Missing here, with no right to install it:$missing. The tests that need it will be skipped."
    exit 0
fi

# The packaged Orthanc would start at once and listen to everybody; the tests run their own on loopback.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # one word a package
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 5 "$log"
    echo "Could not install:$missing. The tests that need it will be skipped."
    rm -f "$log"
    exit 0
fi
rm -f "$log"
# Nor may it start with the next boot.
case "$missing " in
*" orthanc "*) update-rc.d orthanc disable >/dev/null 2>&1 || true ;;
esac
