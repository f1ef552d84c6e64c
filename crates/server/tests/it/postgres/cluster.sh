# Serves a throwaway PostgreSQL until standard input ends, which it does when whoever started this is gone, however
# that came about. Then it leaves nothing behind. Says "ready" on standard output when it takes connections.
#
# Arguments: where PostgreSQL's programs are, an empty folder of its own, further lines of its settings, and, for a
# standby, the folder of the server that it follows.
set -eu
programs=$1 folder=$2 settings=$3 primary=${4-}
cd "$folder"

finish() {
  "$programs/pg_ctl" stop --silent --mode=immediate --pgdata=data 2>/dev/null || :
  cd / && rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

if [ -n "$primary" ]; then
  "$programs/pg_basebackup" --host="$primary" --username=roster --write-recovery-conf --checkpoint=fast --no-sync \
    --pgdata=data >&2
else
  # The order of a language, where it can be had: a query that forgets to ask for the order of bytes shows then.
  order=--locale=C
  if "$programs/initdb" --help | grep -q -- --icu-locale; then
    order="--locale=C --locale-provider=icu --icu-locale=en-US"
  fi
  "$programs/initdb" $order --encoding=UTF8 --auth=trust --username=roster --no-sync --pgdata=data >initdb.log 2>&1 ||
    { cat initdb.log >&2; exit 1; }
fi
# A socket alone: there is no port to be taken by another, and nobody else may enter the folder.
cat >>data/postgresql.conf <<SETTINGS
listen_addresses = ''
unix_socket_directories = '$folder'
max_connections = 400
$settings
SETTINGS
"$programs/pg_ctl" start --silent --wait --pgdata=data --log=server.log >&2 || { cat server.log >&2; exit 1; }
echo ready
cat >/dev/null
