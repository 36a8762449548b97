#!/bin/sh
# Starts Redis with redis.conf, and the password in REDISCLI_AUTH if there is one. The configuration is in the volume, since
# Sentinels change it: who was made a replica is one after a restart as well.
#   REPLICA_OF    at the first start: the "host port" of the master; empty for a master
#   ANNOUNCE_IP   where the others reach this Redis, with Sentinels
set -eu
umask 077
conf=/data/redis.conf
role=${REPLICA_OF:+replicaof $REPLICA_OF}
if [ -e "$conf" ]; then
  role=$(grep '^replicaof ' "$conf" || true)
fi
{
  cat /usr/local/etc/redis/redis.conf
  if [ -n "${REDISCLI_AUTH:-}" ]; then
    printf 'requirepass "%s"\nmasterauth "%s"\n' "$REDISCLI_AUTH" "$REDISCLI_AUTH"
  fi
  if [ -n "${ANNOUNCE_IP:-}" ]; then
    echo "replica-announce-ip $ANNOUNCE_IP"
  fi
  echo "$role"
} >"$conf.new"
mv "$conf.new" "$conf"
exec /bin/sh /usr/local/etc/automation-infra/jsonlog.sh redis redis-server "$conf"
