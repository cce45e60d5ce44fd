#!/bin/sh
# Installs what pip cannot, where apt-get may be used; else names it and goes on without what needs it.
#   system_libraries.sh venv     Debian keeps the part of Python that makes virtual environments in a package of its own
#   system_libraries.sh open3d   what Open3D links to, and Mesa's Vulkan, with which it draws without a display
#   system_libraries.sh browser  Chromium, in which the tests open the pages that xmodal writes
set -u
library() { { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep -q "$1" || missing="$missing $2"; }
file() { ls $1 >/dev/null 2>&1 || missing="$missing $2"; }
program() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

missing=""
case "${1:-}" in
venv)
    ${PYTHON:-python3} -c 'import ensurepip' 2>/dev/null || missing=" python3-venv"
    ;;
open3d)
    library libusb-1.0.so.0 libusb-1.0-0
    library libvulkan.so.1 libvulkan1
    library libgomp.so.1 libgomp1
    library libEGL.so.1 libegl1
    library libGL.so.1 libgl1
    library libX11.so.6 libx11-6
    file '/usr/share/vulkan/icd.d/lvp_icd*.json' mesa-vulkan-drivers
    ;;
browser)
    program chromedriver chromium-driver
    [ -x /usr/bin/chromium ] || program google-chrome chromium
    ;;
*)
    echo "usage: $0 venv|open3d|browser" >&2
    exit 2
    ;;
esac
[ -n "$missing" ] || exit 0

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo -n"
if command -v apt-get >/dev/null 2>&1 && { [ -z "$sudo" ] || sudo -n true 2>/dev/null; }; then
    echo "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    $sudo apt-get update -qq >/dev/null 2>&1
    # shellcheck disable=SC2086  # a list of packages
    $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 && exit 0
fi
echo "note: could not install$missing; what needs $1 is left out (apt-get install$missing)"
