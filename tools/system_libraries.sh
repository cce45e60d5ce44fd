#!/bin/sh
# Installs the system libraries that Open3D needs, where apt-get may be used; else names them and goes on without.
# Open3D imports only with libusb; it draws without a display through Mesa's software Vulkan.
set -u
packages=""
have() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p 2>/dev/null | grep -q "$1"; }
have libusb-1.0.so.0 || packages="$packages libusb-1.0-0"
have libvulkan.so.1 || packages="$packages libvulkan1"
ls /usr/share/vulkan/icd.d/lvp_icd*.json >/dev/null 2>&1 || packages="$packages mesa-vulkan-drivers"
have libgomp.so.1 || packages="$packages libgomp1"
[ -n "$packages" ] || exit 0
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then sudo=""; elif sudo -n true 2>/dev/null; then sudo="sudo -n"; else sudo="none"; fi
    if [ "$sudo" != none ]; then
        export DEBIAN_FRONTEND=noninteractive
        $sudo apt-get update -qq >/dev/null 2>&1
        # shellcheck disable=SC2086
        $sudo apt-get install -y -qq $packages >/dev/null 2>&1 && exit 0
    fi
fi
echo "note: the system libraries$packages are missing and could not be installed; what needs Open3D will say so"
exit 0
