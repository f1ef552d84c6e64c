# Serves a PostgreSQL with a standby that has every commit before it is answered, and does to them what it is told to on
# standard input, a word a line: each is answered with "done". When standard input ends, nothing is left behind.
#
# Arguments: where PostgreSQL's programs are, and an empty folder of its own.
set -eu
programs=$1 folder=$2
primary=a standby=b lost=
cd "$folder"

# Dies at once, as if its power were cut, though not that of the disk.
cut() {
  if [ -f "$1/data/postmaster.pid" ]; then kill -9 "$(head -n 1 "$1/data/postmaster.pid")" 2>/dev/null || :; fi
}

finish() {
  cut a
  cut b
  # Their children end when they notice.
  cd / && until rm -rf "$folder" 2>/dev/null; do sleep 0.1; done
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

fail() {
  cat ./*.log >&2
  exit 1
}

control() {
  node=$1 action=$2
  shift 2
  "$programs/pg_ctl" "$action" --silent --wait --timeout=60 --pgdata="$node/data" "$@" >>"$node.log" 2>&1
}

start() {
  # What a server that was cut has left of its memory may take a moment to go.
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    if control "$1" start --log="$folder/$1.server.log"; then return; fi
    sleep 0.1
  done
  fail
}

# Whom the commits of a server wait for.
waits_for() {
  echo "synchronous_standby_names = '$2'" >"$1/data/standbys.conf"
  if [ -f "$1/data/postmaster.pid" ]; then control "$1" reload; fi
}

ask() {
  "$programs/psql" --no-psqlrc --quiet --tuples-only --no-align --host="$folder/$1" --username=roster --command="$2" postgres
}

settings() {
  cat >"$1/data/node.conf" <<SETTINGS
listen_addresses = ''
unix_socket_directories = '$folder/$1'
max_connections = 200
fsync = off
full_page_writes = off
# A standby that has lost its server asks for it again this often: commits wait for that.
wal_retrieve_retry_interval = 200ms
SETTINGS
}

join() {
  rm -rf "$standby/data"
  "$programs/pg_basebackup" --host="$folder/$primary" --username=roster --write-recovery-conf --checkpoint=fast --no-sync \
    --pgdata="$standby/data" >>"$standby.log" 2>&1 || fail
  settings "$standby"
  start "$standby"
  waits_for "$primary" '*'
  until_joined
}

# Until commits wait for the standby, which may then be promoted.
until_joined() {
  until [ "$(ask "$primary" 'SELECT count(*) FROM pg_stat_replication WHERE sync_state = $$sync$$')" = 1 ]; do sleep 0.1; done
}

mkdir -m 700 a b
"$programs/initdb" --locale=C --encoding=UTF8 --auth=trust --username=roster --no-sync --pgdata=a/data >a.log 2>&1 || fail
printf "include 'node.conf'\ninclude 'standbys.conf'\n" >>a/data/postgresql.conf
settings a
waits_for a ''
start a
ask a 'CREATE DATABASE roster'
join
sockets=$(echo "$folder" | sed 's#/#%2F#g')
echo "ready postgres://roster@$sockets%2Fa,$sockets%2Fb/roster?target_session_attrs=read-write"

while read -r word; do
  case $word in
    # In order, as for a new setting.
    restart) control "$primary" restart --mode=fast || fail ;;
    # Without a word, to recover from its log.
    crash)
      cut "$primary"
      start "$primary"
      ;;
    # The primary is lost, and the standby takes its place.
    promote)
      cut "$primary"
      waits_for "$standby" ''
      control "$standby" promote || fail
      lost=$primary primary=$standby standby=$lost
      ;;
    # What was lost comes back, as a standby of what is there now.
    join)
      if [ -n "$lost" ]; then
        join
        lost=
      fi
      until_joined
      ;;
    *) fail ;;
  esac
  echo "done"
done
