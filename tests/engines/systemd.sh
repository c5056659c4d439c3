# In a mount namespace of its own: let programs believe that the machine was
# started by systemd, go into a control group of our own, and become "$@".
cgroup=$1
shift
# As systemd does when it starts a machine: it mounts credentials from elsewhere.
mount --make-rshared /
mkdir -p /run/systemd
mount -t tmpfs -o mode=755 tmpfs /run/systemd
mkdir /run/systemd/system /run/systemd/inaccessible
# What it puts in the place of things that a service must not see.
mkdir -m 000 /run/systemd/inaccessible/dir
mknod -m 000 /run/systemd/inaccessible/chr c 0 0
: >/run/systemd/inaccessible/reg
chmod 000 /run/systemd/inaccessible/reg
for root in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
	if [ -e $root/cgroup.procs ]; then
		mkdir -p "$root/$cgroup"
		echo $$ >"$root/$cgroup/cgroup.procs"
	fi
done
# Like process 1: the socket for notifications is for services of all users.
umask 000
exec "$@"
