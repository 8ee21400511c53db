#!/usr/bin/env bash
# The unit under a real systemd: started, reloaded, killed, hung, upgraded, stopped.
#
#   service_test.sh SOURCE_DIR PROGRAM
#
# systemd runs as process 1 of namespaces of its own (processes, mounts, network, control groups), on a root that is
# read-only but for copies of /etc and /usr/sbin, and starts nothing but the unit. Without systemd, root or control
# groups of version 2 the test is skipped.
set -euo pipefail
export LC_ALL=C

skip() {
  echo "SKIPPED: $1"
  exit 0
}

# --- outside: the namespaces

if [[ ${3:-} != inside ]]; then
  source=$(realpath -- "$1")
  program=$(realpath -- "$2")
  systemd=$(command -v /lib/systemd/systemd || command -v /usr/lib/systemd/systemd || true)
  [[ -n $systemd ]] || skip "systemd is not installed"
  for tool in systemctl iptables-save unshare setsid; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
  done
  ((EUID == 0)) || skip "no rights: systemd needs namespaces, and those root"
  groups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  [[ -n $groups ]] || skip "there are no control groups of version 2"
  group=$groups/kubenatd-test-$$
  mkdir "$group" 2>/dev/null || skip "no rights: control groups cannot be made"
  work=$(mktemp --directory)
  # Process 1 has been killed, and all others of its namespace with it; that takes a moment.
  clean_up() {
    for ((try = 0; try < 100; ++try)); do
      find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
      if [[ ! -d $group ]]; then break; fi
      sleep 0.1
    done
    rm -rf "$work"
  }
  trap clean_up EXIT
  unshare --pid --mount --net --ipc --uts --cgroup --fork true 2>/dev/null || skip "no rights: namespaces cannot be made"
  mkdir "$work/units" "$work/none"
  # All that the unit's dependencies lead to.
  for name in test sysinit basic shutdown network-online multi-user; do
    printf '[Unit]\nDefaultDependencies=no\n' >"$work/units/$name.target"
  done
  cp "$source"/manifests/systemd/{kubenatd.service,config.conf} "$work/"
  cp "$work/kubenatd.service" "$work/units/"
  cp "$program" "$work/program"
  cp "$0" "$work/script"
  # $$ is that shell's, which the namespace of control groups is made from.
  bash -c "echo \$\$ >'$group/cgroup.procs'
    exec unshare --pid --mount --net --ipc --uts --cgroup --fork --kill-child \
      '$BASH' '$work/script' '$work' '$systemd' inside" >"$work/log" 2>&1 </dev/null &
  for ((try = 0; try < 2800; ++try)); do
    if [[ -e $work/result ]] || ! kill -0 $! 2>/dev/null; then break; fi
    sleep 0.1
  done
  kill -s KILL $! 2>/dev/null || true
  wait $! 2>/dev/null || true
  if [[ ! -e $work/result ]]; then
    cat "$work/log" "$work/steps" 2>/dev/null || true
    if grep -q "^SKIPPED:" "$work/log"; then exit 0; fi
    echo "systemd ended, or hung, before the test was done"
    exit 1
  fi
  cat "$work/steps"
  if [[ $(cat "$work/result") == 0 ]]; then exit 0; fi
  tail -n 60 "$work/log" "$work/kubenatd.log" 2>/dev/null || true
  exit 1
fi

# --- inside, before systemd: its root

if [[ $$ == 1 ]]; then
  mount --make-rprivate /
  mount -t proc proc /proc
  mount -t tmpfs tmpfs /run
  mount -t cgroup2 cgroup2 /sys/fs/cgroup || skip "no rights: control groups cannot be mounted"
  mkdir /run/test
  mount --bind "$1" /run/test
  for folder in etc usr/sbin; do
    mkdir -p "/run/upper/$folder" "/run/work/$folder"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=/run/upper/$folder,workdir=/run/work/$folder" "/$folder" ||
      skip "no rights: no overlay can be mounted"
  done
  # What is not the namespaces' own is not written to.
  for folder in kernel fs vm; do
    mount --bind "/proc/sys/$folder" "/proc/sys/$folder"
    mount -o remount,ro,bind "/proc/sys/$folder"
  done
  mount -o remount,ro,bind /
  for folder in /tmp /var/tmp; do mount -t tmpfs tmpfs "$folder"; done
  ip link set lo up
  install -m 755 /run/test/program /usr/sbin/kubenatd
  mkdir -p /etc/kubenatd/manifests
  cp /run/test/config.conf /etc/kubenatd/
  cd /
  setsid "$BASH" /run/test/script /run/test "$2" inside >/run/test/steps 2>&1 &
  exec env -i PATH="$PATH" SYSTEMD_UNIT_PATH=/run/test/units SYSTEMD_GENERATOR_PATH=/run/test/none \
    SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=notice container=kubenatd-test "$2" --system --unit=test.target
fi

# --- inside, beside systemd: the steps

work=/run/test
trap 'finish 1' ERR EXIT
finish() {
  trap - ERR EXIT
  echo "$1" >"$work/result"
  exit "$1"
}

fail() {
  echo "FAILED: $1"
  systemctl status kubenatd --no-pager --full || true
  finish 1
}
# check WHAT COMMAND...
check() {
  local what=$1
  shift
  if "$@"; then echo "ok: $what"; else fail "$what"; fi
}
# become WHAT COMMAND...: within half a minute
become() {
  local what=$1 try
  shift
  for ((try = 0; try < 300; ++try)); do
    if "$@"; then
      echo "ok: $what"
      return
    fi
    sleep 0.1
  done
  fail "$what"
}
show() { systemctl show --property "$1" --value kubenatd; }
is() { [[ $(show "$1") == "$2" ]]; }
status_has() { [[ $(show StatusText) == *"$1"* ]]; }
rules() { iptables-save -t nat | grep '^-A'; }
same_rules() { [[ $(rules) == "$before" ]]; }
has_rules() { rules | grep -q -- "-d 10.96.0.$1/32.*-j KUBE-SVC-"; }
process_has() { grep -q -E "^$1:[[:space:]]*$2\$" "/proc/$(show MainPID)/status"; }

# service NUMBER: a Service with one endpoint
service() {
  cat >/etc/kubenatd/manifests/web-"$1".yaml <<END
apiVersion: v1
kind: Service
metadata: {name: web-$1, namespace: demo}
spec: {clusterIP: 10.96.0.$1, clusterIPs: [10.96.0.$1], ipFamilies: [IPv4], ports: [{port: 80, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-$1-1, namespace: demo, labels: {kubernetes.io/service-name: web-$1}}
addressType: IPv4
ports: [{port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.244.0.$1], conditions: {ready: true}}]
END
}

for ((try = 0; try < 300; ++try)); do
  if systemctl list-units >/dev/null 2>&1; then break; fi
  sleep 0.1
done

# Objects from a folder, for there is no API server; and patience of seconds, not minutes.
mkdir -p "$work/units/kubenatd.service.d"
cat >"$work/units/kubenatd.service.d/test.conf" <<END
[Service]
ExecStart=
ExecStart=/usr/sbin/kubenatd run --config /etc/kubenatd/config.conf --manifests /etc/kubenatd/manifests --hostname-override node-1
StandardError=append:$work/kubenatd.log
WatchdogSec=20s
TimeoutAbortSec=1s
END
sed -i '/kubeconfig:/d; s/^clientConnection:/clientConnection: {}/' /etc/kubenatd/config.conf
printf 'conntrack:\n  maxPerCore: 0\n' >>/etc/kubenatd/config.conf
systemctl daemon-reload
service 10

check "it starts" systemctl start kubenatd
check "the rules are there once it has started" has_rules 10
check "its status says what is in force" status_has "mode iptables, 1 services"
for set in CapBnd CapEff CapPrm; do
  check "it has NET_ADMIN alone ($set)" process_has "$set" 0000000000001000
done
check "it cannot gain privileges" process_has NoNewPrivs 1
check "its system calls are filtered" process_has Seccomp 2
check "it may write the kernel's settings of the network" test "$(cat /proc/sys/net/ipv4/conf/all/route_localnet)" = 1

first=$(show MainPID)
service 11
become "a new object is followed" has_rules 11
become "and told in the status" status_has "2 services"
check "it reloads" systemctl reload kubenatd
become "and runs" is ActiveState active
become "with all objects" status_has "2 services"
check "in the same process" is MainPID "$first"
cp /etc/kubenatd/config.conf /run/config.conf
sed -i 's/^mode: .*/mode: ipvs/' /etc/kubenatd/config.conf
systemctl reload kubenatd || true
become "a configuration that is refused is told in the status" status_has "is refused"
become "and it goes on" is ActiveState active
cat /run/config.conf >/etc/kubenatd/config.conf
systemctl reload kubenatd
become "until it is mended" status_has "2 services"
check "in the same process" is MainPID "$first"

before=$(rules)
systemctl kill --signal KILL --kill-whom main kubenatd
become "killed, it is started again" is NRestarts 1
become "and runs" is ActiveState active
check "the rules are as they were" same_rules

install -m 755 "$work/program" /usr/sbin/kubenatd.new
mv /usr/sbin/kubenatd.new /usr/sbin/kubenatd
check "upgraded, it is started again" systemctl try-restart kubenatd
check "as the new program" test "/proc/$(show MainPID)/exe" -ef /usr/sbin/kubenatd
check "the rules are as they were" same_rules

# Longer than the watchdog waits: a living one is left alone.
sleep 25
check "the watchdog leaves it alone" is NRestarts 0
systemctl kill --signal STOP --kill-whom main kubenatd
become_slowly() {
  local try
  for ((try = 0; try < 1200; ++try)); do
    if "$@"; then return 0; fi
    sleep 0.1
  done
  return 1
}
check "hung, it is started again" become_slowly is NRestarts 1
become "and runs" is ActiveState active
check "the rules are as they were" same_rules

# A folder that is missing may come, as an API server.
systemctl stop kubenatd
cat >"$work/units/kubenatd.service.d/wait.conf" <<END
[Service]
ExecStart=
ExecStart=/usr/sbin/kubenatd run --config /etc/kubenatd/config.conf --manifests /etc/kubenatd/later --hostname-override node-1
TimeoutStartSec=6s
WatchdogSec=6s
END
systemctl daemon-reload
systemctl start --no-block kubenatd
sleep 15
check "without objects it waits longer than a start may take" is ActiveState activating
check "in one process" is NRestarts 0
check "the rules are as they were" same_rules
systemctl kill --signal STOP --kill-whom main kubenatd
check "hung while it waits, it is started again" become_slowly is NRestarts 1
cp --recursive /etc/kubenatd/manifests /etc/kubenatd/later
become "it is ready when objects come" is ActiveState active
check "the rules are as they were" same_rules

check "it stops" systemctl stop kubenatd
check "without a failure" is ActiveState inactive
check "the rules stay" same_rules
check "kubenatd cleanup removes them" kubenatd cleanup
if rules | grep -q KUBE-; then fail "something is left"; fi
echo "ok: nothing is left"
finish 0
