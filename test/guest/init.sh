#!/bin/busybox sh
# The first process of the guest: loads drivers, then runs the lines that come over the serial line, each with its status.
/bin/busybox mkdir -p /dev /proc /sys /mnt /tmp
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
exec </dev/ttyS0 >/dev/ttyS0 2>&1
export PATH=/bin
/bin/busybox --install -s /bin
stty -echo -onlcr
for module in $(cat /modules/order); do insmod "/modules/$module"; done
printf '\nready\n'
cd /tmp
while read -r line; do
  eval "$line"
  printf '\nstatus %s\n' $?
done
poweroff -f
