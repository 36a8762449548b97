#!/bin/sh
# Starts a Sentinel that watches the Redis which is the master at the first start. Its configuration is in the volume, since it
# writes there who is master now.
#   MASTER        the "host port" of the first master
#   ANNOUNCE_IP   where the others reach this Sentinel
set -eu
umask 077
conf=/data/sentinel.conf
if [ ! -e "$conf" ]; then
  cat >"$conf.new" <<CONF
dir /data
port 26379
protected-mode no
sentinel announce-ip $ANNOUNCE_IP
sentinel monitor lease $MASTER 2
sentinel down-after-milliseconds lease 1000
sentinel failover-timeout lease 5000
sentinel parallel-syncs lease 2
CONF
  mv "$conf.new" "$conf"
fi
sed '/^sentinel auth-pass /d' "$conf" >"$conf.new"
if [ -n "${REDISCLI_AUTH:-}" ]; then
  echo "sentinel auth-pass lease $REDISCLI_AUTH" >>"$conf.new"
fi
mv "$conf.new" "$conf"
exec /bin/sh /usr/local/etc/automation-infra/jsonlog.sh sentinel redis-server "$conf" --sentinel
